"""
Faults on the time axis: when each was declared to be on, and when it really was, by its receipt.

Reads events, the plan and the receipts; decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.html.axis import Axis
from harness.report.html.lanes import Bar, Event, Group, Lane, group
from harness.verdict import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpan:
    """
    One fault: when it was declared to be on, and when it really was, by its receipt where the wire showed the edges,
    else by the calls that switched it. Seconds of the run; None: not known, or it never was on.
    """

    name: str
    what: str
    target: str
    declared_s: tuple[float, float] | None
    effective_s: tuple[float, float] | None
    edges: str
    family: str
    status: str  # of its receipt


def fault_spans(
    events: Sequence[Event], plan: Mapping[str, Any], receipts: Iterable[Receipt], axis: Axis
) -> list[FaultSpan]:
    """Every fault that was planned or injected, in order of its start."""
    planned = {str(fault.get("name")): fault for fault in plan.get("faults", ()) if isinstance(fault, dict)}
    own = {receipt.subject: receipt for receipt in receipts if receipt.kind == "fault"}
    calls: dict[str, dict[str, int]] = {}
    targets: dict[str, str] = {}
    for t_ns, kind, subject, data in events:
        if kind.startswith("fault."):
            calls.setdefault(subject, {}).setdefault(kind.removeprefix("fault."), t_ns)
            targets.setdefault(subject, str(data.get("target", "")))
    names = [*planned, *(name for name in calls if name not in planned)]
    spans = [
        _fault_span(
            name, {"target": targets.get(name), **planned.get(name, {})}, calls.get(name, {}), own.get(name), axis
        )
        for name in names
    ]
    return sorted(spans, key=lambda span: (span.declared_s or span.effective_s or (0.0, 0.0))[0])


def _fault_span(
    name: str, planned: Mapping[str, Any], calls: Mapping[str, int], receipt: Receipt | None, axis: Axis
) -> FaultSpan:
    declared = None
    if isinstance(planned.get("start_s"), int | float):
        end_s = planned.get("end_s")
        declared = (float(planned["start_s"]), float(end_s) if isinstance(end_s, int | float) else axis.end_s)
    numbers = receipt.numbers if receipt is not None else {}
    effective = None
    if "injected" in calls:
        start_s = _middle_s(calls, "injecting", "injected", axis) + _offset_s(numbers, "start_ms")
        end_s = axis.end_s
        if "healed" in calls or "healing" in calls:
            end_s = _middle_s(calls, "healing", "healed", axis) + _offset_s(numbers, "end_ms")
        effective = (round(start_s, 4), round(max(start_s, end_s), 4))
    return FaultSpan(
        name=name,
        what=str(planned.get("what") or name),
        target=str(planned.get("target") or ""),
        declared_s=declared,
        effective_s=effective,
        edges=str(numbers.get("edges") or "by call"),
        family=str(planned.get("family") or ""),
        status=receipt.status if receipt is not None else "NO RECEIPT",
    )


def _middle_s(calls: Mapping[str, int], asked: str, answered: str, axis: Axis) -> float:
    known = [calls[kind] for kind in (asked, answered) if kind in calls]
    return axis.second(sum(known) // len(known))


def _offset_s(numbers: Mapping[str, Any], name: str) -> float:
    """How far the wire showed an edge from the middle of its call."""
    found = numbers.get(name)
    return found / 1000 if isinstance(found, int | float) else 0.0


def fault_lanes(spans: Sequence[FaultSpan]) -> Group:
    """A lane a fault: the declared stretch as an outline, the effective one filled."""
    lanes = []
    for span in spans:
        bars = []
        if span.declared_s is not None:
            told = f"declared from {span.declared_s[0]:g} to {span.declared_s[1]:g} s"
            bars.append(Bar(start_s=span.declared_s[0], end_s=span.declared_s[1], word="", css="declared", told=told))
        if span.effective_s is not None:
            told = f"on from {span.effective_s[0]:.3f} to {span.effective_s[1]:.3f} s, edges {span.edges}"
            css = "effective" if span.status == "APPLIED" else "effective doubtful"
            bars.append(
                Bar(start_s=span.effective_s[0], end_s=span.effective_s[1], word=f"{span.what}: {span.status}",
                    css=css, told=told)
            )  # fmt: skip
        lanes.append(Lane(name=span.name, bars=tuple(bars)))
    return group("faults", "Faults", lanes, "outline: declared; filled: when it was really on")
