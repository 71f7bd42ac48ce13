"""The big tables of a journal as columns."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import journals
import pytest

from harness.errors import InputError
from harness.journal.columns import request_columns
from harness.journal.reader import JournalReader


def written(folder: Path, *, seconds: tuple[float, ...]) -> Path:
    """A run whose requests were written in this order of their intended instants."""
    run = journals.Run(journals.scenario({"slo": {}}), journals.shop(), seconds=10)
    for second in seconds:
        run.request(second, latency_ms=10 * second, status=200 + int(second))
    return run.write(folder)


def test_requests_come_in_order_of_their_intended_instant_and_know_their_rows(tmp_path: Path) -> None:
    with JournalReader(written(tmp_path / "run", seconds=(3, 1, 2))) as reader:
        own = request_columns(reader)[journals.ORDERS]
        assert list(own.status) == [201, 202, 203]
        assert [ns - journals.at(0) for ns in own.intended_ns] == [10**9, 2 * 10**9, 3 * 10**9]
        by_row = dict(reader.rows("SELECT id, status FROM requests"))
    assert [by_row[own.row_id(place)] for place in range(3)] == [201, 202, 203]


def test_an_instant_that_is_no_whole_number_is_a_damaged_file(tmp_path: Path) -> None:
    path = written(tmp_path / "run", seconds=(1, 2))
    with sqlite3.connect(path / "journal.db") as database:
        database.execute("UPDATE requests SET intended_ns = 0.5 WHERE status = 202")
    database.close()
    with JournalReader(path) as reader, pytest.raises(InputError, match=r"intended_ns in row \d+ of requests is 0.5"):
        request_columns(reader)
