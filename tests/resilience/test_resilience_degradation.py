"""The data degradation chain, and the flags with their owners, rules and limits in time."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.resilience import (
    MISSING,
    Cache,
    CacheConfig,
    CallNotPermitted,
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    DataChain,
    Default,
    DegradationManager,
    ManualClock,
    RecentCalls,
    Rule,
    Source,
    SourcesExhausted,
    State,
    breaker_state,
)

NS_PER_MS = 1_000_000


class Level:
    """A source that does what it is told and remembers the questions."""

    def __init__(self, outcome, *, is_async=False):
        self.outcome = outcome
        self.asked = []
        self.is_async = is_async

    def __call__(self, *arguments):
        self.asked.append(arguments)
        return self.later() if self.is_async else self.now()

    def now(self):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    async def later(self):
        await asyncio.sleep(0)
        return self.now()


# -- the chain -------------------------------------------------------------------------------------------------

OUTCOMES = st.one_of(st.just(MISSING), st.builds(ConnectionError), st.none(), st.integers())


@given(st.lists(OUTCOMES, max_size=6), st.booleans())
def test_the_first_that_answers_is_the_last_that_is_asked(outcomes, is_async):
    """With a default a chain never fails, and no source below the one that answered is ever touched."""
    levels = [Level(outcome, is_async=is_async) for outcome in outcomes]
    sources = [Source(f"level-{number}", level) for number, level in enumerate(levels)]
    chain = DataChain("data", sources, Default("plain"))

    told = asyncio.run(chain.call(7)) if is_async else chain.call_sync(7)

    answers = [n for n, outcome in enumerate(outcomes) if not (outcome is MISSING or isinstance(outcome, Exception))]
    first = answers[0] if answers else len(outcomes)
    assert first == told.level
    assert [[(7,)]] * min(first + 1, len(levels)) + [[]] * (len(levels) - first - 1) == [one.asked for one in levels]
    expected = (outcomes[first], f"level-{first}", False) if answers else ("plain", "default", True)
    assert expected == (told.value, told.source, told.degraded)
    assert {told.source: 1.0} == {row[1]["source"]: row[2] for row in chain.metrics() if row[2]}


def test_without_a_default_a_chain_can_run_out():
    """What each source said is told, and the last failure is the cause."""
    gone = ConnectionError("gone")
    chain = DataChain("data", [Source("cache", Level(MISSING)), Source("db", Level(gone))])

    with pytest.raises(
        SourcesExhausted, match=r"no source of 'data' answered: cache: nothing; db: Conn.*gone"
    ) as caught:
        chain.call_sync(7)
    with pytest.raises(SourcesExhausted):
        asyncio.run(chain.call(7))
    assert caught.value.__cause__ is gone


def test_an_answer_that_is_no_failure_goes_to_the_caller():
    """What `failures` does not name is no reason to ask the next source, default or not."""
    below = Level(1)
    sources = [Source("db", Level(LookupError("no such thing"))), Source("copy", below)]
    chain = DataChain("data", sources, Default(None), failures=(OSError,))

    with pytest.raises(LookupError, match="no such thing"):
        chain.call_sync(7)
    assert below.asked == []


def test_a_lower_level_refills_the_ones_above():
    """What the database said is in the cache afterwards; what is less than good is not."""
    clock = ManualClock()
    cache = Cache("shelf", CacheConfig(ttl_ms=1000), clock)
    db = Level("good")

    def fresh(key):
        return cache.fresh(key) or MISSING

    def stale(key):
        return cache.stale(key) or MISSING

    sources = [
        Source("cache", fresh, refill=lambda value, key: cache.put(key, value)),
        Source("db", db),
        Source("stale", stale),
    ]
    chain = DataChain("data", sources, Default("plain", lambda key: f"plain {key}"))
    told = [chain.call_sync("a"), chain.call_sync("a")]
    clock.advance(3000 * NS_PER_MS)
    db.outcome = ConnectionError("gone")
    told += [chain.call_sync("a"), chain.call_sync("a"), chain.call_sync("b")]

    assert [("db", 0.0), ("cache", 0.0), ("stale", 3.0), ("stale", 3.0), ("default", 0.0)] == [
        (one.source, one.stale_age_s) for one in told
    ]
    assert [False, False, True, True, True] == [one.degraded for one in told]
    assert told[-1].value == "plain b"


def test_a_level_has_limits_of_its_own():
    """A source that is too slow, or that its breaker refuses, is one that does not answer."""
    breaker = CircuitBreaker("db", CircuitBreakerConfig(sliding_window_size=1, minimum_number_of_calls=1))

    async def hangs():
        await asyncio.Event().wait()

    source = Source("db", hangs, timeout_s=0.005, breaker=breaker)
    chain = DataChain("data", [source], Default("plain"))

    assert [asyncio.run(chain.call()).value for _ in range(2)] == ["plain", "plain"]
    assert breaker.state is State.OPEN
    with pytest.raises(CallNotPermitted):
        asyncio.run(source.ask())


def test_a_chain_ends_in_its_default_whatever_breaks():
    """A cache that cannot be filled and a default that cannot be made take no answer away."""
    one = Source("one", Level(MISSING), refill=Level(ValueError("full")))
    filled = DataChain("data", [one, Source("two", Level(2))], Default(0))
    empty = DataChain("data", [one], Default(0, Level(ValueError("cannot"))))

    assert (filled.call_sync().value, empty.call_sync().value) == (2, 0)


def test_mistakes_in_a_chain_are_told():
    """Two sources of one name, and an async source in a plain call, are mistakes rather than failures."""
    with pytest.raises(ConfigError, match="'one' is there twice"):
        DataChain("data", [Source("one", int), Source("one", int)])
    with pytest.raises(TypeError, match="'one' of 'data' is async"):
        DataChain("data", [Source("one", Level(1, is_async=True))], Default(0)).call_sync()


# -- the flags -------------------------------------------------------------------------------------------------


def manager(*rules, max_level=3, clock=None, file=None):
    one = DegradationManager(clock or ManualClock(), file=file)
    one.declare("extras", max_level=max_level, rules=rules)
    return one


def rule(signal, **changes):
    return Rule(**{"name": "load", "signal": signal, "enter": 80, "leave": 40, "minimum_stay_ms": 0, **changes})


def owners(one):
    return [(change.sequence, change.before, change.level, change.owner) for change in one.changes()]


def test_what_a_person_sets_wins_over_the_rules():
    """By hand wins in both directions; when it is cleared, the rules' level is back. Each change has its number."""
    one = manager(rule(lambda: 90.0, level=2))
    heard = []
    one.subscribe(heard.append)
    one.evaluate()
    one.set("extras", 0, reason="I know better")
    one.set("extras", 3)
    one.evaluate()
    one.clear("extras")
    one.clear("extras")

    assert [(1, 0, 2, "rule"), (2, 2, 0, "manual"), (3, 0, 3, "manual"), (4, 3, 2, "rule")] == owners(one)
    assert heard == one.changes()
    assert [change.reason for change in heard] == ["load: 90", "I know better", "", "load: 90"]


