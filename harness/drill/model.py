"""
What a drill says: a scenario with people in it.

System, load and promises are those of a scenario. Instead of a timeline it has a script, which waits for people; and it
says why the drill is held, who takes part, how quick they want to be, when it is broken off. A script whose lines all
have an instant (`at`) is a recorded one: it waits for nobody, its manual steps hold the answers that were given.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from harness.live.floors import Floor
from harness.scenario.model import AnyExpectation, AnyFault, Load
from harness.words import PositiveSeconds, Seconds, Words

NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
PHASES = ("steady", "recovery", "wait")
Said = Literal["done", "skipped", "missed", "aborted"]
Mark = Literal["detected", "responded"]


class Rpo(Words):
    """How much acknowledged work may be lost."""

    ledger: str = Field(description="name of a ledger the system declares")
    at_most_s: Seconds = Field(
        alias="at_most", description="longest stretch of acknowledged work around the incident that may be lost"
    )


class Objectives(Words):
    """How quick people and system want to be. All count from the incident's real start."""

    incident: str | None = Field(None, description="name of the fault that is the incident; absent: the first one")
    detection_s: PositiveSeconds | None = Field(
        None, alias="detection", description="until a step that marks `detected` is done"
    )
    response_s: PositiveSeconds | None = Field(
        None, alias="response", description="until a step that marks `responded` is done"
    )
    rto_s: PositiveSeconds | None = Field(
        None, alias="rto", description="until every objective of the system holds again"
    )
    rpo: Rpo | None = Field(None, description="acknowledged work that may be lost")


class Deed(Words):
    """What the harness does when a manual step is done: heal a fault, or do one (an operator's request, a restart)."""

    heal: str | None = Field(None, description="name of the fault that ends here, if it is on")
    fault: AnyFault | None = Field(None, description="what is done, to which link or service")
    as_: str | None = Field(None, alias="as", pattern=NAME, description="a name for the fault")
    for_s: PositiveSeconds | None = Field(None, alias="for", description="the fault is healed after so long at latest")

    @model_validator(mode="after")
    def _one_thing(self) -> Deed:
        if (self.heal is None) == (self.fault is None):
            raise ValueError("does takes {heal: NAME} or {fault: {...}, for: 30s}")
        return self


class Answer(Words):
    """What became of a manual step when it was recorded."""

    said: Said = Field(description="what became of it")
    at_s: Seconds = Field(alias="at", description="instant of the run")
    by: str = Field(description="who answered")


class Broken(Words):
    """That everything was healed at once, when it was recorded."""

    how: Literal["floor", "person"] = Field(description="what broke it off")
    why: str = Field(description="in words")
    by: str = Field(description="the slo, or who")


class ScriptStep(Words):
    """One line of the script: a phase, a fault, the healing of one, a manual step, a note."""

    steady_s: PositiveSeconds | None = Field(None, alias="steady", description="time before the first fault")
    recovery_s: PositiveSeconds | None = Field(None, alias="recovery", description="time after the last fault")
    wait_s: PositiveSeconds | None = Field(None, alias="wait", description="time that is neither")
    fault: AnyFault | None = Field(None, description="what is done; the script goes on at once")
    heal: str | None = Field(None, description="name of the fault that ends here, if it still is on")
    step: str | None = Field(None, pattern=NAME, description="a manual step, by its name")
    note: str | None = Field(None, description="a note, as it was recorded")
    abort: Broken | None = Field(None, description="that everything was healed, as it was recorded")

    as_: str | None = Field(None, alias="as", pattern=NAME, description="a name for the fault or the phase")
    for_s: PositiveSeconds | None = Field(None, alias="for", description="a fault is healed after so long at latest")
    role: str | None = Field(None, description="step: which of the roles has to act")
    prompt: str | None = Field(None, description="step: what they are asked to do")
    limit_s: PositiveSeconds | None = Field(None, alias="limit", description="step: how long they have")
    missed: Literal["go-on", "heal", "abort"] = Field(
        "go-on", description="step: when nobody was in time, go on, heal everything and go on, or break off"
    )
    marks: Mark | None = Field(
        None, description="step: being done, it shows that the incident was detected, responded to"
    )
    does: tuple[Deed, ...] = Field((), description="step: what the harness does when it is done")
    by: str | None = Field(None, description="recorded: whose hand it was, or who wrote the note")
    healed_by: str | None = Field(None, description="recorded: who healed it; `lease`: its time was over")
    at_s: Seconds | None = Field(None, alias="at", description="recorded: instant of the run")
    answer: Answer | None = Field(None, description="recorded: what became of the step")

    @property
    def kind(self) -> str:
        """steady, recovery, wait, fault, heal, step, note or abort."""
        return next(name.removesuffix("_s") for name in _THINGS if getattr(self, name) is not None)

    @property
    def length_s(self) -> float:
        """How long a phase lasts."""
        return float(getattr(self, f"{self.kind}_s"))

    @model_validator(mode="after")
    def _one_thing(self) -> ScriptStep:
        things = [name for name in _THINGS if getattr(self, name) is not None]
        if len(things) != 1:
            raise ValueError("a line of the script says one thing: steady, recovery, wait, fault, heal, step or note")
        if self.step is not None:
            self._whole_step()
        elif stray := [
            key for key in ("role", "prompt", "limit_s", "marks", "answer") if getattr(self, key) is not None
        ]:
            raise ValueError(f"{stray[0].removesuffix('_s')} belongs to a manual step: {{step: call-provider, ...}}")
        if self.for_s is not None and self.fault is None:
            raise ValueError("for belongs to a fault; a phase has its length behind its own name: steady: 3s")
        return self

    def _whole_step(self) -> None:
        if self.role is None or self.prompt is None:
            raise ValueError(f"step {self.step} needs a role and a prompt: who is asked, to do what")
        if self.limit_s is None:
            raise ValueError(f"step {self.step} has no limit; nobody is waited for without one: limit: 60s")


_THINGS = ("steady_s", "recovery_s", "wait_s", "fault", "heal", "step", "note", "abort")


class Drill(Words):
    """One drill file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$", description="lower case, digits and hyphens")
    system: str = Field(pattern=r"\S", description="path of the Compose file, relative to this file")
    tags: tuple[str, ...] = Field((), description="for people")
    goal: str = Field("", description="why this drill is held, in a sentence")
    hypotheses: tuple[str, ...] = Field((), description="what is believed to happen")
    roles: dict[str, str] = Field(default_factory=dict, description="role -> what it is there for")
    objectives: Objectives = Field(default_factory=Objectives)
    abort: tuple[Floor, ...] = Field((), description="floors: everything is healed at once when an SLO falls below one")
    after_abort_s: PositiveSeconds = Field(
        5.0, alias="after_abort", description="load goes on for so long after an abort"
    )
    learned: tuple[str, ...] = Field((), description="what is to be learned: questions for the talk afterwards")
    seed: int = Field(1, ge=0, description="draws of arrivals, data and shares all come from it")
    with_: dict[str, dict[str, str | int | float | bool]] = Field(
        default_factory=dict, alias="with", description="service -> environment values set for this drill"
    )
    load: Load
    script: tuple[ScriptStep, ...] = Field(min_length=1, description="what happens, in order")
    expect: tuple[AnyExpectation, ...] = Field((), description="the promises; absent: every objective of the system")

    @property
    def recorded(self) -> bool:
        """Whether every line has its instant."""
        return all(step.at_s is not None for step in self.script)
