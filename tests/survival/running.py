"""
A real `harness run` under way: which processes are its parts, how far it is, and the kill at a chosen instant.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.clock import NS_PER_S
from harness.plan import Plan, make_plan
from harness.run.leases import FILE_NAME
from harness.scenario.file import load_scenario
from harness.topology.tree import Identity

from .draws import (
    BOTH,
    FAULT,
    HEALING,
    JUDGING,
    LOAD,
    ONE_OF_SUITE,
    RUNNER,
    START_UP,
    STEADY,
    SUITE,
    TAKE_DOWN,
    WATCHDOG,
    Kill,
)
from .leftovers import Place

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "scenarios"
HEALING_S = (-0.05, 0.45)  # around the instant at which the first fault is healed
TAKE_DOWN_S = 1.2
TAKE_DOWN_OF_LOAD_S = 0.15  # the load child is the first to go: a kill later than that finds none
RESTART_S = 1.0
JUDGING_S = 0.5
END_LIMIT_S = 90.0
PACE_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The instants of a scenario, in seconds after its load began."""

    fault_s: float
    heal_s: float
    end_s: float

    @classmethod
    def of(cls, scenario: str) -> Timeline:
        loaded = load_scenario(FOLDER / f"{scenario}.yaml", ())
        plan: Plan = make_plan(loaded.scenario, loaded.system)
        first = min(plan.faults, key=lambda fault: fault.start_s)
        heal_s = max(first.end_s or 0.0, first.start_s + RESTART_S)  # a restart takes as long as it takes
        return cls(fault_s=first.start_s, heal_s=heal_s, end_s=plan.duration_s)

    def offset_s(self, kill: Kill) -> float:
        """When to kill, after the load began."""
        spans = {
            STEADY: (0.0, self.fault_s),
            FAULT: (self.fault_s, self.heal_s + HEALING_S[0]),
            HEALING: (self.heal_s + HEALING_S[0], self.heal_s + HEALING_S[1]),
            TAKE_DOWN: (self.end_s, self.end_s + (TAKE_DOWN_OF_LOAD_S if kill.victim == LOAD else TAKE_DOWN_S)),
        }
        begin_s, end_s = spans[kill.phase]
        return begin_s + kill.fraction * (end_s - begin_s)

    def phase(self, offset_s: float) -> str:
        """The phase of an instant, by the plan."""
        if offset_s < self.fault_s or self.heal_s + HEALING_S[1] <= offset_s < self.end_s:
            return STEADY
        if offset_s < self.heal_s + HEALING_S[0]:
            return FAULT
        return HEALING if offset_s < self.end_s else TAKE_DOWN


