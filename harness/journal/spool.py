"""
The spool: how another process hands rows to the journal without touching SQLite.

A producer (the gate, the load child) appends lines to a file of its own; the
recorder in the runner moves them into the journal. A line is a JSON array,
the table's name first, then its columns in the order of COLUMNS. A producer
that is killed loses at most what it had not flushed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from harness.journal.masking import masked

COLUMNS: dict[str, tuple[str, ...]] = {
    "events": ("t_ns", "kind", "subject", "data"),
    "requests": (
        "name", "intended_ns", "start_ns", "end_ns", "status", "ok", "error", "bytes", "trace",
        "business_key", "fallback",
    ),
    "wire": (
        "link", "connection", "exchange", "method", "path", "trace", "arrived_ns", "forwarded_ns",
        "head_ns", "ended_ns", "status", "request_bytes", "response_bytes", "ending", "faults", "in_flight",
    ),
    "connections": (
        "link", "connection", "protocol", "opened_ns", "connected_ns", "closed_ns", "closed_by",
        "ending", "bytes_up", "bytes_down",
    ),
    "app_events": ("t_ns", "seen_ns", "service", "source", "name", "type", "data"),
    "probes": ("t_ns", "observer", "subject", "ok", "data"),
    "ledger": ("ledger", "business_key", "data"),
}  # fmt: skip

FLUSH_BYTES = 64 * 1024


class SpoolWriter:
    """Appends rows to one spool file. Not thread-safe: one writer a thread. Call flush() every 0.1 s or so."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lines: list[str] = []
        self._size = 0

    def append(self, table: str, values: Sequence[object]) -> None:
        """Add one row; values follow COLUMNS[table]. JSON columns are already text. Secrets in it are masked."""
        line = json.dumps((table, *masked(table, values)), separators=(",", ":"))
        self._lines.append(line)
        self._size += len(line)
        if self._size >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand everything to the operating system."""
        if not self._lines:
            return
        data = ("\n".join(self._lines) + "\n").encode()
        self._lines.clear()
        self._size = 0
        while data:
            data = data[os.write(self._file, data) :]

    def close(self) -> None:
        """Flush and close; may be called twice."""
        if self._file >= 0:
            self.flush()
            os.close(self._file)
            self._file = -1


class SpoolReader:
    """Reads what was appended to one spool file since the last look; a half-written last line waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def rows(self) -> list[tuple[str, list[object]]]:
        """New rows as (table, values). A line that is no row at all is passed over, and counted in `damaged`."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        self._offset += end
        found: list[tuple[str, list[object]]] = []
        for line in data[:end].splitlines():
            try:
                table, *values = json.loads(line)
                if len(values) != len(COLUMNS[table]):
                    raise ValueError(line)
            except (ValueError, KeyError, TypeError):
                self.damaged += 1
                continue
            found.append((table, values))
        return found

    damaged: int = 0
