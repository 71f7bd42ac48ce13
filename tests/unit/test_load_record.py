"""What became of requests: kinds of trouble, rows, and the numbers of the receipt."""

from __future__ import annotations

import json

import pytest

from harness.clock import NS_PER_MS, NS_PER_S
from harness.journal.spool import COLUMNS, SpoolReader, SpoolWriter
from harness.load.client import load_config
from harness.load.config import LoadConfig
from harness.load.outcome import Answer, ClosedEarly, error_class, judged, shortened
from harness.load.record import CpuMeter, Record, Sent, rank
from harness.scenario.model import Load
from harness.system.model import Profile, RequestTemplate


def foreign(name, *arguments, cause=None):
    error = type(name, (Exception,), {})(*arguments)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "phase", "kind"),
    [
        (ConnectionRefusedError(), "connect", "refused"),
        (TimeoutError(), "connect", "connect_timeout"),
        (TimeoutError(), "exchange", "read_timeout"),
        (ConnectionResetError(), "exchange", "reset"),
        (BrokenPipeError(), "exchange", "reset"),
        (ClosedEarly(), "exchange", "closed_early"),
        (foreign("HTTPConnectionClosed", "connection closed."), "exchange", "closed_early"),
        (foreign("HTTPConnectionClosed", cause=ConnectionResetError()), "exchange", "reset"),
        (foreign("ConnectionError", foreign("ProtocolError", "aborted", ConnectionResetError())), "exchange", "reset"),
        (
            foreign("ConnectionError", foreign("NewConnectionError", cause=ConnectionRefusedError())),
            "exchange",
            "refused",
        ),
        (foreign("ConnectTimeout", TimeoutError()), "exchange", "connect_timeout"),
        (foreign("RetriesExceeded", "original=timed out"), "exchange", "read_timeout"),
        (ZeroDivisionError(), "exchange", "other:ZeroDivisionError"),
    ],
)
def test_trouble_has_one_name_whatever_the_client_calls_it(error, phase, kind):
    """The same trouble, as different clients raise it, is of the same kind."""
    assert kind == error_class(error, phase)


def test_errors_that_cause_each_other_end():
    """A circle of causes is read once round."""
    first, second = foreign("A"), foreign("B")
    first.__cause__, second.__cause__ = second, first

    assert error_class(first) == "other:A"


@pytest.mark.parametrize(
    ("answer", "ok", "expected"),
    [
        (Answer(status=200), (), (True, None)),
        (Answer(status=302), (), (True, None)),
        (Answer(status=404), (), (False, "status 404")),
        (Answer(status=404), (200, 404), (True, None)),
        (Answer(status=202), (201,), (False, "status 202")),
        (Answer(status=200, error="closed_early"), (), (False, "closed_early")),
        (Answer(), (), (False, "status 0")),
    ],
)
def test_an_answer_is_judged_by_the_profile_or_by_common_sense(answer, ok, expected):
    """Declared statuses are the good ones, else those below 400; trouble is never good."""
    assert expected == judged(answer, ok)


def test_long_fallbacks_are_cut():
    """A header as long as a book does not get into the journal whole."""
    assert [200, None, None] == [len(shortened("x" * 5000)), shortened(""), shortened(None)]


@pytest.fixture
def record(tmp_path):
    writer = SpoolWriter(tmp_path / "load.jsonl")
    yield Record(writer, scheduled=True)
    writer.close()


def rows(tmp_path):
    found = SpoolReader(tmp_path / "load.jsonl").rows()
    return [dict(zip(COLUMNS["requests"], values, strict=True)) for _, values in found]


def test_every_intended_request_leaves_one_row(record, tmp_path):
    """Answered, dropped and unfinished requests each have a row, told apart by the stamps they lack."""
    ok = record.start(Sent(name="GET /", intended_ns=10, start_ns=20, trace="t", key="k"))
    record.start(Sent(name="GET /", intended_ns=30, start_ns=30))
    record.drop(name="GET /", intended_ns=50, trace="u", key=None)
    record.finish(ok, Answer(status=200, body_bytes=2, fallback="cached"), 40)
    record.give_up()
    record.give_up()
    record.flush()

    stamps = [(r["intended_ns"], r["start_ns"], r["end_ns"], r["error"], r["ok"]) for r in rows(tmp_path)]
    assert stamps == [(50, None, None, "dropped", 0), (10, 20, 40, None, 1), (30, 30, None, "unfinished", 0)]
    assert (
        rows(tmp_path)[1] | {"business_key": "k", "trace": "t", "fallback": "cached", "bytes": 2} == rows(tmp_path)[1]
    )
    numbers = record.numbers()
    assert (numbers["intended"], numbers["sent"], numbers["dropped"]) == (3, 2, 1)
    assert (numbers["finished"], numbers["unfinished"], record.in_flight) == (1, 1, 0)


def test_schedule_errors_are_start_minus_intended(record):
    """Of a hundred requests, each n ms late, the receipt's percentiles are exact ranks."""
    for late in range(1, 101):
        record.start(Sent(name="GET /", intended_ns=0, start_ns=late * NS_PER_MS))
    numbers = record.numbers()

    late_ms = [numbers[f"schedule_error_{part}_ms"] for part in ("p50", "p99", "max")]
    assert late_ms == [50.0, 99.0, 100.0]


def test_a_load_that_sent_nothing_claims_no_punctuality(record):
    """Without a request there is no schedule error, not one of zero."""
    assert record.numbers()["schedule_error_p99_ms"] is None


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(0, 0.5, None), (1, 0.99, 1), (10, 0.5, 5), (10, 0.99, 10), (1000, 0.99, 990)]
)
def test_ranks_are_nearest_ranks(count, share, expected):
    """A percentile is a value that was seen, at the nearest rank."""
    assert expected == rank([float(n) for n in range(1, count + 1)], share)


def test_the_worst_second_of_cpu_is_kept():
    """The meter remembers the busiest window, and the sum over all."""
    meter = CpuMeter(now_ns=0, cpu_ns=5 * NS_PER_S)
    for second, cpu_s in enumerate([5.2, 6.1, 6.2], 1):
        meter.window(now_ns=second * NS_PER_S, cpu_ns=round(cpu_s * NS_PER_S))

    assert meter.numbers() == {"cpu_s": 1.2, "cpu_share_max": 0.9}


@pytest.mark.parametrize(
    ("load", "model"),
    [
        (Load(arrivals=[{"rate": "40/s", "for": "5s"}, {"from": "40/s", "to": "80/s", "for": "5s"}]), "open"),
        (Load(users=20, think="1s"), "closed"),
        (Load(users=20, locustfile="mine.py"), "file"),
    ],
)
def test_what_the_child_is_told_survives_its_file(tmp_path, load, model):
    """A configuration read back from JSON equals the one that was written, for every model."""
    (tmp_path / "mine.py").touch()
    request = RequestTemplate(name="a", weight=1, to="s", method="GET", path="/", json={"x": [1]}, ok=(200, 201))
    profile = Profile(name="mix", requests=(request,), data={"u": {"integer": [1, 2]}})
    told = load_config(
        load, profile, seed=3, duration_s=10.0, bases={"s": "http://127.0.0.1:1"}, spool=tmp_path / "s",
        locustfile_folder=tmp_path,
    )  # fmt: skip
    read = LoadConfig.from_json(json.loads(json.dumps(told)))

    assert (read.model, read.seed, read.host) == (model, 3, "http://127.0.0.1:1")
    assert read.profile == (None if model == "file" else profile)
    assert json.loads(json.dumps(read.to_json())) == json.loads(json.dumps(told))
