"""
The desk: the one place where people's hands, a drill's script and the floors act on a living system.

Every fault is a lease with an end. Whatever is said or done is an event with the instant it was meant for, rounded to
a millisecond, so that what was recorded can be played again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.clock import NS_PER_S, Clock
from harness.errors import InputError
from harness.faults.base import Fault
from harness.live.figures import Figures
from harness.live.floors import Floor, Trip
from harness.live.header import Header, Stretch, scenario_of
from harness.run.session import Session
from harness.run.stage import Stage
from harness.scenario.cross_check import held
from harness.system.document import did_you_mean

TICK_S = 0.05
SHOW_EVERY_TICKS = 5
LONGEST_LEASE_S = 3600.0
LONGEST_NOTE = 2000  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Aborted:
    """Why everything was healed: `floor` or `person`."""

    how: str
    why: str
    at_s: float


class Desk:
    """Hands on one session. Safe from any thread; `tick` belongs to one that comes by every 50 ms."""

    def __init__(self, header: Header, floors: tuple[Floor, ...], clock: Clock) -> None:
        self.header = header
        self.aborted: Aborted | None = None
        self.ending: str | None = None  # who asked for the end
        self.step: dict[str, Any] | None = None  # the manual step that waits for somebody, for whoever watches
        self.phase = "starting"
        self.figures = Figures(header.system.objectives, floors, self._give_way)
        self._clock = clock
        self._lock = threading.RLock()
        self._stretches: dict[str, Stretch] = {}
        self._ends: dict[str, float] = {}  # leases: fault -> declared end
        self._trips: list[Trip] = []
        self._ticks = 0
        self._session: Session | None = None
        self._stage: Stage | None = None
        self._t0_ns = 0

    def begin(self, session: Session) -> None:
        """Take over a session whose load has begun."""
        assert session.t0_ns is not None
        self._session, self._stage, self._t0_ns = session, Stage(session), session.t0_ns

    @property
    def session(self) -> Session:
        assert self._session is not None
        return self._session

    @property
    def stage(self) -> Stage:
        assert self._stage is not None
        return self._stage

    def now_s(self) -> float:
        """Seconds since the load began, in whole milliseconds."""
        return max(0.0, round((self._clock.now_ns() - self._t0_ns) / NS_PER_S, 3))

    # -- what people do ------------------------------------------------------------------------

    def inject(self, fault: Fault, *, for_s: float | None, name: str | None = None, by: str | None = None) -> str:
        """
        Begin a fault whose lease ends after for_s; gives its name. by: whose hand it was, None: the script's.
        Raises InputError when it would collide with one that is on.
        """
        with self._lock:
            if fault.undoable and not (for_s and 0 < for_s <= LONGEST_LEASE_S):
                raise InputError(f"a lease of {for_s} s is not possible", hint="between 1ms and 1h: --for 30s")
            self._refuse_collision(fault)
            name, at_s = self._unique(name or fault.kind), self.now_s()
            stretch = Stretch(name=name, kind="fault", start_s=at_s, fault=fault)
            self._stretches[name] = stretch
            if fault.undoable and for_s is not None:
                self._ends[name] = round(at_s + for_s, 3)
            else:
                stretch.end_s = at_s
            if by is not None:
                self._emit("person.injected", name, {"by": by, "what": fault.describe(), "for_s": for_s}, at_s)
            self.session.phase_started(name, "fault", at_s)
            self.stage.inject(name, fault, at_s)
            if not fault.undoable:
                self.session.phase_ended(name, "fault", at_s)
            self._remember()
        return name

    def wait_for(self, name: str) -> None:
        """Until the last thing asked of a fault is done. Raises HarnessError when it failed."""
        self.stage.wait_for(name)

    def heal(self, name: str | None, *, by: str | None = None, at_s: float | None = None) -> list[str]:
        """Begin to heal one fault, or all that are on; gives their names. Raises InputError for one that is not on."""
        with self._lock:
            on = list(self._ends)
            if name is not None and name not in on:
                hint = did_you_mean(name, on) or "nothing is on"
                raise InputError(f"{name!r} is no fault that is on", hint=hint)
            at_s = self.now_s() if at_s is None else at_s
            names = on if name is None else [name]
            for one in names:
                if by is not None:
                    self._emit("person.healed", one, {"by": by}, at_s)
                del self._ends[one]
                self._stretches[one].end_s = max(at_s, round(self._stretches[one].start_s + 0.001, 3))
                self.stage.heal(one, self._stretches[one].end_s or at_s)
                self.session.phase_ended(one, "fault", self._stretches[one].end_s)
            self._remember()
        return names

    def note(self, text: str, *, by: str) -> None:
        """What somebody saw, thought or asked. Raises InputError when there is nothing in it, or far too much."""
        text = " ".join(text.split())
        if not text or len(text) > LONGEST_NOTE:
            raise InputError(f"a note of {len(text)} characters", hint=f"write 1 to {LONGEST_NOTE}")
        self._emit("note", by, {"text": text}, self.now_s())

    def abort(self, why: str, *, how: str, by: str, more: dict[str, Any] | None = None) -> None:
        """Heal everything at once."""
        with self._lock:
            at_s = self.now_s()
            self.aborted = self.aborted or Aborted(how=how, why=why, at_s=at_s)
            self._emit("abort", by, {"how": how, "why": why, **(more or {})}, at_s)
            self.heal(None, at_s=at_s)

    def end(self, by: str) -> None:
        """Ask for the end; whoever ticks sees `ending`."""
        self.ending = self.ending or by

    # -- phases and steps, for whoever leads ---------------------------------------------------

    def phase_started(self, name: str, kind: str) -> str:
        """A named stretch of time begins; gives the name it got."""
        with self._lock:
            name, at_s = self._unique(name), self.now_s()
            self._stretches[name] = Stretch(name=name, kind=kind, start_s=at_s)
            self.phase = name
            self.session.phase_started(name, kind, at_s)
        return name

    def phase_ended(self, name: str) -> None:
        with self._lock:
            stretch = self._stretches[name]
            stretch.end_s = max(self.now_s(), round(stretch.start_s + 0.001, 3))
            self.session.phase_ended(name, stretch.kind, stretch.end_s)
            self._remember()

    def say(self, kind: str, subject: str, data: dict[str, Any]) -> None:
        """An event of a drill, with the instant it was meant for."""
        self._emit(kind, subject, data, self.now_s())

    # -- time goes on --------------------------------------------------------------------------

    def tick(self) -> None:
        """End leases, heed floors, keep an eye on the rig. Raises HarnessError when the rig itself is broken."""
        with self._lock:
            trips, self._trips = self._trips, []
            for trip in trips:
                more = {"slo": trip.floor.slo, "share": trip.share, "below": trip.floor.below, "seen_ns": trip.t_ns}
                self.abort(trip.sentence, how="floor", by=trip.floor.slo, more=more)
            now_s = self.now_s()
            for name, end_s in [lease for lease in self._ends.items() if lease[1] <= now_s]:
                self._emit("lease.ended", name, {}, end_s)
                self.heal(name, at_s=end_s)
        self._ticks += 1
        if self._ticks % SHOW_EVERY_TICKS == 0:
            self.session.check()
            self.session.show(self.phase, now_s, now_s, None)

    def run(self, for_s: float | None = None, until: Callable[[], bool] = lambda: False) -> None:
        """Tick for so long, or until something is so, or until somebody asks for the end."""
        start_s = self.now_s()
        while self.ending is None and not until():
            left_s = None if for_s is None else start_s + for_s - self.now_s()
            if left_s is not None and left_s <= 0:
                return
            self.tick()
            self._clock.sleep_s(TICK_S if left_s is None else min(TICK_S, left_s))

    def close(self) -> None:
        """Heal what is on, end what phases are open, write down what it all was."""
        self.heal(None)
        with self._lock:
            for stretch in self._stretches.values():
                if stretch.end_s is None:
                    self.phase_ended(stretch.name)
        self.stage.settle()
        self._remember()

    def status(self) -> dict[str, Any]:
        """Everything people watch, as JSON."""
        with self._lock:
            now_s = self.now_s()
            on = [
                {
                    "name": name, "what": fault.describe(), "since_s": self._stretches[name].start_s,
                    "left_s": round(end_s - now_s, 1),
                }
                for name, end_s in self._ends.items()
                if (fault := self._stretches[name].fault) is not None
            ]  # fmt: skip
        aborted = self.aborted and {"how": self.aborted.how, "why": self.aborted.why, "at_s": self.aborted.at_s}
        return {
            "run": self.session.setting.run_id, "name": self.header.name, "system": self.header.system.name,
            "elapsed_s": now_s, "phase": self.phase, "step": self.step, "aborted": aborted, "faults": on,
            **self.figures.snapshot(self._clock.now_ns(), self._t0_ns),
        }  # fmt: skip

    # -- inside --------------------------------------------------------------------------------

    def _give_way(self, trip: Trip) -> None:
        with self._lock:
            self._trips.append(trip)

    def _refuse_collision(self, fault: Fault) -> None:
        groups = self.header.system.members
        for name in self._ends:
            other = self._stretches[name].fault
            if other is not None and held(fault, groups) & held(other, groups):
                message = f"{name} already holds {fault.target}; healing one would undo the other"
                raise InputError(message, hint=f"harness heal {name}")

    def _unique(self, name: str) -> str:
        free, number = name, 1
        while free in self._stretches:
            number += 1
            free = f"{name}-{number}"
        return free

    def _emit(self, kind: str, subject: str, data: dict[str, Any], at_s: float) -> None:
        self.session.recorder.emit(kind, subject, {**data, "declared_s": at_s})

    def _remember(self) -> None:
        now_s = self.now_s()
        stretches = sorted(self._stretches.values(), key=lambda s: s.start_s)
        duration_s = max([now_s, *(s.end_s for s in stretches if s.end_s is not None)])
        self.session.put({"scenario": scenario_of(self.header, stretches, now_s), "plan": {"duration_s": duration_s}})
