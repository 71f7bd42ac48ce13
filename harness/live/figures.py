"""
The figures people watch while a system lives: rates, latency, error budgets, breakers, the last events.

Fed with the rows the journal gets, in the recorder's thread. It decides one thing only: whether a floor gave way.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.clock import NS_PER_MS, NS_PER_S
from harness.live.floors import Floor, FloorWatch, Trip, is_bad
from harness.run.recorder import Rows
from harness.system.model import Objective

SPAN_S = 5.0
MOST_EVENTS = 200
_QUIET = ("gate.lag", "fault.injecting", "fault.healing", "ledger.before")  # told by other events, or of no interest


@dataclass(slots=True)
class _Named:
    """Requests of one name that ended lately."""

    recent: deque[tuple[int, int, bool]] = field(default_factory=deque)  # end, latency, good


@dataclass(slots=True)
class _Budget:
    """What one objective has seen since the start."""

    objective: Objective
    samples: int = 0
    bad: int = 0


class Figures:
    """Counts as rows come; `snapshot` may be asked from any thread."""

    def __init__(
        self, objectives: Sequence[Objective], floors: Sequence[Floor], tripped: Callable[[Trip], None]
    ) -> None:
        self._lock = threading.Lock()
        self._named: dict[str, _Named] = {}
        self._budgets = [_Budget(objective) for objective in objectives]
        by_name = {objective.name: objective for objective in objectives}
        self._floors = [FloorWatch(floor, by_name[floor.slo]) for floor in floors]
        self._tripped = tripped
        self._breakers: dict[str, str] = {}
        self._events: deque[tuple[int, int, str, str, dict[str, Any]]] = deque(maxlen=MOST_EVENTS)
        self._count = 0

    def watch(self, batches: Rows) -> None:
        """Take a batch of rows as the recorder writes it."""
        with self._lock:
            for row in batches.get("requests", ()):
                self._request(row)
            for row in batches.get("probes", ()):
                if row[1] == "actuator" and row[3]:
                    states = json.loads(str(row[4])).get("breakers", {})
                    self._breakers.update({f"{row[2]}->{name}": str(state) for name, state in states.items()})
            for t_ns, kind, subject, data in batches.get("events", ()):
                told = json.loads(str(data))
                if kind not in _QUIET and told.get("kind") != "fault":  # a fault's phase tells no more than the fault
                    self._count += 1
                    self._events.append((self._count, int(str(t_ns)), str(kind), str(subject), told))
            trips = [trip for floor in self._floors if (trip := floor.look()) is not None]
        for trip in trips:
            self._tripped(trip)

    def _request(self, row: Sequence[Any]) -> None:
        name, intended_ns, end_ns, good = str(row[0]), int(row[1]), int(row[3] or row[1]), bool(row[5])
        latency_ns = end_ns - intended_ns
        recent = self._named.setdefault(name, _Named()).recent
        recent.append((end_ns, latency_ns, good))
        _forget(recent, end_ns)
        for budget in self._budgets:
            if budget.objective.of == name:
                budget.samples += 1
                budget.bad += is_bad(budget.objective, latency_ns, good=good)
        for floor in self._floors:
            if floor.objective.of == name:
                floor.add(end_ns, bad=is_bad(floor.objective, latency_ns, good=good))

    def snapshot(self, now_ns: int, t0_ns: int) -> dict[str, Any]:
        """Figures for people: rates a second, shares 0 to 1, latency in ms, over the last 5 s."""
        with self._lock:
            span_s = min(SPAN_S, max(0.5, (now_ns - t0_ns) / NS_PER_S))
            requests = [self._lately(name, named, now_ns, span_s) for name, named in sorted(self._named.items())]
            return {
                "requests": requests,
                "served_per_s": round(sum(r["per_s"] * r["good"] for r in requests), 1),
                "finished_per_s": round(sum(r["per_s"] for r in requests), 1),
                "slos": [_left(budget) for budget in self._budgets],
                "breakers": dict(sorted(self._breakers.items())),
                "events": [
                    {
                        "number": number,
                        "at_s": round((t_ns - t0_ns) / NS_PER_S, 3),
                        "kind": kind,
                        "subject": subject,
                        "data": data,
                    }
                    for number, t_ns, kind, subject, data in list(self._events)[-30:]
                ],
            }

    def _lately(self, name: str, named: _Named, now_ns: int, span_s: float) -> dict[str, Any]:
        recent = named.recent
        _forget(recent, now_ns)
        latencies = sorted(latency for _, latency, _ in recent)
        good = sum(ok for _, _, ok in recent)
        return {
            "name": name,
            "per_s": round(len(recent) / span_s, 1),
            "good": round(good / len(recent), 4) if recent else 1.0,
            "p50_ms": _at(latencies, 0.5),
            "p99_ms": _at(latencies, 0.99),
        }


def _forget(recent: deque[tuple[int, int, bool]], now_ns: int) -> None:
    """What ended longer ago than people look back."""
    while recent and recent[0][0] < now_ns - round(SPAN_S * NS_PER_S):
        recent.popleft()


def _at(latencies: Sequence[int], share: float) -> float | None:
    if not latencies:
        return None
    return round(latencies[min(len(latencies) - 1, int(share * len(latencies)))] / NS_PER_MS, 1)


def _left(budget: _Budget) -> Mapping[str, Any]:
    """What is left of an error budget: 1 untouched, 0 spent, below overspent."""
    objective = budget.objective
    share = budget.bad / budget.samples if budget.samples else 0.0
    allowed = 1 - objective.target
    left = 1 - share / allowed if allowed > 0 else float(not budget.bad)
    return {
        "name": objective.name, "of": objective.of, "target": objective.target, "samples": budget.samples,
        "good": round(1 - share, 4), "budget_left": round(left, 3),
    }  # fmt: skip