def test_a_flag_set_for_a_time_falls_when_it_is_over():
    """No call and no look is needed for it; setting it anew starts its time anew."""
    clock = ManualClock()
    one = manager(clock=clock)
    one.set("extras", 1, ttl_s=10)
    clock.advance(9_000 * NS_PER_MS)
    one.set("extras", 2, ttl_s=10)
    clock.advance(9_999 * NS_PER_MS)
    before = one.level("extras")
    clock.advance(NS_PER_MS)

    assert (2, 0, False) == (before, one.level("extras"), one.is_degraded("extras"))


@given(st.lists(st.one_of(st.none(), st.floats(0, 100)), max_size=40), st.sampled_from([0, 3]))
def test_a_rule_does_not_flap(values, stay):
    """It enters at its upper threshold, leaves at its lower one, and stays either way for its minimum."""
    clock, seen = ManualClock(), iter(values)
    one = manager(rule(lambda: next(seen), minimum_stay_ms=stay * 1000), clock=clock)
    for value in values:
        before = one.level("extras")
        one.evaluate()
        after = one.level("extras")
        if after > before:
            assert value >= 80
        if after < before:
            assert value <= 40
        clock.advance(1000 * NS_PER_MS)
    times_s = [change.monotonic_ns // (1000 * NS_PER_MS) for change in one.changes()]
    assert all(later - earlier >= max(stay, 1) for earlier, later in pairwise(times_s))


def test_the_highest_of_the_active_rules_counts():
    """Two thresholds on one signal are two levels."""
    seen = [0.0]
    rules = [rule(lambda: seen[0], level=1), rule(lambda: seen[0], name="overload", enter=95, leave=85, level=3)]
    one = manager(*rules)
    levels = []
    for seen[0] in (50.0, 85.0, 99.0, 90.0, 84.0, 41.0, 40.0):
        one.evaluate()
        levels.append(one.level("extras"))

    assert [0, 1, 3, 3, 1, 1, 0] == levels


def test_a_signal_that_fails_changes_nothing():
    """A rule that sees nothing leaves its flag as it is, and the others go on."""
    value = 90.0

    def signal():
        return value if value is not None else 1 / 0

    one = manager(rule(signal))
    one.declare("other", rules=[rule(lambda: 90.0)])
    one.evaluate()
    value = None
    one.evaluate()

    assert (1, 1) == (one.level("extras"), one.level("other"))


def test_rules_are_looked_at_by_the_clock():
    """Once started the manager looks by itself, until it is stopped."""
    clock, looks = ManualClock(), []
    one = manager(rule(lambda: looks.append(1)), clock=clock)
    one.start(100)
    one.start(100)
    clock.advance(1000 * NS_PER_MS)
    one.stop()
    one.stop()
    clock.advance(1000 * NS_PER_MS)

    assert len(looks) == 10


def test_a_breaker_is_a_signal():
    """OPEN is 1, a trial is in between, anything that lets calls through is 0."""
    breaker = CircuitBreaker("payment")
    signal = breaker_state(breaker)
    told = []
    for state in (State.OPEN, State.HALF_OPEN, State.CLOSED, State.FORCED_OPEN, State.DISABLED):
        breaker.transition_to(state)
        told.append(signal())

    assert [1.0, 0.5, 0.0, 1.0, 0.0] == told


def test_recent_calls_are_forgotten():
    """Rates and latencies are of the last seconds, unknown for a few calls, and 0 again when nobody calls."""
    clock = ManualClock()
    breaker = CircuitBreaker("payment", clock=clock)
    recent = RecentCalls(breaker, window_ms=10_000, minimum=4)
    told = [(recent.error_rate(), recent.mean_latency_ms())]
    for outcome in ("good", "bad", "good", "good"):
        told.append((recent.error_rate(), recent.mean_latency_ms()))
        if outcome == "bad":
            breaker.on_error(30 * NS_PER_MS, ConnectionError())
        else:
            breaker.on_success(10 * NS_PER_MS)
    told.append((recent.error_rate(), recent.mean_latency_ms()))
    clock.advance(10_000 * NS_PER_MS)
    told.append((recent.error_rate(), recent.mean_latency_ms()))

    assert [(0.0, 0.0), (0.0, 0.0), (None, None), (None, None), (None, None), (25.0, 15.0), (0.0, 0.0)] == told


def test_what_was_set_by_hand_survives_a_restart(tmp_path):
    """Flags of people are back, with what is left of their time; those of rules and those that are over are not."""
    file, clock = tmp_path / "flags" / "here.json", ManualClock()

    def start():
        one = DegradationManager(clock, file=file)
        one.declare("manual")
        one.declare("timed", max_level=2)
        one.declare("ruled", rules=[rule(lambda: 90.0)])
        return one

    first = start()
    first.set("manual", 1, reason="stock-taking")
    first.set("timed", 2, ttl_s=60)
    first.evaluate()
    clock.advance(30_000 * NS_PER_MS)
    second = start()
    levels = [second.level(flag) for flag in ("manual", "timed", "ruled")]
    clock.advance(30_000 * NS_PER_MS)
    second.clear("manual")

    assert [1, 2, 0] == levels
    assert second.changes()[0].reason == "stock-taking"
    assert {} == json.loads(file.read_text())
    assert [0, 0] == [start().level(flag) for flag in ("manual", "timed")]


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"extras": 1}', '{"extras": {"level": -1}}', '{"extras": {"level": 9}}']
)
def test_a_file_that_cannot_be_read_stops_nothing(tmp_path, content):
    """The service starts without it, and says so."""
    file = tmp_path / "flags.json"
    file.write_text(content)
    one = manager(file=file)

    assert one.level("extras") == 0
    assert str(file) in one.warnings[0]


