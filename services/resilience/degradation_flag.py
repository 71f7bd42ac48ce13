"""
What a degradation flag is made of: what a person ordered, what rules found, each change, and how they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.resilience.actuator import creation_time
from services.resilience.clock import NS_PER_S, Timer
from services.resilience.degradation_rules import RuleState
from services.resilience.durations import duration_ns

MANUAL, RULE, NOBODY = "manual", "rule", "none"

_KEYS = ("level", "reason", "ttl", "clear")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a flag's effective level or of who it is due to.

    sequence counts from 1 over all flags of a manager without gaps.
    """

    sequence: int
    flag: str
    before: int
    level: int
    owner: str
    reason: str
    monotonic_ns: int
    wall_ns: int

    def shown(self) -> dict[str, Any]:
        """As one of /actuator/degradationevents."""
        return {
            "flag": self.flag,
            "type": "LEVEL_CHANGED" if self.before != self.level else "OWNER_CHANGED",
            "creationTime": creation_time(self.wall_ns),
            "from": self.before,
            "to": self.level,
            "owner": self.owner,
            "reason": self.reason,
            "monotonicTimeNs": self.monotonic_ns,
            "sequence": self.sequence,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a person has set. expires_wall_ns is None for "until cleared"."""

    level: int
    reason: str
    expires_wall_ns: int | None = None


@dataclass(slots=True)
class Flag:
    """One flag of a manager, who changes it with its lock held."""

    max_level: int
    level: int = 0
    order: Order | None = None
    timer: Timer | None = None
    rules: list[RuleState] = field(default_factory=list)
    owner: str = NOBODY
    reason: str = ""
    since_wall_ns: int | None = None

    def wanted(self) -> tuple[int, str, str]:
        """Level, owner and reason as they should be now."""
        if self.order is not None:
            return self.order.level, MANUAL, self.order.reason
        active = max((state for state in self.rules if state.active), key=lambda s: s.rule.level, default=None)
        return (0, NOBODY, "") if active is None else (active.rule.level, RULE, active.reason)

    def shown(self, name: str) -> dict[str, Any]:
        """As one of /actuator/degradation."""
        expires_ns = self.order.expires_wall_ns if self.order is not None else None
        return {
            "flag": name,
            "level": self.level,
            "maxLevel": self.max_level,
            "owner": self.owner,
            "reason": self.reason,
            "since": None if self.since_wall_ns is None else creation_time(self.since_wall_ns),
            "expires": None if expires_ns is None else creation_time(expires_ns),
            "rules": [state.shown() for state in self.rules],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person posts: a level, why, and for how many seconds (None: until cleared)."""

    level: int
    reason: str
    ttl_s: float | None


def read_wish(written: Mapping[str, Any]) -> Wish | None:
    """The wish in a body, None where it is to clear the flag. Raises ValueError with what is wrong."""
    unknown = [key for key in written if key not in _KEYS]
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}, must be one of {', '.join(_KEYS)}")
    level, clear, reason = written.get("level", 1), written.get("clear", False), written.get("reason", "")
    for key, value, kind, right in (
        ("level", level, int, "a whole number"),
        ("clear", clear, bool, "true or false"),
        ("reason", reason, str, "a text"),
    ):
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"{key} is {value!r}, must be {right}")
    ttl_s = _span_s(written.get("ttl"))
    return None if clear else Wish(level=level, reason=reason, ttl_s=ttl_s)


def _span_s(written: object) -> float | None:
    if written is None:
        return None
    try:
        return duration_ns(written) / NS_PER_S
    except ValueError as problem:
        raise ValueError(f"ttl {problem}") from None
