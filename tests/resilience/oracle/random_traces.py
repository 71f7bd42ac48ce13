"""
Random traces for breaker and limiter, looked at by two sides, and cut down to what shows a difference.

A trace is what the replay command reads. Left out is only what upstream does wrong (D1 to D3 in the README): a reset
while timers run, OPEN straight from FORCED_OPEN or DISABLED, and a wish to open without a wait.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from services.resilience import replay

Operation = list[Any]
Looks = list[dict[str, Any]]
Side = Callable[[dict[str, Any], list[Operation]], Looks]
"""Gives, for a configuration and operations, the look before the first and after each."""

SPANS_NS = (
    1,
    1_000_000,
    1_000_001,
    100_000_000,
    300_000_000,
    500_000_000,
    999_999_999,
    10**9,
    10**9 + 1,
    2_500_000_000,
)
THRESHOLDS = (1, 10, 25, 33.3, 33.333332, 33.333336, 50, 66.666664, 66.66667, 80, 99.9, 100)
STATES = ("CLOSED", "OPEN", "HALF_OPEN", "DISABLED", "FORCED_OPEN", "METRICS_ONLY")


def ours(config: dict[str, Any], operations: list[Operation]) -> Looks:
    """Our side."""
    replica = replay.replica_of({"config": config})
    return [replica.look(), *(replica.step(operation) for operation in operations)]


def as_lines(config: dict[str, Any], operations: list[Operation]) -> list[str]:
    """The same in the words of the Java program."""
    flat = {key: value for key, value in config.items() if not isinstance(value, dict)}
    flat |= config.get("waitIntervalExponential", {})
    kind = "limiter" if "limitForPeriod" in config else "breaker"
    options = " ".join(
        f"{key}={str(value).lower() if value in (True, False) else value}" for key, value in flat.items()
    )
    return [f"{kind} {options}", *(" ".join(map(str, operation)) for operation in operations)]


def breaker_config(chance: random.Random) -> dict[str, Any]:
    """Any configuration, with small windows: they fill, trip and empty within a hundred steps."""
    pick = chance.choice
    config: dict[str, Any] = {
        "failureRateThreshold": pick(THRESHOLDS),
        "slowCallRateThreshold": pick(THRESHOLDS),
        "slowCallDurationThresholdNanos": pick((1, 1000, 10**9)),
        "permittedNumberOfCallsInHalfOpenState": pick((1, 2, 3, 5, 10)),
        "minimumNumberOfCalls": pick((1, 2, 3, 5, 10, 20)),
        "slidingWindowSize": pick((1, 2, 3, 5, 7, 10, 30)),
        "slidingWindowType": pick(("COUNT_BASED", "TIME_BASED")),
        "automaticTransitionFromOpenToHalfOpenEnabled": pick((True, False, False)),
        "maxWaitDurationInHalfOpenStateMillis": pick((0, 0, 500, 2000)),
        "transitionToStateAfterWaitDuration": pick(("OPEN", "CLOSED")),
        "initialState": pick(("CLOSED", "CLOSED", "CLOSED", *STATES)),
        "tripForMillis": pick((700, 1500)),
        "startEpochNanos": 1_700_000_000 * 10**9 + chance.randrange(10**9),
    }
    if pick((True, False)):
        config["waitDurationInOpenStateMillis"] = pick((1, 500, 1000, 3000))
    else:
        growth = {"initialMillis": pick((100, 1000)), "multiplier": pick((1.5, 2.0)), "maxMillis": pick((3000, 60_000))}
        config["waitIntervalExponential"] = growth
    return config


def breaker_trace(chance: random.Random, steps: int) -> tuple[dict[str, Any], list[Operation]]:
    """A configuration and operations for it: calls that overlap, time that passes, and, in half of the traces, hands."""
    config = breaker_config(chance)
    replica = replay.replica_of({"config": config})
    by_hand, bad = chance.random() < 0.5, chance.choice((0.05, 0.3, 0.6, 0.95))
    timers = config["automaticTransitionFromOpenToHalfOpenEnabled"] or config["maxWaitDurationInHalfOpenStateMillis"]
    operations: list[Operation] = []
    state = replica.look()["state"]
    for _ in range(steps):
        operation = _breaker_operation(chance, bad, by_hand=by_hand, silent=state in {"DISABLED", "FORCED_OPEN"})
        if operation == ["reset"] and timers:
            continue
        operations.append(operation)
        state = replica.step(operation)["state"]
    return config, operations


def _breaker_operation(chance: random.Random, bad: float, *, by_hand: bool, silent: bool) -> Operation:
    draw = chance.random()
    if by_hand and draw < 0.12:
        to_open = [
            ["openFor", chance.choice((200, 900, 5000))],
            ["openUntil", chance.choice((200, 900))],
            ["to", "OPEN"],
        ]
        others = [["to", state] for state in STATES if state != "OPEN"] + [["release"], ["release"], ["reset"]]
        return chance.choice(others if silent else others + to_open)
    if draw < 0.25:
        return ["advance", chance.choice(SPANS_NS)]
    if draw < 0.6:
        return [chance.choice(("acquire", "tryAcquire"))]
    duration_ns = chance.choice((0, 1, 2, 1000, 1001, 10**9, 10**9 + 1))
    if chance.random() < bad:
        kinds = ("recorded",) * 12 + ("ignored", "notRecorded") + ("tripFor",) * by_hand
        return ["error", duration_ns, chance.choice(kinds)]
    if chance.random() < 0.2:
        return ["result", duration_ns, chance.choice(("good", "good", "null", "failure"))]
    return ["success", duration_ns]


def limiter_trace(chance: random.Random, steps: int) -> tuple[dict[str, Any], list[Operation]]:
    """A limiter's configuration and operations for it."""
    pick = chance.choice
    period_ns = pick((500, 1000, 10**6, 10**9))
    config = {
        "limitForPeriod": pick((1, 2, 5, 10, 50)),
        "limitRefreshPeriodNanos": period_ns,
        "timeoutDurationNanos": pick((0, period_ns // 2, period_ns, 3 * period_ns, 10 * period_ns)),
        "startNanos": chance.randrange(10**12),
    }
    return config, [_limiter_operation(chance, period_ns) for _ in range(steps)]


def _limiter_operation(chance: random.Random, period_ns: int) -> Operation:
    pick, draw = chance.choice, chance.random()
    if draw < 0.6:
        return ["reserve", pick((1, 1, 1, 2, 3, 5, 50))]
    if draw < 0.93:
        return ["advance", pick((1, period_ns // 3, period_ns - 1, period_ns, period_ns + 1, 7 * period_ns))]
    if draw < 0.95:
        return ["drain"]
    if draw < 0.98:
        return ["changeLimitForPeriod", pick((1, 2, 5, 20))]
    return ["changeTimeoutDurationNanos", pick((0, period_ns, 5 * period_ns))]


def shrink(config: dict[str, Any], operations: list[Operation], one: Side, other: Side) -> list[Operation]:
    """Few operations on which the two sides still differ: none of them can be left out."""

    def differ(candidate: list[Operation]) -> bool:
        return one(config, candidate) != other(config, candidate)

    pairs = zip(one(config, operations), other(config, operations), strict=True)
    kept = operations[: next(number for number, (left, right) in enumerate(pairs) if left != right)]
    size = max(len(kept) // 2, 1)
    while True:
        for start in range(len(kept) - size, -1, -size):
            without = kept[:start] + kept[start + size :]
            if differ(without):
                kept = without
        if size == 1:
            return kept
        size = size // 2


def as_trace(name: str, config: dict[str, Any], operations: list[Operation], looks: Looks) -> dict[str, Any]:
    """What the replay command reads."""
    steps = [list(pair) for pair in zip(operations, looks[1:], strict=True)]
    return {"id": name, "since": "2.4.0", "config": config, "initial": looks[0], "steps": steps}