def test_a_flag_goes_up_though_it_cannot_be_kept(tmp_path):
    """A disk that refuses is told of, and does not stand in the way."""
    (tmp_path / "taken").write_text("")
    one = manager(file=tmp_path / "taken" / "flags.json")
    one.set("extras", 1)

    assert one.is_degraded("extras")
    assert "could not be written" in one.warnings[-1]


def test_the_actuator_shows_and_sets_flags():
    """What is posted is what is shown: level, owner, reason, until when, and what the rules see."""
    clock = ManualClock(1_000 * NS_PER_MS)
    one = manager(rule(lambda: 55.0), clock=clock)
    one.evaluate()
    shown = one.update("extras", {"level": 2, "reason": "sale", "ttl": "30s"})

    assert shown == one.to_json()["degradation"]["extras"]
    assert ("extras", 2, 3, "manual", "sale") == tuple(
        shown[key] for key in ("flag", "level", "maxLevel", "owner", "reason")
    )
    assert ("1970-01-01T00:00:01.000000000Z[Etc/UTC]", "1970-01-01T00:00:31.000000000Z[Etc/UTC]") == (
        shown["since"],
        shown["expires"],
    )
    assert (55.0, False) == (shown["rules"][0]["signal"], shown["rules"][0]["active"])
    assert one.update("extras", {"clear": True})["level"] == 0
    events = one.events_json()["degradationEvents"]
    assert [(1, 0, 2), (2, 2, 0)] == [(event["sequence"], event["from"], event["to"]) for event in events]
    assert [("degradation_level", {"flag": "extras"}, 0.0), ("degradation_changes_total", {}, 2.0)] == one.metrics()


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"level": 4}, "is 4, must be from 0 to 3"),
        ({"level": -1}, "is -1"),
        ({"level": "high"}, "level is 'high', must be a whole number"),
        ({"level": True}, "level is True"),
        ({"clear": 1}, "clear is 1, must be true or false"),
        ({"reason": 5}, "reason is 5, must be a text"),
        ({"ttl": "soon"}, "ttl is 'soon', must be a duration"),
        ({"ttl": "0s"}, "must be above 0"),
        ({"levle": 1}, "unknown key 'levle'"),
    ],
)
def test_wrong_wishes_are_refused_with_what_is_wrong(wish, said):
    """Nothing changes, and the message names the value and what would be right."""
    one = manager()
    with pytest.raises(ValueError, match=said):
        one.update("extras", wish)
    assert one.changes() == []
    with pytest.raises(KeyError, match="no flag 'extra', must be one of extras"):
        one.update("extra", wish)


def test_wrong_declarations_are_refused():
    """A rule without room to be left, a level there is not, a flag declared twice."""
    with pytest.raises(ConfigError, match="leave: is 80, must be below enter, 80"):
        rule(int, leave=80)
    one = manager()
    for declaration in ({"max_level": 0}, {"rules": [rule(int, level=2)]}):
        with pytest.raises(ConfigError):
            one.declare("other", **declaration)
    with pytest.raises(ConfigError, match="declared twice"):
        one.declare("extras")
    with pytest.raises(KeyError):
        one.level("other")
