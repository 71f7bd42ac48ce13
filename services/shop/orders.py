"""
The book of orders: one row per order, written before it is charged so that no charge is without its order.

An order is PLACED while its charge is under way, then PAID, or PENDING_PAYMENT when the charge was put off;
a put-off charge ends as PAID too, or as UNPAID when the payment service refuses it for good.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from services.shop.ledger import Connection, Ledger, Row, Storage, insert, lock, many, one

PLACED = "PLACED"
PAID = "PAID"
PENDING_PAYMENT = "PENDING_PAYMENT"
UNPAID = "UNPAID"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    sequence     INTEGER PRIMARY KEY,
    id           TEXT NOT NULL,
    key          TEXT NOT NULL,
    user         INTEGER NOT NULL,
    product      INTEGER NOT NULL,
    quantity     INTEGER NOT NULL,
    amount_cents INTEGER NOT NULL,
    status       TEXT NOT NULL,
    deferred     INTEGER NOT NULL DEFAULT 0,
    payment      TEXT,
    placed_at_s  REAL NOT NULL,
    paid_at_s    REAL
);
CREATE INDEX IF NOT EXISTS orders_by_key ON orders (key);
CREATE INDEX IF NOT EXISTS orders_by_id ON orders (id);
CREATE INDEX IF NOT EXISTS orders_unsettled ON orders (sequence) WHERE status = 'PENDING_PAYMENT';
"""
_ROW = (
    'SELECT id, key, "user", product, quantity, amount_cents, status, deferred, payment, placed_at_s, paid_at_s'
    " FROM orders"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a customer asks for; key is the customer's own name for it, the same in every repetition."""

    key: str
    user: int
    product: int
    quantity: int


class Orders:
    """
    Orders kept in one SQLite file, or elsewhere. Without idempotency a repeated key stores another order. `reads` is
    where an order is looked up by its key, and may be a little behind.
    """

    def __init__(self, kept: Path | Storage, *, idempotency: bool, reads: Storage | None = None) -> None:
        self.ledger: Storage = Ledger(kept, _SCHEMA) if isinstance(kept, Path) else kept
        self.reads = reads or self.ledger
        self.idempotency = idempotency

    async def open(self) -> None:
        """Open the file; charges that a former process left under way are put off, to be settled."""
        await self.ledger.open()
        await self.ledger.do(
            lambda c: c.execute(
                "UPDATE orders SET status = ?, deferred = 1 WHERE status = ?", (PENDING_PAYMENT, PLACED)
            )
        )

    async def place(self, wish: Wish, amount_cents: int) -> tuple[Row, bool]:
        """Store an order as PLACED; gives the order of this key, and whether it was there before."""
        order_id = uuid.uuid4().hex

        def work(connection: Connection) -> tuple[Row, bool]:
            lock(connection, wish.key)
            known = one(connection, f"{_ROW} WHERE key = ? LIMIT 1", wish.key) if self.idempotency else None
            if known is not None:
                return known, True
            row = {
                "id": order_id,
                "key": wish.key,
                "user": wish.user,
                "product": wish.product,
                "quantity": wish.quantity,
                "amount_cents": amount_cents,
                "status": PLACED,
                "placed_at_s": time.time(),
            }
            insert(connection, "orders", row)
            return row, False

        return await self.ledger.do(work)

    async def paid(self, order_id: str, payment: str) -> None:
        """The charge was made."""
        await self.ledger.do(
            lambda c: c.execute(
                "UPDATE orders SET status = ?, payment = ?, paid_at_s = ? WHERE id = ?",
                (PAID, payment, time.time(), order_id),
            )
        )

    async def put_off(self, order_id: str) -> None:
        """The charge could not be made now; it is owed."""
        await self.ledger.do(
            lambda c: c.execute("UPDATE orders SET status = ?, deferred = 1 WHERE id = ?", (PENDING_PAYMENT, order_id))
        )

    async def refused(self, order_id: str) -> None:
        """The owed charge was refused for good; a person has to look at it."""
        await self.ledger.do(lambda c: c.execute("UPDATE orders SET status = ? WHERE id = ?", (UNPAID, order_id)))

    async def withdraw(self, order_id: str) -> None:
        """The order was not accepted: the customer was told so, nothing is kept."""
        await self.ledger.do(lambda c: c.execute("DELETE FROM orders WHERE id = ?", (order_id,)))

    async def unsettled(self, at_most: int) -> list[Row]:
        """The oldest orders whose charge is owed."""
        question = f"{_ROW} WHERE status = '{PENDING_PAYMENT}' ORDER BY sequence LIMIT ?"
        return await self.ledger.do(lambda c: many(c, question, at_most))

    async def find(self, order_id: str) -> Row | None:
        return await self.ledger.do(lambda c: one(c, f"{_ROW} WHERE id = ?", order_id))

    async def with_key(self, key: str) -> Row | None:
        """The order of a key, as far as where one reads knows it."""
        return await self.reads.do(lambda c: one(c, f"{_ROW} WHERE key = ? LIMIT 1", key))

    async def as_json(self) -> bytes:
        """All orders, oldest first, as `{"entries": [...], "count": n}`."""

        def work(connection: Connection) -> bytes:
            rows = many(connection, f"{_ROW} ORDER BY sequence")
            entries = [{**row, "deferred": bool(row["deferred"])} for row in rows]
            return json.dumps({"entries": entries, "count": len(entries)}).encode()

        return await self.ledger.do(work)
