"""
The conductor: runs one plan from nothing running to nothing running.

It walks the timeline, each fault in a thread of its own so that a slow restart
delays nobody, and leaves a journal. It judges nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.clock import NS_PER_S, Clock, SystemClock
from harness.plan import Plan
from harness.progress import View
from harness.run.facts import run_id_of
from harness.run.options import RunOptions
from harness.run.session import PlannedLoad, Session, Setting
from harness.run.stage import Stage

TICK_S = 0.05
SHOW_EVERY_TICKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """An event to be written at an instant of the run: what people said and did when it was recorded."""

    at_s: float
    kind: str
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """Something the timeline does at an instant; `order` settles what comes first at the same one."""

    at_s: float
    order: int
    what: str  # phase.started | phase.ended | inject | heal | cue
    name: str
    kind: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


def instants(plan: Plan, cues: Sequence[Cue] = ()) -> list[Instant]:
    """
    The plan's instants in order: at equal times phases end, faults heal, phases start, faults are injected, cues are
    given in the order they came in.
    """
    found = [Instant(at_s=p.end_s, order=0, what="phase.ended", name=p.name, kind=p.kind) for p in plan.phases]
    found += [Instant(at_s=p.start_s, order=2, what="phase.started", name=p.name, kind=p.kind) for p in plan.phases]
    for fault in plan.faults:
        found.append(Instant(at_s=fault.start_s, order=3, what="inject", name=fault.name))
        if fault.end_s is not None and fault.fault.undoable:
            found.append(Instant(at_s=fault.end_s, order=1, what="heal", name=fault.name))
    found += [Instant(at_s=c.at_s, order=4, what="cue", name=c.subject, kind=c.kind, data=c.data) for c in cues]
    return sorted(found, key=lambda i: (i.at_s, i.order))


def run_plan(
    plan: Plan, options: RunOptions, *, view: View, scenario_text: str, clock: Clock | None = None,
    cues: Sequence[Cue] = (), facts: Mapping[str, Any] | None = None,
) -> Path:  # fmt: skip
    """
    Run a plan; returns the run's folder. cues: events to be written on the way; facts: more for the run table. Raises SetUpError when the system could not be started,
    HarnessError when a part of the rig broke meanwhile; the journal is complete up to then either way.
    """
    clock = clock or SystemClock()
    run_id = run_id_of(plan.scenario.name)
    run_dir = (options.reports / run_id).resolve()
    setting = Setting(
        name=plan.scenario.name, system=plan.system, environment=plan.environment, seed=plan.seed,
        run_id=run_id, run_dir=run_dir, backend=options.backend,
    )  # fmt: skip
    sources = frozenset({"bulkhead"} if any(e.promise.check == "bulkhead" for e in plan.scenario.expect) else ())
    planned = PlannedLoad(load=plan.load, profile=plan.profile, duration_s=plan.duration_s)
    with Session(setting, view=view, clock=clock, sources=sources, planned=planned) as session:
        session.put(
            {
                "scenario": plan.scenario.model_dump(mode="json", exclude_none=True),
                "scenario_text": scenario_text,
                "plan": plan.summary(),
                "overrides": list(options.overrides),
                **(facts or {}),
            }
        )
        view.say("waiting for the load generator")
        session.begin_load()
        _Walk(plan, session, clock, cues).run()
        session.finish()
    return run_dir


class _Walk:
    """One walk along the timeline."""

    def __init__(self, plan: Plan, session: Session, clock: Clock, cues: Sequence[Cue]) -> None:
        assert session.t0_ns is not None
        self._plan, self._session, self._clock, self._cues = plan, session, clock, cues
        self._t0_ns = session.t0_ns
        self._stage = Stage(session)
        self._faults = {planned.name: planned.fault for planned in plan.faults}

    def run(self) -> None:
        for instant in instants(self._plan, self._cues):
            self._wait_until(instant.at_s)
            self._do(instant)
        self._wait_until(self._plan.duration_s)
        self._stage.settle()

    def _do(self, instant: Instant) -> None:
        if instant.what == "phase.started":
            self._session.phase_started(instant.name, instant.kind, instant.at_s)
        elif instant.what == "phase.ended":
            self._session.phase_ended(instant.name, instant.kind, instant.at_s)
        elif instant.what == "cue":
            self._session.recorder.emit(instant.kind, instant.name, instant.data)
        elif instant.what == "inject":
            self._stage.inject(instant.name, self._faults[instant.name], instant.at_s)
        else:
            self._stage.heal(instant.name, instant.at_s)

    def _wait_until(self, at_s: float) -> None:
        """Wait for an instant of the run, keeping an eye on the rig and the view up to date."""
        ticks = 0
        while True:
            elapsed_s = (self._clock.now_ns() - self._t0_ns) / NS_PER_S
            left_s = at_s - elapsed_s
            if left_s <= 0:
                return
            if ticks % SHOW_EVERY_TICKS == 0:
                self._session.check()
                self._show(elapsed_s)
            ticks += 1
            self._clock.sleep_s(min(TICK_S, left_s))

    def _show(self, elapsed_s: float) -> None:
        now = [p for p in self._plan.phases if p.start_s <= elapsed_s < p.end_s]
        phase = now[-1] if now else None
        self._session.show(
            phase.name if phase else "starting", max(0.0, elapsed_s), self._plan.duration_s,
            phase.end_s - elapsed_s if phase else None,
        )  # fmt: skip
