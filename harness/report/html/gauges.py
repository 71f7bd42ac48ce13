"""
Numbers over time that are no request's: attempts per call on each link, cores in use, and whatever numbers other
observers and events hold, without knowing what they mean.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.journal.columns import gathered, texts
from harness.journal.reader import JournalReader
from harness.report.html.axis import Axis
from harness.report.html.charts import lines_chart
from harness.report.html.drawing import Chart
from harness.report.html.lanes import DRAWN_ELSEWHERE, LEAST_GAUGE, Event, is_gauge

MOST_CHARTS = 8
_KNOWN_OBSERVERS = ("actuator", "processes", "machine", "gate", "replication")
_ENTRY = "load->"  # how the names of the load's own links begin: nobody retries there

Gauge = list[float | None]


def attempts(reader: JournalReader, axis: Axis) -> tuple[dict[str, Gauge], dict[str, Gauge]]:
    """
    Attempts per call and exchanges per second, by link. Attempts of one call are exchanges with the same trace id,
    method and path, counted where the first of them was; an exchange without a trace id is a call of its own.
    """
    per_call: dict[str, Gauge] = {}
    per_second: dict[str, Gauge] = {}
    for (link,) in reader.rows(f"SELECT DISTINCT link FROM wire WHERE link NOT LIKE '{_ENTRY}%'"):  # noqa: S608  # ours
        source = "wire WHERE link = ?"
        (arrived,), _ = gathered(reader, source, (link,), numbers=("arrived_ns",), digits=())
        places = np.clip((np.frombuffer(arrived, np.int64) - axis.start_ns) // axis.bucket_ns, -1, axis.buckets)
        per_second[str(link)] = [count / axis.bucket_s for count in _counts(places, axis)]
        per_call[str(link)] = _per_call(list(chain.from_iterable(texts(reader, _CALL, source, (link,)))), places, axis)
    return per_call, per_second


_CALL = "(ifnull(trace, id) || ' ' || ifnull(method, '') || ' ' || ifnull(path, ''))"


def _per_call(calls: Sequence[str], places: NDArray[np.int64], axis: Axis) -> Gauge:
    """Attempts for each call in the bucket of its first one. calls and places stand in order of writing."""
    times = Counter(calls)
    if len(times) == len(calls):
        return [1.0 if count else None for count in _counts(places, axis)]
    first: dict[str, int] = {}
    for call, place in zip(calls, places.tolist(), strict=True):
        first[call] = min(place, first.get(call, place))
    made, distinct = [0] * axis.buckets, [0] * axis.buckets
    inside = ((call, place) for call, place in first.items() if 0 <= place < axis.buckets)
    for call, place in inside:
        made[place] += times[call]
        distinct[place] += 1
    return [total / count if count else None for total, count in zip(made, distinct, strict=True)]


def _counts(places: NDArray[np.int64], axis: Axis) -> list[int]:
    """How many lie in each bucket; those before and after the axis are left out."""
    counts: list[int] = np.bincount(places + 1, minlength=axis.buckets + 2)[1:-1].tolist()
    return counts


def attempts_charts(reader: JournalReader, axis: Axis) -> list[Chart]:
    """Retries as attempts per call, and how often each link was crossed."""
    per_call, per_second = attempts(reader, axis)
    if not per_call:
        return []
    retried = {
        link: values for link, values in per_call.items() if max((v for v in values if v is not None), default=0) > 1
    }
    charts = []
    if retried:
        note = "requests on the wire for one call of the client; links without retries are left out"
        charts.append(lines_chart("attempts", "Attempts per call", retried, axis, note=note, least=2.0))
    note = "requests on each link, retries included" if retried else "every call crossed its link once: no retries"
    charts.append(lines_chart("crossings", "Requests on links", per_second, axis, note=note, unit="/s"))
    return charts


def machine_chart(reader: JournalReader, axis: Axis) -> Chart | None:
    """Cores in use by whom, so that a busy machine can be told from a slow system."""
    samples = _probes(reader, "machine", axis).items()
    lines = {
        name.removeprefix("machine ").removesuffix("_cores"): values
        for name, values in samples
        if name.endswith("_cores")
    }
    if not lines:
        return None
    return lines_chart("machine", "Machine", lines, axis, note="cores in use, by whom", unit=" cores")


def replication_chart(reader: JournalReader, axis: Axis) -> Chart | None:
    """How far each node of a database lags behind the furthest position any of them has told by then."""
    furthest = 0.0
    lines: dict[str, Gauge] = {}
    sql = "SELECT t_ns, subject, data FROM probes WHERE observer = 'replication' AND ok ORDER BY t_ns"
    for t_ns, subject, text in reader.rows(sql):
        told = dict(_numbers(json.loads(text)))
        furthest = max(furthest, told.get("position", 0.0))
        if "replayed" in told and axis.start_ns <= t_ns < axis.edge_ns(axis.buckets):
            line = lines.setdefault(str(subject), [None] * axis.buckets)
            _raise_to(line, axis.bucket(t_ns), max(0.0, furthest - told["replayed"]))
    if not lines:
        return None
    held = {name: _held(values) for name, values in lines.items()}
    note = "bytes not yet replayed, highest of each bucket"
    return lines_chart("replication", "Replication lag", held, axis, note=note, unit=" B")


def other_charts(reader: JournalReader, events: Sequence[Event], axis: Axis) -> list[Chart]:
    """A chart for each number that other observers sampled or events carry, a line a subject."""
    found: dict[str, dict[str, Gauge]] = {}
    marks = ", ".join("?" * len(_KNOWN_OBSERVERS))
    sql = f"SELECT DISTINCT observer FROM probes WHERE observer NOT IN ({marks})"  # noqa: S608  # question marks
    for (observer,) in reader.rows(sql, _KNOWN_OBSERVERS):
        for name, values in _probes(reader, str(observer), axis).items():
            subject, _, key = name.rpartition(" ")
            found.setdefault(f"{observer} {key}", {})[subject] = values
    gauges = [event for event in events if event[1].partition(".")[0] not in DRAWN_ELSEWHERE and is_gauge(event[3])]
    often = Counter((kind, subject) for _, kind, subject, _ in gauges)
    for t_ns, kind, subject, data in gauges:
        if often[kind, subject] >= LEAST_GAUGE:
            for key, value in data.items():
                line = found.setdefault(f"{kind} {key}", {}).setdefault(subject, [None] * axis.buckets)
                _raise_to(line, axis.bucket(t_ns), value)
    charts = [
        lines_chart(f"gauge-{n}", name.replace("_", " ").replace(".", " "), lines, axis, note="highest of each bucket",
                    least=1e-6)
        for n, (name, lines) in enumerate(sorted(found.items()))
    ]  # fmt: skip
    return charts[:MOST_CHARTS]


def _probes(reader: JournalReader, observer: str, axis: Axis) -> dict[str, Gauge]:
    """Every number an observer sampled, by `subject key`: the highest of each bucket, held until the next sample."""
    found: dict[str, Gauge] = {}
    for t_ns, subject, text in reader.rows(
        "SELECT t_ns, subject, data FROM probes WHERE observer = ? AND ok ORDER BY t_ns", (observer,)
    ):
        if not axis.start_ns <= t_ns < axis.edge_ns(axis.buckets):
            continue
        for key, value in _numbers(json.loads(text)):
            line = found.setdefault(f"{subject} {key}", [None] * axis.buckets)
            _raise_to(line, axis.bucket(t_ns), value)
    return {name: _held(values) for name, values in found.items()}


def _numbers(data: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    return ((k, float(v)) for k, v in data.items() if isinstance(v, int | float) and not isinstance(v, bool))


def _raise_to(line: Gauge, place: int, value: float) -> None:
    before = line[place]
    line[place] = value if before is None else max(before, value)


def _held(values: Gauge) -> Gauge:
    """Samples are rarer than buckets: each lasts until the next one, at most eight buckets long."""
    found, last, age = list(values), None, 0
    for place, value in enumerate(values):
        last, age = (value, 0) if value is not None else (last, age + 1)
        if value is None and age <= 8:
            found[place] = last
    return found
