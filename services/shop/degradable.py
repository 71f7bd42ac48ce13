"""
What the order service can be told to do without, by a person or by the rule in its settings.
"""

from __future__ import annotations

from services.resilience import DegradationManager, RecentCalls, Registry, Rule, breaker_state
from services.shop.settings import DEGRADABLE, DegradeWhen, OrderSettings

_LOOK_MS = 100
_WINDOW_MS = 5_000  # what error-rate and latency are of
_FEWEST_CALLS = 10


def degradable(settings: OrderSettings | None = None, registry: Registry | None = None) -> DegradationManager:
    """The flags of the order service, with a rule where the settings have one; not looked at before it is started."""
    if settings is None or registry is None:
        flags = DegradationManager()
        flags.declare(DEGRADABLE)
        return flags
    flags = DegradationManager(registry.clock, file=settings.degradation_file)
    when = settings.degrade_recommendation
    flags.declare(DEGRADABLE, rules=[] if when is None else [_rule(when, registry, settings.degrade_stay_s)])
    return flags


class Looking:
    """Starts and stops the looking; both may be called twice."""

    def __init__(self, flags: DegradationManager) -> None:
        self.flags = flags

    async def start(self) -> None:
        self.flags.start(_LOOK_MS)

    async def stop(self) -> None:
        self.flags.stop()


def _rule(when: DegradeWhen, registry: Registry, stay_s: float) -> Rule:
    breaker = registry.circuit_breaker(when.neighbour)
    if when.looks_at == "breaker":
        signal = breaker_state(breaker)
    else:
        recent = RecentCalls(breaker, window_ms=_WINDOW_MS, minimum=_FEWEST_CALLS)
        signal = recent.error_rate if when.looks_at == "error-rate" else recent.mean_latency_ms
    return Rule(
        name=f"{when.looks_at} {when.neighbour}",
        signal=signal,
        enter=when.enter,
        leave=when.leave,
        minimum_stay_ms=round(stay_s * 1000),
    )
