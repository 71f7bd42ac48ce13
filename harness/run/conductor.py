"""
The conductor: runs one plan from nothing running to nothing running.

It walks the timeline, each fault in a thread of its own so that a slow restart
delays nobody, and leaves a journal. It judges nothing.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from harness.clock import NS_PER_S, Clock, SystemClock
from harness.errors import HarnessError
from harness.plan import Plan
from harness.progress import View
from harness.run.facts import run_id_of
from harness.run.options import RunOptions
from harness.run.session import PlannedLoad, Session, Setting

TICK_S = 0.05
SHOW_EVERY_TICKS = 5
FAULT_LIMIT_S = 90.0  # longest that one inject or heal may take; a restart waits for readiness


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """Something the timeline does at an instant; `order` settles what comes first at the same one."""

    at_s: float
    order: int
    what: str  # phase.started | phase.ended | inject | heal
    name: str
    kind: str = ""


def instants(plan: Plan) -> list[Instant]:
    """The plan's instants in order: at equal times phases end, faults heal, phases start, faults are injected."""
    found = [Instant(at_s=p.end_s, order=0, what="phase.ended", name=p.name, kind=p.kind) for p in plan.phases]
    found += [Instant(at_s=p.start_s, order=2, what="phase.started", name=p.name, kind=p.kind) for p in plan.phases]
    for fault in plan.faults:
        found.append(Instant(at_s=fault.start_s, order=3, what="inject", name=fault.name))
        if fault.end_s is not None and fault.fault.undoable:
            found.append(Instant(at_s=fault.end_s, order=1, what="heal", name=fault.name))
    return sorted(found, key=lambda i: (i.at_s, i.order))


def run_plan(plan: Plan, options: RunOptions, *, view: View, scenario_text: str, clock: Clock | None = None) -> Path:
    """
    Run a plan; returns the run's folder. Raises SetUpError when the system could not be started,
    HarnessError when a part of the rig broke meanwhile; the journal is complete up to then either way.
    """
    clock = clock or SystemClock()
    run_id = run_id_of(plan.scenario.name)
    run_dir = (options.reports / run_id).resolve()
    setting = Setting(
        name=plan.scenario.name, system=plan.system, environment=plan.environment, seed=plan.seed,
        run_id=run_id, run_dir=run_dir,
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
            }
        )
        view.say("waiting for the load generator")
        session.begin_load()
        _Walk(plan, session, clock).run()
        session.finish()
    return run_dir


class _Walk:
    """One walk along the timeline."""

    def __init__(self, plan: Plan, session: Session, clock: Clock) -> None:
        assert session.t0_ns is not None
        self._plan, self._session, self._clock = plan, session, clock
        self._t0_ns = session.t0_ns
        self._threads: dict[str, threading.Thread] = {}

    def run(self) -> None:
        for instant in instants(self._plan):
            self._wait_until(instant.at_s)
            self._do(instant)
        self._wait_until(self._plan.duration_s)
        for name, thread in self._threads.items():
            thread.join(FAULT_LIMIT_S)
            if thread.is_alive():
                raise HarnessError(f"fault {name} was still being injected or healed after {FAULT_LIMIT_S:.0f} s")

    def _do(self, instant: Instant) -> None:
        if instant.what == "phase.started":
            self._session.phase_started(instant.name, instant.kind)
        elif instant.what == "phase.ended":
            self._session.phase_ended(instant.name, instant.kind)
        else:
            before = self._threads.get(instant.name)
            thread = threading.Thread(target=self._act, args=(instant, before), name=f"{instant.what} {instant.name}")
            thread.daemon = True
            self._threads[instant.name] = thread
            thread.start()

    def _act(self, instant: Instant, before: threading.Thread | None) -> None:
        """In a thread of its own: inject or heal. A fault that fails is in the journal; its receipt will say so."""
        if before is not None:
            before.join(FAULT_LIMIT_S)
        try:
            if instant.what == "inject":
                fault = next(f for f in self._plan.faults if f.name == instant.name)
                self._session.inject(instant.name, fault.fault, instant.at_s)
            else:
                self._session.heal(instant.name, instant.at_s)
        except HarnessError as error:
            self._session.recorder.emit("fault.failed", instant.name, {"error": str(error)})

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
