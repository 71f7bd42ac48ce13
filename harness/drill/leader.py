"""
The leader of a drill: goes through its script line by line, asks people, waits for them no longer than their limit.

What people say is carried out at once: a note is written down, an abort heals everything. The leader acts through the
desk, as everybody else does, so people in other terminals may inject, heal and note meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from harness.clock import Clock
from harness.drill.model import Deed, Drill, ScriptStep
from harness.drill.names import names_of
from harness.drill.persons import Person, Waiting, Word
from harness.errors import InputError
from harness.live.desk import TICK_S, Desk

SHOW_EVERY_S = 0.25


class Screen(Protocol):
    """Where the drill is shown."""

    def show(self, status: Mapping[str, Any]) -> None:
        """Several times a second."""
        ...


class Leader:
    """Leads one drill; without one it only listens. people: role -> who plays it."""

    def __init__(
        self, drill: Drill | None, desk: Desk, persons: Sequence[Person], screen: Screen, *,
        clock: Clock, people: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._drill, self._desk, self._persons, self._screen = drill, desk, persons, screen
        self._clock, self._people = clock, people
        self._next_show_s = 0.0
        self._answer: Word | None = None
        self._through = False

    def run(self) -> None:
        """From the first line to the last, or until it is broken off. Raises HarnessError when the rig breaks."""
        assert self._drill is not None
        for line, name in zip(self._drill.script, names_of(self._drill.script), strict=True):
            if self._over():
                break
            self._do(line, name)
        self._through = self._desk.ending is None
        if self._desk.aborted is not None and self._desk.ending is None:
            name = self._desk.phase_started("after-abort", "recovery")
            self._attend(self._drill.after_abort_s, lambda: self._desk.ending is not None)
            self._desk.phase_ended(name)

    def cut_short(self) -> None:
        """Write down that the script was not gone through to its end, if so: such a drill shows nothing."""
        if not self._through and self._desk.aborted is None:
            by = self._desk.ending or "interrupted"
            self._desk.abort("ended before the script was through", how="person", by=by)

    def listen(self, for_s: float) -> None:
        """Lead nobody: write down what is done until somebody asks for the end. An abort heals, and goes on."""
        name = self._desk.phase_started("live", "wait")
        self._attend(for_s, lambda: self._desk.ending is not None)
        self._desk.phase_ended(name)

    def _over(self) -> bool:
        return self._desk.aborted is not None or self._desk.ending is not None

    def _do(self, line: ScriptStep, name: str | None) -> None:
        if line.fault is not None:
            self._hurt(Deed.model_validate({"fault": line.fault, "as": name, "for": _span(line.for_s)}))
        elif line.heal is not None:
            self._heal(line.heal)
        elif line.step is not None:
            self._ask(line)
        elif line.note is not None:
            self._desk.note(line.note, by=line.by or "script")
        elif name is not None:
            name = self._desk.phase_started(name, line.kind)
            self._attend(line.length_s, self._over)
            self._desk.phase_ended(name)

    def _hurt(self, deed: Deed) -> None:
        assert deed.fault is not None
        try:
            self._desk.inject(deed.fault, for_s=deed.for_s, name=deed.as_)
        except InputError as error:  # somebody's hand was there before; the journal has both
            self._desk.note(f"{deed.as_ or deed.fault.kind} could not be done: {error}", by="script")

    def _heal(self, name: str) -> None:
        if name in [fault["name"] for fault in self._desk.status()["faults"]]:
            self._desk.heal(name)

    def _ask(self, line: ScriptStep) -> None:
        """One manual step, from its prompt to its answer or the end of its limit."""
        assert line.step is not None
        assert line.role is not None
        assert line.limit_s is not None
        name = self._desk.phase_started(line.step, "wait")
        told = {"role": line.role, "prompt": line.prompt, "limit_s": line.limit_s, "marks": line.marks}
        self._desk.say("step.prompted", name, told)
        since_s = self._desk.now_s()
        self._desk.step = {"name": name, "role": line.role, "prompt": line.prompt, "left_s": line.limit_s}
        self._answer = None
        waiting = Waiting(step=line.step, role=line.role, since_s=since_s)
        self._attend(line.limit_s, lambda: self._answer is not None or self._over(), waiting)
        self._desk.step = None
        self._close_step(line, name, since_s)
        self._desk.phase_ended(name)

    def _close_step(self, line: ScriptStep, name: str, since_s: float) -> None:
        by = (self._answer and self._answer.by) or self._people.get(line.role or "", line.role)
        took = {"by": by, "after_s": round(self._desk.now_s() - since_s, 3)}
        if self._over():
            self._desk.say("step.aborted", name, took)
        elif self._answer is None:
            self._desk.say("step.missed", name, {**took, "by": line.role, "limit_s": line.limit_s, "then": line.missed})
            if line.missed == "heal":
                self._desk.heal(None)
            elif line.missed == "abort":
                self._desk.abort(f"nobody did {name} within {line.limit_s:g} s", how="person", by=line.role or "nobody")
        else:
            self._desk.say(f"step.{self._answer.said}", name, took)
            for deed in line.does if self._answer.said == "done" else ():
                self._hurt(deed) if deed.fault is not None else self._heal(deed.heal or "")

    def _attend(self, for_s: float, until: Callable[[], bool], waiting: Waiting | None = None) -> None:
        """Let time pass, listen, show."""
        end_s = self._desk.now_s() + for_s
        while not until() and (left_s := end_s - self._desk.now_s()) > 0:
            if self._desk.step is not None:
                self._desk.step["left_s"] = round(left_s, 1)
            self._desk.tick()
            for person in self._persons:
                for word in person.words(waiting, self._desk.now_s()):
                    self._hear(word, waiting)
            if self._desk.now_s() >= self._next_show_s:
                self._next_show_s = self._desk.now_s() + SHOW_EVERY_S
                self._screen.show(self._desk.status())
            self._clock.sleep_s(min(TICK_S, max(0.0, left_s)))

    def _hear(self, word: Word, waiting: Waiting | None) -> None:
        role = waiting.role if waiting is not None else None
        by = word.by or self._people.get(role or "", role) or next(iter(self._people.values()), "somebody")
        if word.said == "note":
            self._desk.note(word.text, by=by)
        elif word.said == "abort":
            self._desk.abort(word.text or f"{by} broke it off", how="person", by=by)
        elif waiting is not None and self._answer is None:
            self._answer = word


def _span(span_s: float | None) -> str | None:
    return None if span_s is None else f"{span_s:.6f}s"
