"""Health: how indicators make a whole, groups, limits in time, and what breakers say."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.resilience import (
    CircuitBreaker,
    ConfigError,
    Health,
    HealthStatus,
    Indicator,
    Reading,
    State,
    aggregate,
    breaker_indicator,
    breaker_status,
)

UP, DEGRADED, DOWN, UNKNOWN = HealthStatus.UP, HealthStatus.DEGRADED, HealthStatus.DOWN, HealthStatus.UNKNOWN


def indicator(name, check, **options):
    return Indicator(name=name, check=check if callable(check) else lambda: check, **options)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(HealthStatus))))
def test_the_whole_is_as_its_parts(parts):
    """DOWN needs a critical part that is DOWN; DEGRADED any that is not UP; and order does not matter."""
    whole = aggregate(parts)

    assert (whole is DOWN) == ((True, DOWN) in parts)
    assert (whole is UP) == all(status is UP for _, status in parts)
    assert whole is not UNKNOWN
    assert whole is aggregate(parts[::-1])


@pytest.mark.parametrize(
    ("state", "expected", "critical"),
    [
        (State.CLOSED, UP, UP),
        (State.METRICS_ONLY, UP, UP),
        (State.OPEN, DEGRADED, DOWN),
        (State.HALF_OPEN, DEGRADED, DOWN),
        (State.FORCED_OPEN, DOWN, DOWN),
        (State.DISABLED, UNKNOWN, UNKNOWN),
    ],
)
def test_what_a_breaker_says(state, expected, critical):
    """An open circuit degrades a service that can do without, and takes down one that cannot."""
    assert (expected, critical) == (breaker_status(state), breaker_status(state, critical=True))
    breaker = CircuitBreaker("payment")
    if state is State.HALF_OPEN:
        breaker.transition_to(State.OPEN)
    breaker.transition_to(state)
    report = Health([breaker_indicator(breaker)]).report_sync()
    assert (expected, {"state": state.value}) == (report.readings["payment"].status, report.readings["payment"].details)
    assert report.http_status == 200


def test_a_group_counts_its_own_indicators_alone():
    """A service may be alive and not ready; the whole counts everything."""
    health = Health(
        [
            indicator("db", DOWN, critical=True),
            indicator("ping", True, groups=("liveness", "readiness")),
            indicator("extra", UNKNOWN, groups=()),
        ]
    )

    async def main():
        return {group: await health.to_json(group) for group in (None, "liveness", "readiness", "startup")}

    told = asyncio.run(main())
    assert {None: "DOWN", "liveness": "UP", "readiness": "DOWN", "startup": "UP"} == {
        group: one["status"] for group, one in told.items()
    }
    assert {"status": "UP", "components": {"ping": {"status": "UP"}}} == told["liveness"]
    assert ["liveness", "readiness", "startup"] == told[None]["groups"]
    assert (503, 200) == (health.report_sync().http_status, health.report_sync("liveness").http_status)
    with pytest.raises(KeyError, match="no health group 'livenes', must be one of liveness"):
        health.report_sync("livenes")


@pytest.mark.parametrize("told", [True, UP, Reading(status=UP, details={"rows": 3})])
@pytest.mark.parametrize("timeout_s", [None, 20.0])
def test_a_check_may_be_plain_or_async(told, timeout_s):
    """Whatever form a check has, what it tells is what is shown."""

    async def later():
        return told

    kinds = {"plain": lambda: told, "async": later, "awaitable": lambda: asyncio.sleep(0, told)}
    health = Health([indicator(name, check, timeout_s=timeout_s) for name, check in kinds.items()])
    readings = health.report_sync().readings
    assert {UP} == {one.status for one in readings.values()}
    assert list(kinds) == list(readings)
    assert all(
        dict(one.details) == (dict(told.details) if isinstance(told, Reading) else {}) for one in readings.values()
    )


def test_a_check_that_fails_is_down_with_its_reason():
    """An exception is a reading like any other, in every form, and the other indicators are still told."""

    async def later():
        raise ConnectionError("gone")

    def now():
        raise ConnectionError("gone")

    health = Health(
        [indicator("a", later), indicator("b", now), indicator("c", now, timeout_s=None), indicator("d", True)]
    )
    readings = health.report_sync().readings
    assert [DOWN, DOWN, DOWN, UP] == [one.status for one in readings.values()]
    assert {"ConnectionError: gone"} == {one.details["error"] for one in readings.values() if one.details}


def test_a_check_that_hangs_is_down_and_not_started_twice():
    """A report never takes longer than its slowest limit, and hanging checks do not pile up."""
    go, started = threading.Event(), []

    def hangs():
        started.append(1)
        go.wait(20)
        return True

    async def never():
        await asyncio.Event().wait()

    health = Health([indicator("plain", hangs, timeout_s=0.005), indicator("async", never, timeout_s=0.005)])
    first, second = health.report_sync(), health.report_sync()
    go.set()
    for thread in threading.enumerate():
        if thread.name == "health-plain":
            thread.join(20)

    assert {DOWN} == {one.status for report in (first, second) for one in report.readings.values()}
    assert first.readings["plain"].details == {"error": "no answer within 0.005 s"}
    assert second.readings["plain"].details == {"error": "the last check has not come back"}
    assert first.status is DEGRADED  # nothing critical among them
    assert (1, set()) == (len(started), health._hanging)


def test_indicators_look_side_by_side():
    """Each may wait for the other: none is kept waiting until the one before it is done."""

    async def main():
        one, other = asyncio.Event(), asyncio.Event()

        async def first():
            one.set()
            await other.wait()
            return True

        async def second():
            other.set()
            await one.wait()
            return True

        return await Health(
            [indicator("first", first, timeout_s=20), indicator("second", second, timeout_s=20)]
        ).report()

    assert asyncio.run(main()).status is UP


def test_mistakes_are_told():
    """A group that does not exist, a limit of nothing, and one name for two indicators."""
    with pytest.raises(ConfigError, match=r"health\.db\.groups: is ready, must be one of liveness"):
        indicator("db", True, groups=("ready",))
    with pytest.raises(ConfigError, match=r"health\.db\.timeout: is 0 s"):
        indicator("db", True, timeout_s=0)
    with pytest.raises(ConfigError, match=r"health\.db: is there twice"):
        Health([indicator("db", True), indicator("db", True)])
