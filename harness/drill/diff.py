"""
Two runs of one drill beside each other: what went otherwise, and what of it is more than noise.

Edges of faults, words and answers are the harness's own doing and are compared to the millisecond. How people and the
system took it is told with what a single pair of runs allows: SLIs by the one-against-one rule, which is coarse, and
says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.comparison.recorded import one_against_one
from harness.comparison.rules import Compared
from harness.drill.history import Edges
from harness.drill.outcome import Outcome
from harness.slis import Row
from harness.verdict import Verdict

EDGE_LIMIT_S = 0.1
LEAST_S = 0.5  # differences of the system's and people's own times below this are what any two runs differ by


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One edge of a fault in both runs, seconds since the load began. `ours`: the harness did it at that instant."""

    fault: str
    edge: str
    old_s: float
    new_s: float

    @property
    def off_s(self) -> float:
        return self.new_s - self.old_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Otherwise:
    """One thing that differs."""

    what: str
    old: str
    new: str
    noise: str = ""  # why it may mean nothing; empty: it means something


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Everything that differs."""

    old: str
    new: str
    edges: tuple[Edge, ...]
    otherwise: tuple[Otherwise, ...]
    slis: Compared

    @property
    def close_edges(self) -> float:
        """The share of edges that lie within 100 ms of each other; 1 when there are none."""
        near = sum(abs(edge.off_s) <= EDGE_LIMIT_S for edge in self.edges)
        return near / len(self.edges) if self.edges else 1.0

    @property
    def widest_s(self) -> float:
        return max((abs(edge.off_s) for edge in self.edges), default=0.0)

    @property
    def verdict(self) -> Verdict:
        """FAIL when the new run is worse beyond noise; a single pair of runs never shows that nothing changed."""
        worse = [
            one for one in self.otherwise if not one.noise and one.what.startswith(("verdict", "objective", "promise"))
        ]
        if self.slis.verdict is Verdict.FAIL or any("FAIL" in one.new or "MISSED" in one.new for one in worse):
            return Verdict.FAIL
        return Verdict.INCONCLUSIVE if self.otherwise else Verdict.PASS

    def document(self) -> dict[str, Any]:
        """For machines."""
        return {
            "format": 1,
            "old": self.old,
            "new": self.new,
            "edges": [{**dataclasses.asdict(edge), "off_s": round(edge.off_s, 4)} for edge in self.edges],
            "edges_within_100_ms": round(self.close_edges, 4),
            "widest_edge_s": round(self.widest_s, 4),
            "otherwise": [dataclasses.asdict(one) for one in self.otherwise],
            "slis": {
                "verdict": self.slis.verdict.value,
                "sentence": self.slis.sentence,
                "notes": list(self.slis.notes),
            },
        }


def difference(old: Outcome, new: Outcome, rows: tuple[Row, Row]) -> Difference:
    """What went otherwise in the new run. rows: both runs' SLIs."""
    return Difference(
        old=old.history.run,
        new=new.history.run,
        edges=tuple(_edges(old, new)),
        otherwise=(*_verdicts(old, new), *_faults(old, new), *_people(old, new), *_system(old, new)),
        slis=one_against_one(rows[0], dataclasses.replace(rows[1], scenario=rows[0].scenario)),
    )


def _edges(old: Outcome, new: Outcome) -> Iterator[Edge]:
    others = {fault.name: fault for fault in new.history.faults}
    for fault in old.history.faults:
        other = others.get(fault.name)
        if other is None:
            continue
        for edge in edges_of(fault):
            before, after = getattr(fault, edge), getattr(other, edge)
            if before is not None and after is not None:
                yield Edge(fault=fault.name, edge=edge.removesuffix("_s"), old_s=before, new_s=after)


def edges_of(fault: Edges) -> tuple[str, str]:
    """A link is hurt and well at the answer of a call; how long a service takes to end or start is its own doing."""
    return ("injecting_s", "healing_s") if fault.family == "process" else ("injected_s", "healed_s")


