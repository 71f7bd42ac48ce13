"""The cache: freshness, stale values in place of failures, its bound, and one asking for many."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.resilience import Cache, CacheConfig, ConfigError, ManualClock

NS_PER_MS = 1_000_000


def cache(clock=None, **config):
    return Cache("shelf", CacheConfig(**config), clock or ManualClock())


def broken():
    raise ConnectionError("gone")


def kinds(one):
    return [event.type for event in one.events.snapshot()]


def test_a_fresh_value_spares_the_source():
    """Within its time a value is given without asking; after it the source is asked again."""
    clock, asked = ManualClock(), []
    one = cache(clock, ttl_ms=1000)

    def source():
        asked.append(1)
        return len(asked)

    told = [one.call_sync("a", source)]
    clock.advance(999 * NS_PER_MS)
    told.append(one.call_sync("a", source))
    clock.advance(NS_PER_MS)
    told.append(one.call_sync("a", source))

    assert [(1, "source"), (1, "cache"), (2, "source")] == [(t.value, t.source) for t in told]
    assert not any(t.degraded or t.stale_age_s for t in told)
    assert ["CACHE_MISS", "CACHE_HIT", "CACHE_MISS"] == kinds(one)


def test_a_stale_value_stands_in_for_a_source_that_fails():
    """It says that it is one and how old it is, and the failure is told as an event, not as an exception."""
    clock = ManualClock()
    one = cache(clock, ttl_ms=1000)
    one.put("a", "old")
    clock.advance(2500 * NS_PER_MS)

    told = one.call_sync("a", broken)

    assert ("old", "stale", 2.5, True) == (told.value, told.source, told.stale_age_s, told.degraded)
    assert ["CACHE_MISS", "ERROR", "STALE_SERVED"] == kinds(one)
    assert (1, 1, 1) == (one.counts.misses, one.counts.errors, one.counts.stale_served)


@pytest.mark.parametrize(("allowed_ms", "age_ms", "serves"), [(0, 1000, False), (500, 1499, True), (500, 1500, False)])
def test_a_value_too_stale_stands_in_for_nothing(allowed_ms, age_ms, serves):
    """Past stale_if_error the source's own exception is what the caller gets."""
    clock = ManualClock()
    one = cache(clock, ttl_ms=1000, stale_if_error_ms=allowed_ms)
    one.put("a", "old")
    clock.advance(age_ms * NS_PER_MS)
    if serves:
        assert one.call_sync("a", broken).degraded
    else:
        with pytest.raises(ConnectionError, match="gone"):
            one.call_sync("a", broken)


