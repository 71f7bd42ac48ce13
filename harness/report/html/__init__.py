"""
report.html for a run and index.html for a suite: one file each, whole without network and without JavaScript.

The first screen is the verdict and what it rests on; below it everything of the run on one time axis, then single
requests on their way. Reads a verdict and a journal; decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness.clock import NS_PER_S
from harness.journal.columns import RequestColumns, request_columns
from harness.journal.reader import JournalReader
from harness.report import figures
from harness.report.html import charts, gauges, lanes, traces
from harness.report.html.axis import Axis, axis_of, time_ticks
from harness.report.html.drawing import Chart
from harness.report.html.faults import FaultSpan, fault_lanes, fault_spans
from harness.report.html.lanes import Group
from harness.report.html.past import Past
from harness.report.html.render import data_block, render
from harness.report.html.requests import LoadSeries, load_series
from harness.report.html.traces import Trace, Traces
from harness.report.wording import reason_beside_receipts
from harness.verdict import CheckResult, Receipt, RunVerdict

FILE_NAME = "report.html"
MOST_EVENTS = 400
MOST_EVIDENCE = 20  # rows of one check
MOST_WATERFALLS = 24  # drawn without a click
SLOWEST_DRAWN = 3

__all__ = ["FILE_NAME", "report_html"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """Everything drawn on the time axis, and the requests beside it."""

    axis: Axis
    spans: Sequence[FaultSpan]
    parts: Sequence[Chart | Group]  # in order, from top to bottom
    load: LoadSeries
    held: Traces


def report_html(
    verdict: RunVerdict, reader: JournalReader, columns: Mapping[str, RequestColumns] | None = None,
    past: Past | None = None,
) -> str:  # fmt: skip
    """
    The whole report of a run as one HTML page. columns: all its requests, where they were read already. past: its
    scenario's last runs, where a history is kept. Raises InputError for a journal that cannot be read.
    """
    columns = columns if columns is not None else request_columns(reader)
    page = _page(verdict, reader, columns)
    drawn = _drawn(page.held, verdict)
    drawn_ids = {trace.trace for title, some in drawn for trace in some}
    return render(
        "report.html.j2",
        verdict=verdict,
        checks=_checks(verdict, drawn_ids),
        common=[receipt for receipt in verdict.receipts if _is_common(receipt)],
        receipts=verdict.receipts,
        axis=page.axis,
        ticks=time_ticks(page.axis.start_s, page.axis.span_s),
        parts=[(isinstance(part, Chart), part) for part in page.parts],
        spans=page.spans,
        phases=figures.phases(reader, columns),
        waterfalls=drawn,
        held=page.held,
        numbers=_numbers(page),
        happenings=_events(reader)[:MOST_EVENTS],
        events_left=max(0, len(_events(reader)) - MOST_EVENTS),
        facts=_facts(verdict, reader),
        began=_began(reader),
        past=past,
        scenario_text=reader.facts.get("scenario_text"),
        notes=[event for event in figures.happenings(reader) if event.kind == "note"],
        note_text=lanes.note_text,
        data=data_block(_data(page)),
    )


def _page(verdict: RunVerdict, reader: JournalReader, columns: Mapping[str, RequestColumns]) -> _Page:
    axis = axis_of(reader, columns)
    events = reader.events()
    plan = reader.facts.get("plan")
    spans = fault_spans(events, plan if isinstance(plan, dict) else {}, verdict.receipts, axis)
    load = load_series(columns, axis)
    parts: list[Chart | Group | None] = [
        lanes.phases(events, axis),
        fault_lanes(spans),
        lanes.notes(events, axis),
        charts.load_chart(load, axis),
        charts.latency_chart(load, axis, _limits(reader)),
        charts.stacked_chart("errors", "Errors", load.errors, axis, note="by kind", nothing="No request failed."),
        lanes.breakers(reader, events, axis),
        *gauges.attempts_charts(reader, axis),
        charts.stacked_chart(
            "fallbacks", "Fallbacks", load.fallbacks, axis, note="answers made of something else; one with several counts for each",
            nothing="No answer was made of a fallback.",
        ),
        charts.stacked_chart("sources", "Sources", load.sources, axis, note="where parts of answers came from", nothing="")
        if load.sources
        else None,
        lanes.told_by_services(reader, axis),
        lanes.services(events, axis),
        *lanes.others(events, axis),
        gauges.replication_chart(reader, axis),
        *gauges.other_charts(reader, events, axis),
        gauges.machine_chart(reader, axis),
    ]  # fmt: skip
    held = traces.collect(reader, columns, axis, spans, verdict.checks)
    shown = [part for part in parts if part is not None and (isinstance(part, Chart) or part.lanes or part.note)]
    return _Page(axis=axis, spans=spans, parts=shown, load=load, held=held)


def _limits(reader: JournalReader) -> list[tuple[str, float]]:
    """Objectives of latency, as the system declares them."""
    system = reader.facts.get("system")
    found = system.get("objectives", ()) if isinstance(system, dict) else ()
    return [
        (str(one.get("name")), float(one["limit_s"]))
        for one in found
        if isinstance(one, dict) and isinstance(one.get("limit_s"), int | float)
    ]


# -- verdict ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """One promise with the receipts that are its own."""

    result: CheckResult
    reason: str
    receipts: Sequence[tuple[Receipt, bool]]  # True: to be told in full, False: it was before
    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    rows_left: int
    drawn: set[str]  # trace ids that have a waterfall on the page


def _checks(verdict: RunVerdict, drawn: set[str]) -> list[_Check]:
    found, told = [], set[str]()
    for check in verdict.checks:
        rows = check.evidence[:MOST_EVIDENCE]
        own = [r for r in verdict.receipts if not _is_common(r) and r.name in check.rests_on]
        found.append(
            _Check(
                result=check,
                reason=reason_beside_receipts(check, verdict.receipts),
                receipts=[(receipt, receipt.name not in told) for receipt in own],
                columns=list(rows[0]) if rows else [],
                rows=rows,
                rows_left=len(check.evidence) - len(rows),
                drawn=drawn,
            )
        )
        told |= {receipt.name for receipt in own}
    return found


def _is_common(receipt: Receipt) -> bool:
    """Whether every check rests on it; those stand once, above all of them."""
    return receipt.kind in ("journal", "load", "steady_state")


def _facts(verdict: RunVerdict, reader: JournalReader) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name in ("scenario_file", "seed", "commit", "versions", "machine", "how", "overrides"):
        item = reader.facts.get(name)
        if isinstance(item, dict):
            found += [(f"{name}: {key}", part) for key, part in item.items()]
        elif item not in (None, []):
            found.append((name, item))
    return found + [(name, item) for name, item in verdict.facts.items() if name not in reader.facts]


def _began(reader: JournalReader) -> str | None:
    """When the load began, by the wall clock."""
    anchor, events = reader.facts.get("wall_anchor"), reader.events("load.started", "run.started")
    if not isinstance(anchor, dict) or not events:
        return None
    try:
        epoch_s = (anchor["epoch_ns"] + figures.began_ns(reader, events) - anchor["monotonic_ns"]) / NS_PER_S
        return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def _events(reader: JournalReader) -> list[figures.Happening]:
    """What happened, without the gate's word of every second that it was in time."""
    return [event for event in figures.happenings(reader) if event.kind != "gate.lag"]


