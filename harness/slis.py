"""
One run as a row of SLIs: what a comparison, a baseline and a history keep of it.

A row holds summaries of the whole run by request name (count, bad ones, p50, p95, p99) and what is needed to know
whether the row may be compared at all. It has no opinion on whether a number is good.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.clock import NS_PER_MS, NS_PER_S
from harness.errors import InputError
from harness.journal import FILE_NAME
from harness.journal.columns import GOOD, UNFINISHED, RequestColumns
from harness.journal.reader import JournalReader
from harness.judge import judge
from harness.receipts.base import Record
from harness.secrets import text
from harness.statistics import nearest_rank, printable
from harness.verdict import RunVerdict, Verdict

EVIDENCE = ("journal", "load", "fault")  # without these receipts a run is not the one that was asked for
_SHARES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sli:
    """The service level of one request name over one run. Latencies are of good answers, from the intended start."""

    requests: int  # with a final outcome
    bad: int
    good: int
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None

    @property
    def bad_share(self) -> float | None:
        return self.bad / self.requests if self.requests else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run. `doubt` says why it may not be compared; None: it may."""

    run: str
    scenario: str
    verdict: str
    as_declared: bool
    reason: str
    started_s: float  # seconds since 1970
    doubt: str | None
    machine_to_blame: bool  # the doubt is the machine's alone: a further run may do better
    schedule_error_p99_ms: float | None
    seed: int | None
    harness: str
    commit: str | None
    machine: Mapping[str, Any] = field(default_factory=dict)  # system, cores: what a baseline must share
    slis: Mapping[str, Sli] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Row:
        """A row that was written by `to_json`. Raises ValueError."""
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python(dict(found))


def read_row(run: Path, verdict: RunVerdict | None = None) -> Row:
    """The row of a finished run; its verdict is judged anew when none is handed in. Raises InputError."""
    verdict = judge(run) if verdict is None else verdict
    with JournalReader(run) as reader:
        record = Record(reader)
        facts = reader.facts
        load = next((r for r in verdict.receipts if r.kind == "load"), None)
        doubts = [r for r in verdict.receipts if r.kind in EVIDENCE and r.verdict is not Verdict.PASS]
        machine = facts.get("machine") or {}
        return Row(
            run=verdict.run,
            scenario=verdict.scenario,
            verdict=verdict.verdict.value,
            as_declared=verdict.as_declared,
            reason=text(verdict.reason),
            started_s=_started_s(facts),
            doubt=text(f"{doubts[0].kind} {doubts[0].status}: {doubts[0].sentence}") if doubts else None,
            machine_to_blame=bool(doubts) and all(r.machine_to_blame for r in doubts),
            schedule_error_p99_ms=load.numbers.get("schedule_error_p99_ms") if load else None,
            seed=facts.get("seed"),
            harness=str(facts.get("harness", "")),
            commit=facts.get("commit"),
            machine={key: machine[key] for key in ("system", "cores") if key in machine},
            slis={name: sli_of(columns) for name, columns in record.requests.items()},
        )


def rows_below(place: Path) -> list[Row]:
    """The rows of a run, or of all runs in a folder. Raises InputError when there is none, or one cannot be read."""
    if not place.is_dir() or (place / FILE_NAME).is_file():
        return [read_row(place)]
    folders = sorted(found.parent for found in place.glob(f"*/{FILE_NAME}") if not found.parent.is_symlink())
    if not folders:
        raise InputError(f"{place}: no run here", hint="name a run's folder, or a folder of runs")
    return [read_row(folder) for folder in folders]


def _started_s(facts: Mapping[str, Any]) -> float:
    anchor = facts.get("wall_anchor") or {}
    try:
        return float(anchor["epoch_ns"]) / NS_PER_S
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("the journal does not say when the run was: its wall_anchor is missing") from error


def sli_of(columns: RequestColumns) -> Sli:
    """The SLI of all requests of one name. Those without a final outcome are left out."""
    latencies = sorted(
        latency for latency, outcome in zip(columns.latency_ns, columns.outcome, strict=True) if outcome == GOOD
    )
    requests = len(columns) - columns.outcome.count(UNFINISHED)
    found = {
        name: round(nearest_rank(latencies, share) / NS_PER_MS, 4)
        for name, share in _SHARES.items()
        if printable(len(latencies), share)
    }
    return Sli(requests=requests, bad=requests - len(latencies), good=len(latencies), **found)