def _verdicts(old: Outcome, new: Outcome) -> Iterator[Otherwise]:
    if old.verdict is not new.verdict:
        yield Otherwise(what="verdict of the drill", old=old.verdict.value, new=new.verdict.value)
    checks = {check.title: check for check in new.run.checks}
    for check in old.run.checks:
        other = checks.get(check.title)
        if other is None:
            yield Otherwise(what=f"promise {check.title}", old=check.verdict.value, new="not promised")
        elif other.verdict is not check.verdict:
            thin = "the measurement's interval contains the bound" if check.thin or other.thin else ""
            yield Otherwise(
                what=f"promise {check.title}", old=f"{check.verdict.value}: {check.measured}",
                new=f"{other.verdict.value}: {other.measured}", noise=thin,
            )  # fmt: skip
    objectives = {met.name: met for met in new.objectives}
    for met in old.objectives:
        other_met = objectives.get(met.name)
        if other_met is None or (other_met.word == met.word and _near(met.measured_s, other_met.measured_s)):
            continue
        same = other_met.word == met.word
        yield Otherwise(
            what=f"objective {met.name}", old=f"{met.word} {_s(met.measured_s)}",
            new=f"{other_met.word} {_s(other_met.measured_s)}",
            noise="the objective is kept or missed in both" if same else "",
        )  # fmt: skip


def _faults(old: Outcome, new: Outcome) -> Iterator[Otherwise]:
    before = {fault.name: fault.what for fault in old.history.faults}
    after = {fault.name: fault.what for fault in new.history.faults}
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield Otherwise(what=f"fault {name}", old=before.get(name, "none"), new=after.get(name, "none"))


def _people(old: Outcome, new: Outcome) -> Iterator[Otherwise]:
    after = {step.name: step for step in new.history.steps}
    for step in old.history.steps:
        other = after.get(step.name)
        took, took_then = step.answered_s - step.asked_s, (other.answered_s - other.asked_s) if other else None
        if other is None or other.said != step.said or not _near(took, took_then):
            new_text = f"{other.said} after {_s(took_then)}" if other else "never asked"
            yield Otherwise(what=f"step {step.name}", old=f"{step.said} after {_s(took)}", new=new_text)


def _system(old: Outcome, new: Outcome) -> Iterator[Otherwise]:
    before, after = old.history.breakers, new.history.breakers
    for breaker in sorted(before.keys() | after.keys()):
        was, now = _states(before.get(breaker, ())), _states(after.get(breaker, ()))
        if was != now:
            rounds = _without_rounds(was) == _without_rounds(now)
            noise = "only rounds of half open to open more or fewer, which any two runs differ by" if rounds else ""
            yield Otherwise(what=f"breaker {breaker}", old=_arrows(was), new=_arrows(now), noise=noise)


def _states(transitions: tuple[tuple[float, str], ...]) -> list[str]:
    return [what for _, what in transitions]


def _without_rounds(transitions: list[str]) -> list[str]:
    return [t for t in transitions if t not in {"HALF_OPEN_TO_OPEN", "OPEN_TO_HALF_OPEN"}]


def _arrows(transitions: list[str]) -> str:
    if not transitions:
        return "no transition"
    return " -> ".join([transitions[0].partition("_TO_")[0], *(t.partition("_TO_")[2] for t in transitions)]).lower()


def _near(one: float | None, other: float | None) -> bool:
    return (one is not None and other is not None and abs(one - other) < LEAST_S) or one == other


def _s(span_s: float | None) -> str:
    return "not known" if span_s is None else f"{span_s:.2f} s"


def difference_text(found: Difference) -> str:
    """For a terminal: what is the same in a line, what is not in one line each."""
    lines = [
        f"{found.old}",
        f"{found.new}",
        (
            f"edges of faults: {found.close_edges:.0%} of {len(found.edges)} within 100 ms of the old run's, "
            f"the widest {found.widest_s * 1000:.0f} ms away"
        ),
    ]
    lines += [
        f"otherwise: {one.what}: {one.old} -> {one.new}" + (f" (noise? {one.noise})" if one.noise else "")
        for one in found.otherwise
    ] or ["nothing went otherwise: verdicts, objectives, steps, breakers"]
    lines.append(f"SLIs: {found.slis.verdict.value}: {found.slis.sentence}")
    return "\n".join([*lines, *(f"  {note}" for note in found.slis.notes)])
