"""
What a judgement is made of: three verdicts, results of checks, receipts, and the run's verdict.

Data only. Who judges is in `judge`, `checks` and `receipts`; who shows it is in `report`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Verdict(Enum):
    """PASS and FAIL are earned; everything else is INCONCLUSIVE."""

    PASS = "PASS"  # noqa: S105  # a verdict, no password
    INCONCLUSIVE = "INCONCLUSIVE"
    FAIL = "FAIL"

    @property
    def gravity(self) -> int:
        return {"PASS": 0, "INCONCLUSIVE": 1, "FAIL": 2}[self.value]


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The gravest of several verdicts; of none at all: INCONCLUSIVE, never a pass by absence."""
    return max(verdicts, key=lambda v: v.gravity, default=Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The answer of one check to one promise."""

    check: str  # the check's name: availability, latency, breaker ...
    title: str  # the promise in one line, for people
    verdict: Verdict
    reason: str  # a sentence with the numbers: why this verdict
    bound: str  # what was promised, as text ("at least 99 %")
    measured: str  # what was measured, as text ("98.3 %")
    value: float | None = None  # the measured value as a number, in the unit that `unit` names
    unit: str = ""
    samples: int = 0
    window: str = "whole run"
    thin: bool = False  # the interval of the measurement contains the bound
    interval: tuple[float, float] | None = None
    evidence: tuple[dict[str, Any], ...] = ()  # rows to show when it failed; every row the same keys
    rests_on: tuple[str, ...] = ()  # names of the receipts without which it would be inconclusive


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof, measured, that a fault, a load phase, an observer or the steady state really was so."""

    kind: str  # fault | load | observer | steady_state | journal
    subject: str  # the fault's name, the load phase, the observer, ...
    verdict: Verdict  # PASS: the evidence is there; INCONCLUSIVE: it is missing or unclear
    status: str  # APPLIED, NO EFFECT, UNCLEAR, NO EVIDENCE, VALID, INVALID, HEALTHY, ...
    sentence: str
    numbers: dict[str, Any] = field(default_factory=dict)
    machine_to_blame: bool = False  # True when only the machine was too busy: a second try makes sense

    @property
    def name(self) -> str:
        """Kind and subject as people say them: `fault slow-payment`, `load`."""
        return self.kind if self.kind == self.subject else f"{self.kind} {self.subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunVerdict:
    """The verdict on one run, with everything it rests on."""

    scenario: str
    run: str  # the run's id
    verdict: Verdict
    reason: str
    declared: Verdict  # what the scenario file says it must end in
    because: str | None  # the check or receipt that has to be the cause, if declared
    as_declared: bool
    checks: tuple[CheckResult, ...]
    receipts: tuple[Receipt, ...]
    facts: dict[str, Any] = field(default_factory=dict)  # seed, versions, duration_s, counts ...

    @property
    def worth_another_try(self) -> bool:
        """True when nothing but a busy machine kept this run from a verdict."""
        return self.verdict is Verdict.INCONCLUSIVE and any(r.machine_to_blame for r in self.receipts)
