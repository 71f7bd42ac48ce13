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
    return _postgres(settings, settings.database_url)


def reading(settings: Settings) -> Storage | None:
    """Where to look up what may be a little old; None: nowhere else than where it is written."""
    return None if settings.read_database_url is None else _postgres(settings, settings.read_database_url)


def _postgres(settings: Settings, url: str) -> Storage:
    from services.shop.postgres_ledger import PostgresLedger  # only who uses it needs the driver

    return PostgresLedger(
        url,
        settings.service,
        connections=settings.database_connections,
        wait_s=settings.database_wait_s,
    )
