"""
A table of effects in PostgreSQL, behind the same words as the embedded one: work in a short transaction, or nothing.

A pool of a few connections, each worked on by a thread; the event loop waits no longer than wait_s. Two things are
left undone on purpose. There is no statement_timeout: it would also end the wait of a COMMIT for its replica, which
then counts as committed, and a write would be acknowledged that one machine alone holds. And a transaction that was
cut off is not repeated here: it may have been done, and only who asked knows whether it may be done again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from services.shop.ledger import LedgerUnavailable

if TYPE_CHECKING:
    import psycopg
    import psycopg_pool

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
FIRST_LIMIT_S = 40.0  # a cluster that is only just being made
_AGAIN_S = 0.2
_LOCK = 20_127  # any number that all who migrate agree on


class Transaction:
    """What work is handed: `execute` as sqlite3 has it, question marks for values."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        self._connection = connection

    def execute(self, question: str, values: Any = ()) -> Any:
        return self._connection.execute(question.replace("%", "%%").replace("?", "%s"), values)  # type: ignore[arg-type]

    def lock(self, key: str) -> None:
        """Nobody else who locks this key goes on before this transaction has ended."""
        self._connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (key,))


class PostgresLedger:
    """The tables of one service. url is libpq's; connections bounds how much is under way at once."""

    name = "PostgreSQL"

    def __init__(self, url: str, service: str, *, connections: int = 8, wait_s: float = 1.0) -> None:
        self._url, self._service = url, service
        self._connections, self._wait_s = connections, wait_s
        self._threads = ThreadPoolExecutor(max_workers=connections, thread_name_prefix="postgres")
        self._pool: psycopg_pool.ConnectionPool[psycopg.Connection[dict[str, Any]]] | None = None

    async def open(self) -> None:
        """Migrate and fill the pool, as soon as the database is there. Raises LedgerUnavailable."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._open)

    async def do(self, work: Callable[[Transaction], T]) -> T:
        """Run work in a transaction and hand back its result. Raises LedgerUnavailable."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, lambda: self._transaction(work))
        try:
            async with asyncio.timeout(self._wait_s):
                return await asyncio.shield(running)
        except TimeoutError:
            running.cancel()  # not begun: never; begun: it ends unheard
            running.add_done_callback(_heard)
            raise LedgerUnavailable(f"the database has not answered within {self._wait_s:g} s") from None

    async def works(self) -> bool:
        """Whether the database answers now."""
        try:
            await self.do(lambda transaction: transaction.execute("SELECT 1"))
        except LedgerUnavailable:
            return False
        return True

    async def close(self) -> None:
        """Close the pool. Safe to call twice."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.close, 1.0)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _open(self) -> None:
        import psycopg
        from psycopg.rows import dict_row
        from psycopg_pool import ConnectionPool

        ends_s = time.monotonic() + FIRST_LIMIT_S
        while True:
            try:
                with psycopg.connect(self._url, connect_timeout=5) as connection:
                    migrate(connection, self._service)
                break
            except psycopg.OperationalError as problem:
                if time.monotonic() > ends_s:
                    raise LedgerUnavailable(f"no database within {FIRST_LIMIT_S:g} s: {problem}") from problem
                time.sleep(_AGAIN_S)
        self._pool = ConnectionPool(
            self._url,
            min_size=2,
            max_size=self._connections,
            timeout=self._wait_s,
            open=True,
            kwargs={"row_factory": dict_row, "connect_timeout": 2},
            check=ConnectionPool.check_connection,  # after a failover each idle connection is a dead one
            reconnect_timeout=3600.0,
            name=self._service,
        )

    def _transaction(self, work: Callable[[Transaction], T]) -> T:
        import psycopg
        from psycopg_pool import PoolTimeout

        assert self._pool is not None, "the ledger is used before open() or after close()"
        try:
            with self._pool.connection() as connection:
                return work(Transaction(connection))
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as problem:
            raise LedgerUnavailable(str(problem)) from problem


def migrate(connection: psycopg.Connection[Any], service: str) -> list[str]:
    """Apply the service's migrations that were not applied yet, in order of their names; returns those."""
    folder = MIGRATIONS / service
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute("CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, applied_at timestamptz)")
        applied = {row[0] for row in connection.execute("SELECT name FROM migrations").fetchall()}
        new = [file for file in sorted(folder.glob("*.sql")) if f"{service}/{file.name}" not in applied]
        for file in new:
            connection.execute(file.read_text(encoding="utf-8"))  # type: ignore[arg-type]
            connection.execute("INSERT INTO migrations VALUES (%s, now())", (f"{service}/{file.name}",))
    return [file.name for file in new]


def _heard(running: asyncio.Future[Any]) -> None:
    if not running.cancelled():
        running.exception()  # nobody else asks for it
