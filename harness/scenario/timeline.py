"""
A timeline laid out: which step has which name, starts when, ends when.

A cursor goes through the steps. A step without `at` starts where the cursor
stands and moves it by its length; a step with `at` starts there and leaves the
cursor alone. The run ends where the last of it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.scenario.model import Step
from harness.system.document import Where, did_you_mean
from harness.system.mistakes import Finding

PHASES = ("steady", "recovery", "wait")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One step that lasts: a phase, or a fault. Times in seconds from the start of the load."""

    index: int  # of the step in the timeline
    name: str
    kind: str  # steady | recovery | wait | fault
    step: Step
    start_s: float
    end_s: float
    healed: bool  # a fault: whether `for` or `heal` ends it before the run does


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The whole of it. broken: no plan can be made of it; doubtful: one can, but it cannot be what was meant."""

    placed: tuple[Placed, ...]
    duration_s: float
    broken: tuple[Finding, ...]
    doubtful: tuple[Finding, ...]

    def named(self, name: str) -> Placed | None:
        return next((one for one in self.placed if one.name == name), None)


def names_of(steps: Sequence[Step | None]) -> list[str | None]:
    """The name of each step: its `as`, else its kind, numbered when that is taken; None for a heal."""
    taken = {step.as_ for step in steps if step is not None and step.as_ is not None}
    names: list[str | None] = []
    for step in steps:
        if step is None or step.heal is not None:
            names.append(None)
        elif step.as_ is not None:
            names.append(step.as_)
        else:
            kind = step.fault.kind if step.fault is not None else phase_of(step)
            number, name = 1, kind
            while name in taken:
                number += 1
                name = f"{kind}-{number}"
            taken.add(name)
            names.append(name)
    return names


def phase_of(step: Step) -> str:
    """steady, recovery or wait."""
    return next(kind for kind in PHASES if getattr(step, f"{kind}_s") is not None)


def lay_out(steps: Sequence[Step]) -> Timeline:
    """Work out every instant."""
    return _Layer(steps).timeline()


class _Layer:
    """Walks the steps once with a cursor, then looks at the whole."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._names = names_of(steps)
        self._starts: dict[int, float] = {}
        self._ends: dict[int, float | None] = {}  # None: until healed or the run's end
        self._heals: list[tuple[int, float]] = []
        self._broken: list[Finding] = []
        self._doubtful: list[Finding] = []
        self._cursor_s = 0.0

    def timeline(self) -> Timeline:
        for index, step in enumerate(self._steps):
            self._place(index, step)
        self._look_for_twins()
        for index, at_s in self._heals:
            self._heal(index, at_s)
        phases = [e for i, e in self._ends.items() if e is not None and self._steps[i].fault is None]
        run_s = max([self._cursor_s, *phases])
        if run_s <= 0:
            self._broken.append(
                Finding(where=("timeline",), message="timeline has no length", hint="add a phase: - steady: 3s")
            )
        self._look_beyond(run_s)
        last_s = max([run_s, *(e for e in self._ends.values() if e is not None), *(s for _, s in self._heals)])
        return Timeline(
            placed=tuple(self._placed(index, last_s) for index in self._starts),
            duration_s=last_s,
            broken=tuple(self._broken),
            doubtful=tuple(self._doubtful),
        )

    def _place(self, index: int, step: Step) -> None:
        start_s = self._cursor_s if step.at_s is None else step.at_s
        if step.heal is not None:
            self._heals.append((index, start_s))
            return
        self._starts[index] = start_s
        if step.fault is not None:
            length_s = step.for_s
            instant = not step.fault.undoable
            self._ends[index] = start_s if instant else None if length_s is None else _sum(start_s, length_s)
        else:
            length_s = getattr(step, f"{phase_of(step)}_s")
            self._ends[index] = _sum(start_s, length_s or 0.0)
        if step.at_s is None and length_s is not None:
            self._cursor_s = _sum(start_s, length_s)

    def _heal(self, index: int, at_s: float) -> None:
        name = self._steps[index].heal
        faults = {self._names[i]: i for i in self._starts if self._steps[i].fault is not None}
        where: Where = ("timeline", index, "heal")
        fault = faults.get(name)
        if fault is None:
            known = [n for n in faults if n is not None]
            message = f"heal names {name!r}, which is no fault of this timeline"
            self._broken.append(Finding(where=where, message=message, hint=did_you_mean(str(name), known)))
            return
        step = self._steps[fault]
        problem = None
        if step.fault is not None and not step.fault.undoable:
            problem = f"heal names {name!r}, which leaves nothing to heal"
        elif step.for_s is not None:
            problem = f"heal names {name!r}, which ends by its own `for`"
        elif self._ends[fault] is not None:
            problem = f"heal names {name!r}, which was healed already"
        elif at_s <= self._starts[fault]:
            problem = f"heal of {name!r} at {at_s:g}s is not after its start at {self._starts[fault]:g}s"
        if problem is not None:
            self._broken.append(Finding(where=where, message=problem, hint="one fault ends once, after it began"))
            return
        self._ends[fault] = at_s

    def _look_for_twins(self) -> None:
        first: dict[str, int] = {}
        for index, name in enumerate(self._names):
            if name is None:
                continue
            if name in first:
                message = f"two steps are called {name!r}, timeline[{first[name]}] and timeline[{index}]"
                hint = "names tell faults and phases apart; give this one another"
                self._broken.append(Finding(where=("timeline", index, "as"), message=message, hint=hint))
            first.setdefault(name, index)

    def _look_beyond(self, run_s: float) -> None:
        """What starts or ends after the run does."""
        times = [*self._starts.items(), *self._heals]
        for index, start_s in times:
            step, end_s = self._steps[index], self._ends.get(index)
            if step.at_s is not None and start_s >= run_s > 0:
                message = f"at is {start_s:g}s, but the run ends at {run_s:g}s"
                hint = "the run lasts as long as its phases and the faults without `at`"
                self._doubtful.append(Finding(where=("timeline", index, "at"), message=message, hint=hint))
            elif step.fault is not None and step.for_s is not None and end_s is not None and end_s > run_s > 0:
                message = f"fault {self._names[index]} ends at {end_s:g}s, after the run, which ends at {run_s:g}s"
                hint = f"shorten `for`, or add a phase: - recovery: {_sum(end_s, -run_s):g}s"
                self._doubtful.append(Finding(where=("timeline", index, "for"), message=message, hint=hint))

    def _placed(self, index: int, last_s: float) -> Placed:
        step, end_s = self._steps[index], self._ends[index]
        name = self._names[index]
        assert name is not None
        return Placed(
            index=index,
            name=name,
            kind="fault" if step.fault is not None else phase_of(step),
            step=step,
            start_s=self._starts[index],
            end_s=last_s if end_s is None else end_s,
            healed=end_s is not None,
        )


def _sum(start_s: float, length_s: float) -> float:
    """Without the dust of binary fractions: 0.1 s and 0.2 s are 0.3 s."""
    return round(start_s + length_s, 9)
