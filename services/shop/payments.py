"""
The book of charges: one row per charge, and the promise that one key charges once.
"""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

from services.shop.ledger import Connection, Ledger, Row, Storage, insert, lock, many, one

_SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    sequence     INTEGER PRIMARY KEY,
    id           TEXT NOT NULL,
    key          TEXT NOT NULL,
    order_key    TEXT NOT NULL,
    amount_cents INTEGER NOT NULL,
    charged_at_s REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS payments_by_key ON payments (key);
CREATE INDEX IF NOT EXISTS payments_by_id ON payments (id);
"""
_ROW = 'SELECT id, key, order_key AS "order", amount_cents, charged_at_s FROM payments'


class KeyReused(Exception):
    """The key was used before, for another charge."""


class Payments:
    """Charges kept in one SQLite file, or elsewhere. Without idempotency each request charges, whatever its key."""

    def __init__(self, kept: Path | Storage, *, idempotency: bool) -> None:
        self.ledger: Storage = Ledger(kept, _SCHEMA) if isinstance(kept, Path) else kept
        self.idempotency = idempotency

    async def charge(self, *, key: str, order: str, amount_cents: int) -> tuple[Row, bool]:
        """The charge of a key, and whether it was made before. Raises KeyReused."""

        def work(connection: Connection) -> tuple[Row, bool]:
            lock(connection, key)
            known = one(connection, f"{_ROW} WHERE key = ? LIMIT 1", key) if self.idempotency else None
            if known is None:
                return self._charge(connection, key, order, amount_cents), False
            if (known["order"], known["amount_cents"]) != (order, amount_cents):
                raise KeyReused(f"key {key!r} has charged {known['amount_cents']} cents for order {known['order']!r}")
            return known, True

        return await self.ledger.do(work)

    async def find(self, payment_id: str) -> Row | None:
        return await self.ledger.do(lambda c: one(c, f"{_ROW} WHERE id = ?", payment_id))

    async def as_json(self) -> bytes:
        """All charges, oldest first, as `{"entries": [...], "count": n}`."""

        def work(connection: Connection) -> bytes:
            entries = many(connection, f"{_ROW} ORDER BY sequence")
            return json.dumps({"entries": entries, "count": len(entries)}).encode()

        return await self.ledger.do(work)

    @staticmethod
    def _charge(connection: Connection, key: str, order: str, amount_cents: int) -> Row:
        payment_id = uuid.uuid4().hex
        row = {"id": payment_id, "key": key, "order_key": order, "amount_cents": amount_cents}
        insert(connection, "payments", {**row, "charged_at_s": time.time()})
        charged = one(connection, f"{_ROW} WHERE id = ?", payment_id)
        assert charged is not None
        return charged
