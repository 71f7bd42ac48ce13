-- One row per order, written before it is charged. No unique key: without idempotency a repeated key stores another.
CREATE TABLE orders (
    sequence     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           text NOT NULL,
    key          text NOT NULL,
    "user"       bigint NOT NULL,
    product      bigint NOT NULL,
    quantity     bigint NOT NULL,
    amount_cents bigint NOT NULL,
    status       text NOT NULL,
    deferred     integer NOT NULL DEFAULT 0,
    payment      text,
    placed_at_s  double precision NOT NULL,
    paid_at_s    double precision
);
