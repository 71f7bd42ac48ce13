"""The recorder moves rows from threads and spools into one journal, and says when it cannot."""

from __future__ import annotations

import sqlite3

import pytest

from harness.clock import FakeClock
from harness.errors import SetUpError
from harness.journal import FILE_NAME
from harness.journal.reader import JournalReader
from harness.journal.spool import SpoolWriter
from harness.run.recorder import Recorder

PROBE = (5, "actuator", "order", 1, "{}")


def test_rows_of_threads_and_spools_end_in_one_journal(tmp_path):
    """What was added by threads and what lies in spools is all in the journal after close, and the spools are gone."""
    recorder = Recorder(tmp_path, FakeClock(7))
    recorder.start()
    recorder.emit("run.started", "x", {"a": 1})
    recorder.put({"seed": 3})
    spool = SpoolWriter(recorder.spool_dir / "gate.jsonl")
    spool.append("probes", PROBE)
    spool.close()

    recorder.close()

    with JournalReader(tmp_path) as reader:
        assert [(7, "run.started", "x", {"a": 1})] == reader.events()
        assert [PROBE] == list(reader.rows("SELECT t_ns, observer, subject, ok, data FROM probes"))
        assert reader.facts["seed"] == 3
    assert not recorder.spool_dir.exists()


def test_a_watcher_hears_of_every_batch(tmp_path):
    """Whoever watches gets the rows in the shape in which they are written."""
    heard = []
    recorder = Recorder(tmp_path, FakeClock(), heard.append)
    recorder.start()
    recorder.add("probes", PROBE)

    recorder.close()

    assert [PROBE] == [row for batch in heard for row in batch.get("probes", ())]


def test_who_catches_up_knows_every_row_that_lay_in_a_spool(tmp_path):
    """Rows that another process had written before are heard of once catch_up returns."""
    heard = []
    recorder = Recorder(tmp_path, FakeClock(), heard.append)
    recorder.start()
    spool = SpoolWriter(recorder.spool_dir / "load.jsonl")
    spool.append("probes", PROBE)
    spool.flush()

    recorder.catch_up()

    assert [PROBE] == [tuple(row) for batch in heard for row in batch.get("probes", ())]
    spool.close()
    recorder.close()


def test_a_folder_that_cannot_be_written_is_a_set_up_error(tmp_path):
    """A journal that cannot be created is said at once, with the file's name."""
    (tmp_path / FILE_NAME).mkdir()

    with pytest.raises(SetUpError, match=FILE_NAME):
        Recorder(tmp_path, FakeClock()).start()


def test_a_disk_that_refuses_rows_is_noticed(tmp_path):
    """When SQLite refuses a batch, check raises instead of losing rows in silence."""
    recorder = Recorder(tmp_path, FakeClock())
    recorder.start()
    recorder.add("probes", (None, None, None, None, None))  # NOT NULL everywhere

    recorder.close()

    assert isinstance(recorder.failure, sqlite3.Error)
    with pytest.raises(SetUpError, match="can no longer be written"):
        recorder.check()
