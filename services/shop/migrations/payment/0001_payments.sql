-- One row per charge. No unique key: without idempotency each request charges.
CREATE TABLE payments (
    sequence     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           text NOT NULL,
    key          text NOT NULL,
    order_key    text NOT NULL,
    amount_cents bigint NOT NULL,
    charged_at_s double precision NOT NULL
);
CREATE INDEX payments_by_key ON payments (key);
CREATE INDEX payments_by_id ON payments (id);
