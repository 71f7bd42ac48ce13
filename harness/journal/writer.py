"""
Writes a journal. One process, one thread: the recorder owns the only writer of a run.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from harness.errors import SetUpError
from harness.journal import FORMAT
from harness.journal.masking import masked_rows
from harness.journal.spool import COLUMNS
from harness.secrets import private_opener, texts

_INSERT = {
    table: f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608  # names of our own tables
    for table, columns in COLUMNS.items()
}


class JournalWriter:
    """Appends batches of rows; what was committed survives `kill -9` (WAL)."""

    def __init__(self, path: Path) -> None:
        try:
            os.close(private_opener(str(path), os.O_RDWR | os.O_CREAT))  # what SQLite puts beside it is as private
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(files("harness.journal").joinpath("schema.sql").read_text("utf-8"))
        except (sqlite3.Error, OSError) as error:
            raise SetUpError(
                f"cannot write the journal {path}: {error}",
                hint="is the disk full, or the folder read-only? choose another with --reports DIR",
            ) from error
        self.put({"format": FORMAT})

    def put(self, facts: Mapping[str, Any]) -> None:
        """Set facts of the `run` table; values are stored as JSON."""
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO run (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [(key, json.dumps(texts(value))) for key, value in facts.items()],
        )
        self._db.execute("COMMIT")

    def append(self, batches: Mapping[str, Iterable[Sequence[object]]]) -> None:
        """Add rows, one transaction for all of them. Raises sqlite3.Error when the disk is full."""
        self._db.execute("BEGIN")
        try:
            for table, rows in batches.items():
                self._db.executemany(_INSERT[table], masked_rows(table, rows))
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """
        Fold the write-ahead log into the file and close; may be called twice.

        A closed journal is one ordinary file: as a WAL file it could not be read from a read-only folder.
        """
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._db.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.Error:
            pass
        self._db.close()
