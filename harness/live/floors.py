"""
Floors: how low an objective may fall before everything is healed at once.

Looked at whenever the journal gets rows, over those that ended in the last seconds. A request that hangs is seen when
it ends, at its own time limit at the latest.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from harness.clock import NS_PER_S
from harness.errors import InputError
from harness.system.document import did_you_mean
from harness.system.model import Objective
from harness.units import duration_s, share
from harness.words import PositiveSeconds, Share, Words

_SAID = re.compile(r"\s*(\S+)\s*<\s*(\S+)(?:\s+over\s+(\S+))?\s*")


class Floor(Words):
    """One abort condition: `{slo: orders-available, below: 80%, over: 5s}`."""

    slo: str = Field(description="name of an objective the system declares")
    below: Share = Field(description="heal everything when the good share falls below this")
    over_s: PositiveSeconds = Field(
        5.0, alias="over", description="the share is that of requests which ended so recently"
    )
    least: int = Field(
        20, ge=1, description="requests that must have ended in that time for the share to mean anything"
    )


def floor_of(text: str, objectives: Sequence[Objective]) -> Floor:
    """`orders-available < 80% over 5s`, as a command line has it. Raises InputError."""
    found = _SAID.fullmatch(text)
    hint = 'write it like "orders-available < 80% over 5s"'
    if found is None:
        raise InputError(f"--abort {text!r} is no condition", hint=hint)
    try:
        words = {"slo": found[1], "below": share(found[2])} | ({"over": found[3]} if found[3] else {})
        if found[3]:
            duration_s(found[3])
        floor = Floor.model_validate(words)
    except ValueError as error:
        raise InputError(f"--abort {text!r}: {str(error).splitlines()[0]}", hint=hint) from None
    names = [objective.name for objective in objectives]
    if floor.slo not in names:
        message = f"--abort {text!r}: {floor.slo!r} is no slo of the system"
        raise InputError(message, hint=did_you_mean(floor.slo, names))
    return floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """A floor that gave way: the share seen, over how many requests, and when the last of them ended."""

    floor: Floor
    share: float
    samples: int
    t_ns: int

    @property
    def sentence(self) -> str:
        floor = self.floor
        return f"{floor.slo} at {self.share:.1%} of {self.samples} in {floor.over_s:g} s, floor {floor.below:.1%}"


def is_bad(objective: Objective, latency_ns: int, *, good: bool) -> bool:
    """Whether a request counts against an objective: failed, or later than its limit."""
    if objective.indicator == "availability" or objective.limit_s is None:
        return not good
    return not good or latency_ns > objective.limit_s * NS_PER_S


class FloorWatch:
    """Watches one floor over rows as they come."""

    def __init__(self, floor: Floor, objective: Objective) -> None:
        self.floor, self.objective = floor, objective
        self._recent: deque[tuple[int, bool]] = deque()  # (end, bad)
        self._newest_ns = 0
        self._bad = 0
        self._below = False

    def add(self, end_ns: int, *, bad: bool) -> None:
        self._recent.append((end_ns, bad))
        self._newest_ns = max(self._newest_ns, end_ns)
        self._bad += bad

    def look(self) -> Trip | None:
        """Whether it has just given way; again only after it was whole in between."""
        oldest_ns = self._newest_ns - round(self.floor.over_s * NS_PER_S)
        while self._recent and self._recent[0][0] < oldest_ns:
            self._bad -= self._recent.popleft()[1]
        samples = len(self._recent)
        if samples < self.floor.least:
            return None
        good = 1 - self._bad / samples
        was_below, self._below = self._below, good < self.floor.below
        if not self._below or was_below:
            return None
        return Trip(floor=self.floor, share=good, samples=samples, t_ns=self._newest_ns)
