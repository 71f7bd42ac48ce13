"""
A table of effects in PostgreSQL, behind the same words as the embedded one: work in a short transaction, or nothing.

A few connections, each worked on by a thread; the event loop waits no longer than wait_s. They are kept here and not in
a ready-made pool, which waits a second after a connection that failed: a failover is over sooner. Two things are left
undone on purpose. There is no statement_timeout: it would also end the wait of a COMMIT for its replica, which then
counts as committed, and a write would be acknowledged that one machine alone holds. And a transaction that was cut off
is not repeated here: it may have been done, and only who asked knows whether it may be done again.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from services.shop.ledger import LedgerUnavailable

if TYPE_CHECKING:
    import psycopg

    Kept = psycopg.Connection[dict[str, Any]]

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
FIRST_LIMIT_S = 40.0  # a cluster that is only just being made
CLOSE_LIMIT_S = 1.0
_AGAIN_S = 0.05
_LOCK = 20_127  # any number that all who migrate agree on


class Transaction:
    """What work is handed: `execute` as sqlite3 has it, question marks for values."""

    def __init__(self, connection: Kept) -> None:
        self._connection = connection

    def execute(self, question: str, values: Any = ()) -> Any:
        return self._connection.execute(question.replace("%", "%%").replace("?", "%s"), values)  # type: ignore[arg-type]

    def lock(self, key: str) -> None:
        """Nobody else who locks this key goes on before this transaction has ended."""
        self._connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (key,))


@dataclass(slots=True)
class _Place:
    """Room for one connection; whoever holds the place may use it."""

    connection: Kept | None = None


class PostgresLedger:
    """The tables of one service. url is libpq's; connections bounds how much is under way at once."""

    name = "PostgreSQL"

    def __init__(self, url: str, service: str, *, connections: int = 8, wait_s: float = 1.0) -> None:
        self._url, self._service = url, service
        self._connections, self._wait_s = connections, wait_s
        self._threads = ThreadPoolExecutor(max_workers=connections, thread_name_prefix="postgres")
        self._idle: queue.LifoQueue[_Place] = queue.LifoQueue()  # the one used last is used next
        for _ in range(connections):
            self._idle.put(_Place())

    async def open(self) -> None:
        """Migrate, as soon as the database is there. Raises LedgerUnavailable."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._open)

    async def do(self, work: Callable[[Transaction], T]) -> T:
        """Run work in a transaction and hand back its result. Raises LedgerUnavailable."""
        given_up = threading.Event()
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._threads, lambda: self._transaction(work, given_up))
        try:
            async with asyncio.timeout(self._wait_s):
                return await asyncio.shield(running)
        except TimeoutError:
            given_up.set()
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
        """Close the connections. Safe to call twice."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._close)

    def _open(self) -> None:
        import psycopg

        ends_s = time.monotonic() + FIRST_LIMIT_S
        while True:
            try:
                with psycopg.connect(self._url, connect_timeout=5) as connection:
                    migrate(connection, self._service)
                return
            except psycopg.OperationalError as problem:
                if time.monotonic() > ends_s:
                    raise LedgerUnavailable(f"no database within {FIRST_LIMIT_S:g} s: {problem}") from problem
                time.sleep(_AGAIN_S)

    def _close(self) -> None:
        ends_s = time.monotonic() + CLOSE_LIMIT_S
        with suppress(queue.Empty):  # one that hangs on a frozen server goes with the process
            for _ in range(self._connections):
                place = self._idle.get(timeout=max(0.0, ends_s - time.monotonic()))
                if place.connection is not None:
                    place.connection.close()

    def _transaction(self, work: Callable[[Transaction], T], given_up: threading.Event) -> T:
        import psycopg

        place = self._idle.get()
        try:
            connection = self._working(place, given_up)
            if given_up.is_set():  # the caller was told so already: what is not begun is not done either
                raise LedgerUnavailable("nobody waits for it any more")
            with connection.transaction():
                return work(Transaction(connection))
        except (psycopg.OperationalError, psycopg.InterfaceError) as problem:
            raise LedgerUnavailable(str(problem)) from problem
        finally:
            self._idle.put(place)

    def _working(self, place: _Place, given_up: threading.Event) -> Kept:
        """The connection of a place when it answers, else a new one there. Raises psycopg.OperationalError."""
        import psycopg
        from psycopg.rows import dict_row

        while True:
            try:
                if place.connection is None:
                    place.connection = psycopg.connect(
                        self._url, connect_timeout=2, autocommit=True, row_factory=dict_row
                    )
                place.connection.execute("")  # after a failover each idle connection is a dead one
                return place.connection
            except (psycopg.OperationalError, psycopg.InterfaceError):
                if place.connection is not None:
                    place.connection.close()
                    place.connection = None
                elif given_up.wait(_AGAIN_S):
                    raise


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
