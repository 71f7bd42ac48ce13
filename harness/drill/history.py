"""
What happened in a drill's run, as its journal tells it: faults with their edges, steps, notes, aborts, breakers.

Instants are seconds since the load began; `declared` ones were meant, the others are when it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.drill.model import Drill
from harness.errors import InputError
from harness.journal.reader import JournalReader
from harness.receipts.base import Record

ANSWERS = ("step.done", "step.skipped", "step.missed", "step.aborted")
_TOLD = (
    "note", "abort", "person.injected", "person.healed", "lease.ended", "step.prompted", *ANSWERS, "fault.injected",
    "fault.healed", "fault.failed", "service.exited", "service.killed", "service.stopped", "service.ready",
    "service.paused", "service.resumed", "service.answered",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """One fault: when it was begun, on, taken back, off. None: it was not."""

    name: str
    what: str
    family: str
    injecting_s: float | None
    injected_s: float | None
    healing_s: float | None
    healed_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTaken:
    """One manual step: asked, and what became of it."""

    name: str
    role: str
    prompt: str
    marks: str | None
    limit_s: float
    asked_s: float
    said: str  # done | skipped | missed | aborted
    answered_s: float
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One event for the timeline."""

    at_s: float
    kind: str
    subject: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A drill's run."""

    run: str
    name: str
    started_s: float  # since 1970
    seconds: float
    drill: Mapping[str, Any]  # the people's part of the drill, as a file has it; empty when there was none
    faults: tuple[Edges, ...]
    steps: tuple[StepTaken, ...]
    notes: tuple[Moment, ...]
    aborts: tuple[Moment, ...]
    moments: tuple[Moment, ...]
    breakers: Mapping[str, tuple[tuple[float, str], ...]]  # order->payment -> (at, CLOSED_TO_OPEN) ...

    def fault(self, name: str | None) -> Edges | None:
        """The fault of this name; None: the first that was on."""
        on = [fault for fault in self.faults if fault.injected_s is not None]
        return next((fault for fault in on if name in {None, fault.name}), None)


def read_history(run: Path) -> History:
    """Raises InputError."""
    with JournalReader(run) as reader:
        record = Record(reader)
        try:
            return _history(reader, record)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InputError(f"{reader.path}: damaged: what happened cannot be read: {said}") from error


def _history(reader: JournalReader, record: Record) -> History:
    moments = tuple(
        Moment(at_s=round(record.second(t_ns), 3), kind=kind, subject=subject, data=data)
        for t_ns, kind, subject, data in record.events
        if kind in _TOLD and (t_ns >= record.t0_ns or not kind.startswith("service."))
    )
    facts = reader.facts
    return History(
        run=str(facts.get("run", reader.path.parent.name)),
        name=record.scenario.name,
        started_s=(facts.get("wall_anchor") or {}).get("epoch_ns", 0) / 1e9,
        seconds=round(record.second(record.load_ended_ns), 3),
        drill=facts.get("drill") or {},
        faults=tuple(_edges(record)),
        steps=tuple(_steps(moments)),
        notes=tuple(moment for moment in moments if moment.kind == "note"),
        aborts=tuple(moment for moment in moments if moment.kind == "abort"),
        moments=moments,
        breakers=_breakers(record, reader),
    )


def drill_of(history: History) -> Drill | None:
    """The drill that was led; None of a run by hand. Raises InputError."""
    if not history.drill:
        return None
    try:
        return Drill.model_validate(history.drill)
    except ValueError as error:
        raise InputError(f"the journal's drill cannot be read: {str(error).splitlines()[0]}") from error


def _edges(record: Record) -> list[Edges]:
    def second(t_ns: int | None) -> float | None:
        return None if t_ns is None else round(record.second(t_ns), 4)

    return [
        Edges(
            name=name, what=calls.fault.describe(), family=calls.fault.family, injecting_s=second(calls.injecting_ns),
            injected_s=second(calls.injected_ns), healing_s=second(calls.healing_ns), healed_s=second(calls.healed_ns),
        )
        for name, calls in record.faults.items()
    ]  # fmt: skip


def _steps(moments: tuple[Moment, ...]) -> list[StepTaken]:
    asked = {moment.subject: moment for moment in moments if moment.kind == "step.prompted"}
    return [
        StepTaken(
            name=moment.subject, role=str(prompt.data["role"]), prompt=str(prompt.data["prompt"]),
            marks=prompt.data.get("marks"), limit_s=float(prompt.data["limit_s"]), asked_s=prompt.at_s,
            said=moment.kind.partition(".")[2], answered_s=moment.at_s, by=str(moment.data.get("by")),
        )
        for moment in moments
        if moment.kind in ANSWERS and (prompt := asked.get(moment.subject)) is not None
    ]  # fmt: skip


def _breakers(record: Record, reader: JournalReader) -> dict[str, tuple[tuple[float, str], ...]]:
    """Transitions by breaker, in order."""
    import json

    found: dict[str, list[tuple[float, str]]] = {}
    sql = "SELECT t_ns, service, name, data FROM app_events WHERE source = 'circuitbreaker' ORDER BY t_ns, id"
    for t_ns, service, name, data in reader.rows(sql):
        transition = json.loads(data).get("stateTransition")
        if transition is not None:
            found.setdefault(f"{service}->{name}", []).append((round(record.second(t_ns), 3), str(transition)))
    return {breaker: tuple(transitions) for breaker, transitions in sorted(found.items())}