# -- single requests -------------------------------------------------------------------------------------------


def _drawn(held: Traces, verdict: RunVerdict) -> list[tuple[str, list[Trace]]]:
    """Waterfalls that need no click, under a heading each: those shown as evidence, then the slowest."""
    found: list[tuple[str, list[Trace]]] = []
    drawn: set[str] = set()
    for check in verdict.checks:
        names = dict.fromkeys(str(row["trace"]) for row in check.evidence[:MOST_EVIDENCE] if row.get("trace"))
        own = [held.named(name) for name in names if name not in drawn]
        some = [trace for trace in own if trace is not None][: MOST_WATERFALLS - len(drawn)]
        drawn |= {trace.trace for trace in some}
        if some:
            found.append((f"Evidence of {check.check}: {check.title}", some))
    failed = [trace for trace in held.held if not trace.good and trace.trace not in drawn]
    slowest = sorted(held.held, key=lambda trace: -(trace.latency_ms if trace.latency_ms is not None else 1e15))
    for title, some in (("Failed, the first ones", failed), ("Slowest of all", slowest)):
        own_three = [trace for trace in some if trace.trace not in drawn][:SLOWEST_DRAWN]
        drawn |= {trace.trace for trace in own_three}
        if own_three:
            found.append((title, own_three))
    return found


# -- numbers ---------------------------------------------------------------------------------------------------


def _numbers(page: _Page) -> list[tuple[str, ...]]:
    """The load as a table, a row a bucket, for who cannot or will not look at drawings."""
    load, axis = page.load, page.axis
    rows = []
    for n in range(axis.buckets):
        if load.offered[n] or load.served[n]:
            errors = ", ".join(f"{values[n]} {kind}" for kind, values in load.errors.items() if values[n])
            fallbacks = sum(values[n] for values in load.fallbacks.values())
            latencies = (load.p50_ms[n], load.p99_ms[n], load.high_ms[n])
            rows.append(
                (f"{axis.start_s + n * axis.bucket_s:.4g}", str(load.offered[n]), str(load.served[n]),
                 *("–" if value is None else f"{value:.4g}" for value in latencies), errors or "–", str(fallbacks))
            )  # fmt: skip
    return rows


def _data(page: _Page) -> dict[str, Any]:
    """What the script needs: numbers to tell on hovering, lanes, requests."""
    axis = page.axis
    names: dict[str, int] = {}

    def place(word: str) -> int:
        return names.setdefault(word, len(names))

    requests = [
        [
            trace.at_s, place(trace.name), trace.trace, trace.sent_ms, trace.latency_ms, place(trace.said),
            int(trace.good), place(trace.fallback),
            [
                [place(step.link), step.attempt, step.start_ms, step.length_ms, place(step.said), int(step.bad),
                 step.depth, [place(name) for name in step.faults]]
                for step in trace.steps
            ],
        ]
        for trace in page.held.held
    ]  # fmt: skip
    return {
        "start": axis.start_s, "span": axis.span_s, "bucket": axis.bucket_s, "buckets": axis.buckets,
        "moment": page.held.moment_s, "whole": page.held.whole,
        "parts": [_told_chart(part) if isinstance(part, Chart) else _told_lanes(part) for part in page.parts],
        "words": list(names), "requests": requests,
    }  # fmt: skip


def _told_chart(chart: Chart) -> dict[str, Any]:
    series = [{"name": one.name, "unit": one.unit, "values": one.values} for one in chart.series]
    return {"title": chart.title, "series": series}


def _told_lanes(group: Group) -> dict[str, Any]:
    """What is told of lanes on hovering; that a process is up goes without saying."""
    lanes = [
        {
            "name": lane.name,
            "bars": [[bar.start_s, bar.end_s, bar.word or bar.told] for bar in lane.bars if bar.word != "up"],
            "ticks": [[tick.at_s, tick.word] for tick in lane.ticks],
        }
        for lane in group.lanes
    ]
    return {"title": group.title, "lanes": lanes}
