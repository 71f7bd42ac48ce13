"""
Which kind of ledger a service keeps its effects in: the file of LEDGER, or the PostgreSQL of DATABASE_URL.
"""

from __future__ import annotations

from pathlib import Path

from services.shop.ledger import Storage
from services.shop.settings import Settings


def storage(settings: Settings) -> Path | Storage:
    """A file, to be opened with the book's own tables; or PostgreSQL, where migrations make them."""
    if settings.database_url is None:
        assert settings.ledger is not None
        return settings.ledger
    from services.shop.postgres_ledger import PostgresLedger  # only who uses it needs the driver

    return PostgresLedger(
        settings.database_url,
        settings.service,
        connections=settings.database_connections,
        wait_s=settings.database_wait_s,
    )
