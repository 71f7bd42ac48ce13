CREATE INDEX orders_by_key ON orders (key);
CREATE INDEX orders_by_id ON orders (id);
CREATE INDEX orders_unsettled ON orders (sequence) WHERE status = 'PENDING_PAYMENT';
