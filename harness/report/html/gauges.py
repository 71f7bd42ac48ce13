"""
Numbers over time that are no request's: attempts per call on each link, cores in use, and whatever numbers other
observers and events hold, without knowing what they mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.journal.reader import JournalReader
from harness.report.html.axis import Axis
from harness.report.html.charts import lines_chart
from harness.report.html.drawing import Chart
from harness.report.html.lanes import DRAWN_ELSEWHERE, Event, is_gauge

MOST_CHARTS = 8
_KNOWN_OBSERVERS = ("actuator", "processes", "machine", "gate")
_ENTRY = "load->"  # how the names of the load's own links begin: nobody retries there

Gauge = list[float | None]


def attempts(reader: JournalReader, axis: Axis) -> tuple[dict[str, Gauge], dict[str, Gauge]]:
    """
    Attempts per call and exchanges per second, by link. Attempts of one call are exchanges with the same trace id,
    method and path, counted where the first of them was; an exchange without a trace id is a call of its own.
    """
    sql = f"""
        SELECT link, (first_ns - {axis.start_ns}) / {axis.bucket_ns}, sum(attempts), count(*) FROM (
            SELECT link, min(arrived_ns) AS first_ns, count(*) AS attempts FROM wire
            WHERE link NOT LIKE '{_ENTRY}%' GROUP BY link, ifnull(trace, id), method, path
        ) GROUP BY 1, 2
    """  # noqa: S608  # numbers of ours
    per_call: dict[str, Gauge] = {}
    for link, place, made, calls in reader.rows(sql):
        values = per_call.setdefault(str(link), [None] * axis.buckets)
        values[_inside(place, axis)] = made / calls
    sql = f"""
        SELECT link, (arrived_ns - {axis.start_ns}) / {axis.bucket_ns}, count(*) FROM wire
        WHERE link NOT LIKE '{_ENTRY}%' GROUP BY 1, 2
    """  # noqa: S608  # numbers of ours
    per_second: dict[str, Gauge] = {}
    for link, place, count in reader.rows(sql):
        values = per_second.setdefault(str(link), [0.0] * axis.buckets)
        values[_inside(place, axis)] = count / axis.bucket_s
    return per_call, per_second


def _inside(place: object, axis: Axis) -> int:
    return min(max(0, int(place)), axis.buckets - 1) if isinstance(place, int | float) else 0


def attempts_charts(reader: JournalReader, axis: Axis) -> list[Chart]:
    """Retries as attempts per call, and how often each link was crossed."""
    per_call, per_second = attempts(reader, axis)
    if not per_call:
        return []
    retried = {link: values for link, values in per_call.items() if max(v for v in values if v is not None) > 1}
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


def other_charts(reader: JournalReader, events: Sequence[Event], axis: Axis) -> list[Chart]:
    """A chart for each number that other observers sampled or events carry, a line a subject."""
    found: dict[str, dict[str, Gauge]] = {}
    marks = ", ".join("?" * len(_KNOWN_OBSERVERS))
    sql = f"SELECT DISTINCT observer FROM probes WHERE observer NOT IN ({marks})"  # noqa: S608  # question marks
    for (observer,) in reader.rows(sql, _KNOWN_OBSERVERS):
        for name, values in _probes(reader, str(observer), axis).items():
            subject, _, key = name.rpartition(" ")
            found.setdefault(f"{observer} {key}", {})[subject] = values
    for t_ns, kind, subject, data in events:
        if kind.partition(".")[0] not in DRAWN_ELSEWHERE and is_gauge(data):
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