def test_a_verdict_of_the_source_is_no_failure():
    """What `failures` does not name reaches the caller though a stale value is there."""
    one = Cache("shelf", CacheConfig(ttl_ms=0), ManualClock(), failures=lambda error: isinstance(error, OSError))
    one.put("a", "old")

    with pytest.raises(ZeroDivisionError):
        one.call_sync("a", lambda: 1 // 0)
    assert one.call_sync("a", broken).value == "old"


def test_both_shells_share_one_cache():
    """What an async caller has fetched, a plain one finds, and the other way round."""
    one = cache(ttl_ms=1000)

    async def source():
        return "async"

    async def fails():
        broken()

    assert asyncio.run(one.call("a", source)).source == "source"
    assert one.call_sync("a", broken).value == "async"
    one.clear()
    one.call_sync("a", lambda: "sync")
    one.clock.advance(1000 * NS_PER_MS)
    assert ("sync", True) == ((told := asyncio.run(one.call("a", fails))).value, told.degraded)
    one.forget("a")
    with pytest.raises(ConnectionError):
        asyncio.run(one.call("a", fails))


def test_many_who_miss_at_once_ask_once():
    """With single_flight ten callers cost the source one request, and all have its answer, or its failure."""
    one, asked = cache(ttl_ms=0, single_flight=True, stale_if_error_ms=0), []

    async def main(fails):
        go = asyncio.Event()

        async def source():
            asked.append(1)
            await go.wait()
            return broken() if fails else "value"

        callers = [asyncio.create_task(one.call("a", source)) for _ in range(10)]
        await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(*callers, return_exceptions=True)

    assert [told.value for told in asyncio.run(main(fails=False))] == ["value"] * 10
    assert {type(told) for told in asyncio.run(main(fails=True))} == {ConnectionError}
    assert (2, 9) == (len(asked), one.counts.shared)


def test_when_the_one_who_asks_is_cancelled_another_asks():
    """Cancellation takes the answer from nobody else, also where an old value is there."""
    one, asked = cache(ttl_ms=0, single_flight=True), []
    one.put("a", "old")

    async def main():
        async def source():
            asked.append(1)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return "value"

        first, second = (asyncio.create_task(one.call("a", source)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        told = await second
        assert first.cancelled()
        return told

    assert ("value", "source") == ((told := asyncio.run(main())).value, told.source)
    assert len(asked) == 2


def test_nobody_waits_for_ever_for_somebody_elses_answer():
    """A source that never answers holds up its own caller; the next one asks by himself."""
    one = cache(ttl_ms=0, single_flight=True, single_flight_wait_ms=1)

    async def main():
        hanging = asyncio.create_task(one.call("a", asyncio.Event().wait))
        await asyncio.sleep(0)

        async def source():
            return "value"

        told = await one.call("a", source)
        hanging.cancel()
        return told

    assert asyncio.run(main()).value == "value"


def test_threads_ask_once_between_them():
    """The same for plain callers in threads."""
    one, asked, told = cache(ttl_ms=60_000, single_flight=True), [], []
    go = threading.Event()

    def source():
        asked.append(1)
        assert go.wait(20)
        return "value"

    threads = [threading.Thread(target=lambda: told.append(one.call_sync("a", source).value)) for _ in range(8)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(20)

    assert (["value"] * 8, 1) == (told, len(asked))


def test_options_out_of_bounds_are_all_told():
    """A configuration that cannot work names each key, its value and its bound."""
    with pytest.raises(ConfigError) as caught:
        CacheConfig(ttl_ms=-1, max_size=0, stale_if_error_ms=-2)
    assert [problem.key for problem in caught.value.problems] == ["ttl", "staleIfError", "maxSize"]


class AgainstAModel(RuleBasedStateMachine):
    """Any history of the cache agrees with a plain ordered dictionary of values and times."""

    keys = st.sampled_from("abcd")

    def __init__(self):
        super().__init__()
        self.clock = ManualClock()
        self.one = cache(self.clock, ttl_ms=10, stale_if_error_ms=10, max_size=3)
        self.model = OrderedDict()
        self.next_value = 0

    @rule(span_ms=st.integers(0, 15))
    def wait(self, span_ms):
        self.clock.advance(span_ms * NS_PER_MS)

    @rule(key=keys)
    def ask(self, key):
        self.next_value += 1
        told = self.one.call_sync(key, lambda: self.next_value)
        age_ms = self.age_ms(key)
        if age_ms is not None and age_ms < 10:
            assert (self.model[key][0], "cache") == (told.value, told.source)
            self.model.move_to_end(key)
        else:
            assert (self.next_value, "source") == (told.value, told.source)
            self.keep(key)

    @rule(key=keys)
    def ask_in_vain(self, key):
        age_ms = self.age_ms(key)
        if age_ms is None or age_ms >= 20:
            with pytest.raises(ConnectionError):
                self.one.call_sync(key, broken)
            return
        told = self.one.call_sync(key, broken)
        self.model.move_to_end(key)
        expected = "cache" if age_ms < 10 else "stale"
        assert (self.model[key][0], expected) == (told.value, told.source)
        assert told.stale_age_s == (age_ms / 1000 if told.degraded else 0.0)

    @invariant()
    def is_bounded(self):
        assert len(self.one) == len(self.model) <= 3

    def age_ms(self, key):
        return (self.clock.now_ns() - self.model[key][1]) / NS_PER_MS if key in self.model else None

    def keep(self, key):
        self.model[key] = (self.next_value, self.clock.now_ns())
        self.model.move_to_end(key)
        if len(self.model) > 3:
            self.model.popitem(last=False)


TestAgainstAModel = AgainstAModel.TestCase
