"""
A table of effects in an embedded SQLite file, worked on by one thread of its own.

WAL with synchronous=NORMAL: what was written survives the death of the process (not of the machine).
The event loop never waits for the disk; every piece of work is one short transaction, one after the other,
so "look, then write" is atomic.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Row = dict[str, Any]


class LedgerUnavailable(ConnectionError):
    """The ledger could not be reached, or not in time; what was asked of it may have been done or not."""


class Connection(Protocol):
    """What work is handed by any ledger: sqlite3's `execute`, with question marks for values."""

    def execute(self, question: str, values: Any = ..., /) -> Any: ...


class Storage(Protocol):
    """A ledger of whatever kind: SQLite in a file here, PostgreSQL in `postgres_ledger.py`."""

    name: str

    async def open(self) -> None: ...

    async def do(self, work: Callable[[Any], T]) -> T:
        """Run work in a transaction; its exception undoes it."""
        ...

    async def works(self) -> bool: ...

    async def close(self) -> None: ...


class Ledger:
    """One SQLite file. `do` runs a function on its connection, in its thread, in a transaction."""

    name = "SQLite"

    def __init__(self, file: Path, schema: str) -> None:
        self.file = file
        self._schema = schema
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Create the file, its folder and its tables where they are missing. Raises OSError, sqlite3.Error."""
        await self._in_thread(self._open)

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work in a transaction and hand back its result; its exception undoes the transaction."""
        return await self._in_thread(lambda: self._transaction(work))

    async def works(self) -> bool:
        """Whether the file can be written to now."""
        try:
            await self.do(lambda connection: connection.execute("SELECT 1"))
        except sqlite3.Error:
            return False
        return True

    async def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._connection is not None:
            await self._in_thread(self._close)
        self._thread.shutdown(wait=True)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.file, isolation_level=None, timeout=2.0)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(self._schema)
        self._connection = connection

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        assert self._connection is not None, "the ledger is used before open() or after close()"
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(self._connection)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return result

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def lock(connection: Connection, key: str) -> None:
    """Keep others from working on the same key until this transaction ends; in SQLite nobody else works anyway."""
    locking = getattr(connection, "lock", None)
    if locking is not None:
        locking(key)


def one(connection: Connection, question: str, *values: Any) -> Row | None:
    """The first row, as a dict; None when there is none."""
    row = connection.execute(question, values).fetchone()
    return dict(row) if row is not None else None


def many(connection: Connection, question: str, *values: Any) -> list[Row]:
    """All rows, as dicts."""
    return [dict(row) for row in connection.execute(question, values)]


def insert(connection: Connection, table: str, row: Row) -> None:
    """Add one row; table and column names are ours, never a person's."""
    columns = ", ".join(f'"{column}"' for column in row)
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(row.values()))  # noqa: S608
