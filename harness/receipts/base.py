"""
The record of one run: what a journal says, read once, for receipts and checks to ask.

It works out when everything was and reads the big tables only when they are asked for. It has no opinion.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from harness.clock import NS_PER_S
from harness.errors import InputError
from harness.faults.base import Fault
from harness.journal.columns import (
    BAD,
    UNFINISHED,
    LinkColumns,
    RequestColumns,
    either,
    flags_of,
    link_columns,
    request_columns,
)
from harness.journal.reader import JournalReader
from harness.scenario.model import Scenario
from harness.system.model import Objective, System

T = TypeVar("T")
FOREVER_NS = (1 << 62) - 1
DOWN = ("service.killed", "service.stopped", "service.exited", "service.paused")
UP = ("service.ready", "service.resumed")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCalls:
    """The instants at which a fault was asked for and taken back, as the runner wrote them down."""

    name: str
    fault: Fault
    injecting_ns: int | None
    injected_ns: int | None
    healing_ns: int | None
    healed_ns: int | None
    failed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpan:
    """
    When a fault was really on. Each edge is a zone: before start[0] it was certainly off, from start[1] on certainly
    on; up to end[0] certainly on, from end[1] on certainly off. `how` says where the edges come from.
    """

    start: tuple[int, int]
    end: tuple[int, int]
    how: str = "measured"


class Record:
    """One run as its journal tells it. Raises InputError when the journal lacks what every run writes."""

    def __init__(self, reader: JournalReader) -> None:
        self.reader = reader
        facts = reader.facts
        for fact in ("scenario", "system"):
            if fact not in facts:
                raise InputError(f"{reader.path}: the journal holds no {fact}: the run ended before it began")
        self.scenario = _read(reader, "scenario", Scenario.model_validate)  # as it ran, whatever is judged now
        self.system = _read(reader, "system", System.from_json)
        self.events = reader.events()

    @cached_property
    def t0_ns(self) -> int:
        """The start of the load; of a run without load, its first event."""
        started = self._first("load.started")
        if started is not None and "t0_ns" in started[3]:
            return int(started[3]["t0_ns"])
        known = self.reader.facts.get("t0_ns")
        return int(known) if known is not None else (self.events[0][0] if self.events else 0)

    @cached_property
    def load_ended_ns(self) -> int:
        """When the load had ended, answers waited for; of a run cut short, its last sign of life."""
        ended = self._first("load.ended")
        if ended is not None:
            return ended[0]
        last = max((columns.intended_ns[-1] for columns in self.requests.values()), default=self.t0_ns)
        return max(last, self.events[-1][0] if self.events else last)

    @cached_property
    def arrivals_end_ns(self) -> int:
        """When the last request was meant to be sent, or should have been by the plan (a run cut short ends early)."""
        last: int = max((columns.intended_ns[-1] + 1 for columns in self.requests.values()), default=self.t0_ns)
        planned_s = (self.reader.facts.get("plan") or {}).get("duration_s")
        if planned_s is None:
            return last
        return max(last, min(self.t0_ns + round(float(planned_s) * NS_PER_S), self.load_ended_ns))

    @cached_property
    def requests(self) -> dict[str, RequestColumns]:
        return request_columns(self.reader)

    @cached_property
    def faults(self) -> dict[str, FaultCalls]:
        """Every planned fault in order of its start."""
        names = self._fault_names()
        calls = [self._calls(name, fault) for name, fault in names.items()]
        return {c.name: c for c in sorted(calls, key=lambda c: c.injecting_ns or FOREVER_NS)}

    @cached_property
    def phases(self) -> dict[str, tuple[int, int]]:
        """Phases by name: start and end; one that never ended lasts as long as the load."""
        started = {s: t for t, kind, s, _ in self.events if kind == "phase.started"}
        ended = {s: t for t, kind, s, _ in self.events if kind == "phase.ended"}
        return {name: (start, ended.get(name, self.load_ended_ns)) for name, start in started.items()}

    @cached_property
    def first_fault_ns(self) -> int | None:
        """When the first fault was asked for; None when none was."""
        return min((c.injecting_ns for c in self.faults.values() if c.injecting_ns is not None), default=None)

    @cached_property
    def steady_ns(self) -> tuple[int, int]:
        """The stretch before the first fault, without the first 0.5 s and the last 0.1 s."""
        end_ns = self.first_fault_ns if self.first_fault_ns is not None else self.arrivals_end_ns
        return self.t0_ns + NS_PER_S // 2, end_ns - NS_PER_S // 10

    def link(self, name: str) -> LinkColumns:
        """The exchanges of a link as columns; a link is read once."""
        if name not in self._links:
            self._links[name] = link_columns(self.reader, name)
        return self._links[name]

    def arrived(self, link: str, start_ns: int, end_ns: int) -> slice:
        """The places of the exchanges that arrived on a link in a stretch of time."""
        instants = self.link(link).arrived_ns
        return slice(bisect_left(instants, start_ns), bisect_left(instants, end_ns))

    def arrivals(self, link: str, start_ns: int, end_ns: int) -> int:
        """How many exchanges arrived on a link in a stretch of time."""
        found = self.arrived(link, start_ns, end_ns)
        return max(0, int(found.stop) - int(found.start))

    @cached_property
    def _links(self) -> dict[str, LinkColumns]:
        return {}

    def downtime(self, service: str) -> list[tuple[int, int]]:
        """When a service was not meant to answer: from its end or freeze until it was ready or resumed."""
        spans: list[tuple[int, int]] = []
        down_ns: int | None = None
        for t_ns, kind, subject, _ in self.events:
            if subject != service:
                continue
            if kind in DOWN and down_ns is None:
                down_ns = t_ns
            elif kind in UP and down_ns is not None:
                spans.append((down_ns, t_ns))
                down_ns = None
        if down_ns is not None:
            spans.append((down_ns, FOREVER_NS))
        for calls in self.faults.values():
            hit = any(part.target == service for part in calls.fault.parts(self.system.members))
            if calls.fault.family == "process" and hit and calls.injecting_ns is not None:
                until_ns = calls.healed_ns if calls.fault.undoable else calls.injected_ns
                spans += [(calls.injecting_ns, until_ns or FOREVER_NS)]
        return spans

    def events_of(self, kind: str) -> list[tuple[int, str, dict[str, Any]]]:
        """Events of one kind as (t_ns, subject, data), in order."""
        return [(t_ns, subject, data) for t_ns, k, subject, data in self.events if k == kind]

    def second(self, t_ns: int) -> float:
        """An instant in seconds since the load began."""
        return (t_ns - self.t0_ns) / NS_PER_S

    def _first(self, kind: str) -> tuple[int, str, str, dict[str, Any]] | None:
        return next((event for event in self.events if event[1] == kind), None)

    def _fault_names(self) -> dict[str, Fault]:
        """Faults by the names the plan gave them: `as`, or else the planned name of the same fault."""
        planned = list((self.reader.facts.get("plan") or {}).get("faults", ()))
        found: dict[str, Fault] = {}
        for step in self.scenario.timeline:
            fault = step.fault
            if fault is None:
                continue
            name = step.as_
            if name is None:
                same = [p["name"] for p in planned if p["what"] == fault.describe() and p["name"] not in found]
                name = same[0] if same else fault.kind
            found[name] = fault
        return found

    def _calls(self, name: str, fault: Fault) -> FaultCalls:
        stamps = {kind: t_ns for t_ns, kind, subject, _ in self.events if subject == name and kind.startswith("fault.")}
        errors = [data.get("error") for _, kind, s, data in self.events if s == name and kind == "fault.failed"]
        return FaultCalls(
            name=name,
            fault=fault,
            injecting_ns=stamps.get("fault.injecting"),
            injected_ns=stamps.get("fault.injected"),
            healing_ns=stamps.get("fault.healing"),
            healed_ns=stamps.get("fault.healed"),
            failed=str(errors[0]) if errors else None,
        )


def _read(reader: JournalReader, fact: str, read: Callable[[Any], T]) -> T:
    """A fact of the run as what it was before it was written. Raises InputError."""
    try:
        return read(reader.facts[fact])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        said = f"{type(error).__name__}: {error}".splitlines()
        raise InputError(f"{reader.path}: damaged: {fact} of the run cannot be read: {' '.join(said[:3])}") from error


def objective_codes(columns: RequestColumns, low: int, high: int, objective: Objective, now_ns: int) -> bytes:
    """
    Requests low..high by one objective: 0 good, 1 bad, 2 not known yet. For latency a request is good when it was
    answered well within the limit. now_ns: when the load had ended.
    """
    outcome = columns.outcome[low:high]
    if objective.indicator == "availability" or objective.limit_s is None:
        return outcome
    limit_ns = round(objective.limit_s * NS_PER_S)
    slow = bytes(map(limit_ns.__lt__, columns.latency_ns[low:high]))
    codes = bytearray(either(slow, flags_of(outcome, BAD)))
    place = outcome.find(UNFINISHED)
    while place >= 0:
        codes[place] = BAD if now_ns - columns.intended_ns[low + place] > limit_ns else UNFINISHED
        place = outcome.find(UNFINISHED, place + 1)
    return bytes(codes)


def between(columns: RequestColumns, start_ns: int, end_ns: int) -> tuple[int, int]:
    """The places of the requests meant for a stretch of time."""
    low = bisect_left(columns.intended_ns, start_ns)
    return low, max(low, bisect_left(columns.intended_ns, end_ns))