class Running:
    """One `harness run`, started at once; its output goes to files, so that nothing waits for a reader."""

    def __init__(self, place: Place, scenarios: tuple[str, ...], *words: str) -> None:
        self._place = place
        self._before = place.runs()
        self._timeline = Timeline.of(scenarios[0])
        self._output, self._errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        files = [str(FOLDER / f"{scenario}.yaml") for scenario in scenarios]
        self.began_ns = time.monotonic_ns()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harness", "run", *files, "--reports", str(place.reports), *words],
            env={**os.environ, **place.environment()}, cwd=ROOT, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._errors,
        )  # fmt: skip

    # -- looking -----------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        return self.process.poll() is not None

    def runs(self) -> list[Path]:
        """The folders of its runs, oldest first."""
        return sorted(self._place.runs() - self._before)

    def t0_ns(self) -> int | None:
        """When the load of its first run began."""
        found = self._asked("SELECT value FROM run WHERE key = 't0_ns'")
        return None if found is None else int(found)

    def ended_ns(self) -> int | None:
        """When its first run was taken down, by its own journal."""
        found = self._asked("SELECT max(t_ns) FROM events WHERE kind = 'run.ended'")
        return None if found is None else int(found)

    def _asked(self, question: str) -> Any:
        for run in self.runs()[:1]:
            with suppress(sqlite3.Error):
                db = sqlite3.connect(f"file:{run / 'journal.db'}?mode=ro", uri=True)
                try:
                    row = db.execute(question).fetchone()
                finally:
                    db.close()
                return row[0] if row else None
        return None

    def victims(self, victim: str) -> list[Identity]:
        """The processes to kill; empty while they are not all there."""
        if victim in {RUNNER, SUITE}:
            return [_itself(self.process.pid)]
        entries = self._entries()
        if victim == ONE_OF_SUITE:
            return [_identity(entry["runner"]) for entry in entries[:1]]
        watchdogs = [_identity(entry["watchdog"]) for entry in entries[:1] if entry.get("watchdog")]
        if victim == WATCHDOG:
            return watchdogs
        if victim == BOTH:
            return [*watchdogs, _itself(self.process.pid)] if watchdogs else []
        return [self._leased()[victim]] if victim in self._leased() else []

    def _entries(self) -> list[dict[str, Any]]:
        found = []
        for path in sorted(self._place.state.rglob("*.json")):
            with suppress(OSError, ValueError):
                found.append(json.loads(path.read_text("utf-8")))
        return found

    def _leased(self) -> dict[str, Identity]:
        """Part -> its process, as the first run wrote it down."""
        subjects, found = {}, {}
        for run in self.runs()[:1]:
            with suppress(OSError):
                for text in (run / FILE_NAME).read_text("utf-8").splitlines():
                    with suppress(ValueError, KeyError, TypeError):
                        line = json.loads(text)
                        if line["what"] == "intent":
                            subjects[line["lease"]] = line["subject"]
                        elif line["what"] == "started":
                            found[subjects[line["lease"]]] = _identity(line)
        return found

    # -- killing -----------------------------------------------------------------------------

    def wait_for(self, kill: Kill, start_up_s: float) -> list[Identity]:
        """Wait for the instant; gives back whom to kill then, nobody when the run was over before."""
        if kill.phase == START_UP:
            self._wait(lambda: time.monotonic_ns() >= self.began_ns + round(kill.fraction * start_up_s * NS_PER_S))
        elif kill.phase == JUDGING:
            self._wait(lambda: self.ended_ns() is not None)
            time.sleep(kill.fraction * JUDGING_S)
        else:
            self._wait(lambda: self.t0_ns() is not None)
            at_ns = (self.t0_ns() or 0) + round(self._timeline.offset_s(kill) * NS_PER_S)
            self._wait(lambda: time.monotonic_ns() >= at_ns)
        self._wait(lambda: bool(self.victims(kill.victim)))
        return [] if self.over else [one for one in self.victims(kill.victim) if one.process() is not None]

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + END_LIMIT_S
        while not self.over and not condition():
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"the run did not come far enough within {END_LIMIT_S:.0f} s: {self.said()[1]}")
            time.sleep(PACE_S)

    def phase_at(self, at_ns: int) -> str:
        """The phase the run was really in, by what its journal says afterwards."""
        t0_ns, ended_ns = self.t0_ns(), self.ended_ns()
        if t0_ns is None or at_ns < t0_ns:
            return START_UP
        if ended_ns is not None and ended_ns < at_ns:
            return JUDGING
        return self._timeline.phase((at_ns - t0_ns) / NS_PER_S)

    # -- afterwards --------------------------------------------------------------------------

    def wait_over(self, limit_s: float) -> bool:
        """Whether it ended by itself within limit_s."""
        try:
            self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def said(self) -> tuple[str, str]:
        """What it wrote to its standard output and error."""
        texts = []
        for file in (self._output, self._errors):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
        return texts[0], texts[1]

    def close(self) -> None:
        """End it, if need be in order first; its watchdog does the rest."""
        if not self.over:
            self.process.send_signal(signal.SIGTERM)
            if not self.wait_over(20.0):
                self.process.kill()
                self.process.wait()
        self._output.close()
        self._errors.close()


def _itself(pid: int) -> Identity:
    import psutil

    return Identity(pid=pid, born_s=psutil.Process(pid).create_time())


def _identity(found: dict[str, Any]) -> Identity:
    return Identity(pid=int(found["pid"]), born_s=float(found["born_s"]))


def kill_at_once(victims: list[Identity]) -> int:
    """SIGKILL to all of them, one straight after the other; gives back the instant (monotonic, ns)."""
    at_ns = time.monotonic_ns()
    for victim in victims:
        with suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGKILL)
    return at_ns
