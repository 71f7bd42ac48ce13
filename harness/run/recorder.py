"""
The recorder: the one thread that writes a run's journal.

Everybody else hands it rows: threads of the runner through `add`, other
processes through their spools. It has no opinion on what the rows mean, but
it counts the few figures that the live view shows.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.clock import Clock
from harness.errors import SetUpError
from harness.journal import FILE_NAME, SPOOL_FOLDER
from harness.journal.spool import SpoolReader
from harness.journal.writer import JournalWriter
from harness.secrets import PRIVATE_FOLDER

BATCH_PERIOD_S = 0.2
OPENING_LIMIT_S = 10.0
CATCH_UP_LIMIT_S = 10.0
CLOSING_LIMIT_S = 60.0

Rows = Mapping[str, Sequence[Sequence[object]]]


class Recorder:
    """Moves rows into RUN/journal.db every 0.2 s. `failure` is set when the disk refused them."""

    def __init__(self, run_dir: Path, clock: Clock, watch: Callable[[Rows], None] | None = None) -> None:
        self.spool_dir = run_dir / SPOOL_FOLDER
        self.failure: Exception | None = None
        self._path = run_dir / FILE_NAME
        self._clock = clock
        self._watch = watch
        self._queue: list[tuple[str, Sequence[object]]] = []
        self._facts: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._opened = threading.Event()
        self._moved = threading.Condition()
        self._moves = 0
        self._spools: dict[Path, SpoolReader] = {}
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)

    def start(self) -> None:
        """Create the journal. Raises SetUpError when it cannot be written."""
        try:
            self.spool_dir.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        except OSError as error:
            raise SetUpError(f"cannot write {self.spool_dir}: {error.strerror}") from error
        self._thread.start()
        if not self._opened.wait(OPENING_LIMIT_S):
            raise SetUpError(f"the journal {self._path} could not be opened within {OPENING_LIMIT_S:.0f} s")
        self.check()

    def check(self) -> None:
        """Raise SetUpError if the journal can no longer be written."""
        if self.failure is not None:
            raise SetUpError(
                f"the journal {self._path} can no longer be written: {self.failure}",
                hint="is the disk full? free some room, or choose another folder with --reports DIR",
            ) from self.failure

    def emit(self, kind: str, subject: str, data: Mapping[str, Any]) -> None:
        """Write one event, stamped now. Safe from any thread."""
        self.add("events", (self._clock.now_ns(), kind, subject, json.dumps(data)))

    def add(self, table: str, values: Sequence[object]) -> None:
        """Write one row in the column order of journal.spool.COLUMNS. Safe from any thread."""
        with self._lock:
            self._queue.append((table, values))

    def put(self, facts: Mapping[str, Any]) -> None:
        """Set facts of the run table. Safe from any thread."""
        with self._lock:
            self._facts.update(facts)

    def catch_up(self) -> None:
        """
        Wait until every row that was handed in, or lay in a spool, before this call is in the journal and was heard of.
        Raises SetUpError when that is not so within 10 s, or the journal can no longer be written.
        """
        with self._moved:
            enough = self._moves + 2  # the one under way may have looked before
            done = self._moved.wait_for(lambda: self._moves >= enough or self.failure is not None, CATCH_UP_LIMIT_S)
        self.check()
        if not done:
            raise SetUpError(f"the journal {self._path} did not take all rows within {CATCH_UP_LIMIT_S:.0f} s")

    def close(self) -> None:
        """Write what is left, fold the journal together, remove the spools; may be called twice."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(CLOSING_LIMIT_S)
        if self.failure is None and not self._thread.is_alive():
            shutil.rmtree(self.spool_dir, ignore_errors=True)

    def _work(self) -> None:
        try:
            writer = JournalWriter(self._path)
        except Exception as error:  # handed to whoever waits in start()
            self.failure = error
            self._opened.set()
            return
        self._opened.set()
        try:
            while not self._closing.wait(BATCH_PERIOD_S):
                self._move(writer)
                self._tell_moved()
            self._move(writer)
        except (sqlite3.Error, OSError) as error:
            self.failure = error
        finally:
            self._tell_moved()
            writer.close()

    def _tell_moved(self) -> None:
        with self._moved:
            self._moves += 1
            self._moved.notify_all()

    def _move(self, writer: JournalWriter) -> None:
        batches: dict[str, list[Sequence[object]]] = defaultdict(list)
        with self._lock:
            queue, self._queue = self._queue, []
            facts, self._facts = self._facts, {}
        for table, values in queue:
            batches[table].append(values)
        for path in sorted(self.spool_dir.rglob("*.jsonl")):
            for table, values in self._spools.setdefault(path, SpoolReader(path)).rows():
                batches[table].append(values)
        if facts:
            writer.put(facts)
        if batches:
            writer.append(batches)
            if self._watch is not None:
                self._watch(batches)
