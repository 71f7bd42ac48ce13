"""
Reads a journal. Nothing here changes the file: it is opened read-only.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, Self

from harness.errors import HarnessError, InputError
from harness.journal import FILE_NAME, FORMAT
from harness.journal.damage import first_damage, missing_part

MAPPED_BYTES = 1 << 31  # read through the machine's own page cache: a third less time for each look at a big table


AHEAD = 2  # answers being worked on while the caller works on one


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    database.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
    return database


class _Ahead:
    """Queries being answered by threads with connections of their own; answers in the order of asking."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(AHEAD, initializer=self._open)
        self._asked: deque[Future[tuple[Any, ...]]] = deque()

    def _open(self) -> None:
        self._own.database = _opened(self._path)
        self._opened.append(self._own.database)

    def submit(self, sql: str, values: Sequence[object]) -> None:
        self._asked.append(self._pool.submit(self._first, sql, values))

    def _first(self, sql: str, values: Sequence[object]) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self._own.database.execute(sql, values).fetchone()
        return found

    def next(self) -> tuple[Any, ...]:
        """The answer to the oldest question not yet answered. Raises InputError when the file is damaged."""
        try:
            return self._asked.popleft().result()
        except (sqlite3.Error, BrokenExecutor) as error:
            raise InputError(f"{self._path}: damaged: {error}") from error

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        for database in self._opened:
            database.close()


class JournalReader:
    """One run's journal. `run` is the folder of the run or the file itself. Raises InputError."""

    def __init__(self, run: Path) -> None:
        try:
            self.path = run / FILE_NAME if run.is_dir() else run
            there = self.path.is_file()
        except (OSError, ValueError) as error:  # ValueError: a NUL inside the path
            raise InputError(f"{run}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
        if not there:
            raise InputError(f"{run}: no journal here", hint="name a run's folder (reports/latest) or its journal.db")
        try:
            self._db = _opened(self.path)
            self.facts: dict[str, Any] = {
                key: json.loads(value) for key, value in self._db.execute("SELECT key, value FROM run")
            }
            missing = missing_part(self._db)
        except (sqlite3.Error, OSError, ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{self.path}: not a journal of this program: {error}") from error
        if self.facts.get("format") != FORMAT:
            raise InputError(
                f"{self.path}: journal format {self.facts.get('format')!r}, this version reads {FORMAT}",
                hint="judge it with the version that wrote it (key `versions` of its run table)",
            )
        if missing is not None:
            raise InputError(f"{self.path}: damaged: {missing}")

    def rows(self, sql: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows of any query, as tuples. Raises InputError when the file is damaged."""
        try:
            yield from chain(
                self._db.execute(sql, values)
            )  # chain: a generator left half-way must not close the cursor
        except sqlite3.DatabaseError as error:
            raise InputError(f"{self.path}: damaged: {error}") from error

    def batches(self, sql: str, values: Sequence[object] = (), size: int = 20_000) -> Iterator[list[tuple[Any, ...]]]:
        """Rows of any query in lists of at most size, for tables too big for row by row. Raises InputError."""
        try:
            cursor = self._db.execute(sql, values)
            while batch := cursor.fetchmany(size):
                yield batch
        except sqlite3.DatabaseError as error:
            raise InputError(f"{self.path}: damaged: {error}") from error

    def first_rows(self, sql: str, each: Sequence[Sequence[object]]) -> Iterator[tuple[Any, ...]]:
        """
        The first row of a query for each set of values. While the caller works on one, SQLite works on the next two in
        threads of its own, which do not need the interpreter. Raises InputError when the file is damaged.
        """
        if len(each) < 2:
            yield from (next(self.rows(sql, values)) for values in each)
            return
        with closing(_Ahead(self.path)) as ahead:
            for values in each[:AHEAD]:
                ahead.submit(sql, values)
            for values in each[AHEAD:]:
                yield ahead.next()
                ahead.submit(sql, values)
            for _ in each[:AHEAD]:
                yield ahead.next()

    def events(self, *kinds: str) -> list[tuple[int, str, str, dict[str, Any]]]:
        """Events as (t_ns, kind, subject, data) in order of time; all kinds when none is named."""
        where = f"WHERE kind IN ({', '.join('?' * len(kinds))})" if kinds else ""
        sql = f"SELECT t_ns, kind, subject, data FROM events {where} ORDER BY t_ns, id"  # noqa: S608  # only question marks
        return [(t_ns, kind, subject, json.loads(data)) for t_ns, kind, subject, data in self.rows(sql, kinds)]

    def damage(self) -> str | None:
        """What is wrong with the file, for whoever stumbled over something in it; None when nothing is. Slow."""
        return first_damage(self._db)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        """Close. What came out of a damaged file is the file's fault, and becomes an InputError that says where."""
        try:
            of_ours = isinstance(error, Exception) and not isinstance(error, HarnessError | OSError)
            if of_ours and (damage := self.damage()) is not None:
                raise InputError(f"{self.path}: damaged: {damage}") from error
        finally:
            self.close()
