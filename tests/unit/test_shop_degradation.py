"""What the order service does without, by a person's word or by its rule, and what its products' source is."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.resilience import ManualClock, Registry, State
from services.shop.client import Answer, ConnectionFailed
from services.shop.degradable import Looking, degradable
from services.shop.neighbours import Neighbours
from services.shop.protections import order_defaults
from services.shop.scope import Scope, current, enter
from services.shop.settings import (
    DEGRADABLE,
    NEIGHBOURS,
    DegradeWhen,
    OrderSettings,
    SettingsError,
    read_order_settings,
)
from services.shop.trace import Trace

URLS = {f"{name.upper()}_URL": f"http://{name}" for name in NEIGHBOURS}
NS_PER_S = 1_000_000_000


def order_settings(**changes):
    return OrderSettings(
        **{
            "urls": {name: f"http://{name}" for name in NEIGHBOURS},
            "fallbacks": dict.fromkeys(NEIGHBOURS, True),
            "lookup_s": 1.0,
            "product_cache_s": 0.0,
            "settle_interval_s": 1.0,
            "settle_batch": 1,
            **changes,
        }
    )


class FakeClient:
    """Answers every request alike, or fails it."""

    def __init__(self, outcome):
        self.outcome = outcome
        self.asked = []

    async def ask(self, method, url, **_):
        self.asked.append(url)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def recommendations(client, flags, *, fallbacks=True):
    """What an order gets for recommendations, and the fallbacks that served."""

    async def scenario():
        settings = order_settings(fallbacks=dict.fromkeys(NEIGHBOURS, fallbacks))
        enter(Scope(trace=Trace.start(), deadline_s=time.monotonic() + 60))
        one = Neighbours(settings, client, Registry.from_mapping(order_defaults()), flags)
        return await one.recommendations(7), current().fallbacks

    return asyncio.run(scenario())


@pytest.mark.parametrize("fallbacks", [True, False])
def test_while_the_flag_is_up_nobody_is_asked(fallbacks):
    """An order does without recommendations, says so, and puts no load on the service; down again, it asks again."""
    client, flags = FakeClient(Answer(status=200, body={"products": [1, 2]})), degradable()
    flags.update(DEGRADABLE, {"reason": "sale"})
    degraded, asked = recommendations(client, flags, fallbacks=fallbacks), list(client.asked)
    flags.update(DEGRADABLE, {"clear": True})

    assert (([], ["recommendation-degraded"]), []) == (degraded, asked)
    assert ([1, 2], []) == recommendations(client, flags)


def ruled(text, **environment):
    """The flags of an order service with a rule, its registry and its clock."""
    settings = read_order_settings({**URLS, "SHOP_DEGRADE_RECOMMENDATION": text, **environment})
    clock = ManualClock()
    registry = Registry.from_mapping(order_defaults(), clock=clock)
    return degradable(settings, registry), registry, clock


def levels(flags, clock, *steps):
    """The flag's level after each step, the rules having been looked at twice."""
    told = []
    asyncio.run(Looking(flags).start())
    for step in steps:
        step()
        clock.advance(NS_PER_S // 5)
        told.append(flags.level(DEGRADABLE))
    asyncio.run(Looking(flags).stop())
    return told


@pytest.mark.parametrize(("neighbour", "while_half_open"), [("payment", 1), ("recommendation", 0)])
def test_an_open_breaker_raises_the_flag(neighbour, while_half_open):
    """Until it is closed again; its own one until trial calls are permitted, or it could never close."""
    flags, registry, clock = ruled(f"breaker {neighbour} OPEN", SHOP_DEGRADE_STAY="0ms")
    breaker = registry.circuit_breaker(neighbour)
    steps = [lambda state=state: breaker.transition_to(state) for state in (State.OPEN, State.HALF_OPEN, State.CLOSED)]

    assert [0, 1, while_half_open, 0] == levels(flags, clock, lambda: None, *steps)
    assert {"breaker " + neighbour + ": 1"} == {change.reason for change in flags.changes() if change.level}


def test_a_rate_of_errors_raises_the_flag_until_it_has_fallen():
    """Between the two thresholds the flag stays as it is, either way, and no sooner than its stay allows."""
    flags, registry, clock = ruled("error-rate payment 50% 20%", SHOP_DEGRADE_STAY="1s")
    breaker = registry.circuit_breaker("payment")

    def calls(good, bad):
        def step():
            for _ in range(good):
                breaker.on_success(1)
            for _ in range(bad):
                breaker.on_error(1, ConnectionFailed("gone"))

        return step

    def wait():
        clock.advance(5 * NS_PER_S)

    assert [0, 1, 1, 0] == levels(flags, clock, calls(6, 4), calls(0, 4), calls(20, 0), wait)


def test_latency_raises_the_flag():
    """Slow calls do, on average; when nobody calls any more the flag falls."""
    flags, registry, clock = ruled("latency payment 300ms 100ms")
    breaker = registry.circuit_breaker("payment")

    def slow():
        for _ in range(10):
            breaker.on_success(NS_PER_S)

    assert [1, 0] == levels(flags, clock, slow, lambda: clock.advance(6 * NS_PER_S))


def test_flags_set_by_hand_are_kept_where_the_settings_say(tmp_path):
    """A restarted order service still does without what a person told it to do without."""
    kept = {"SHOP_DEGRADATION_FILE": str(tmp_path / "flags.json")}
    first, _, _ = ruled("off", **kept)
    first.set(DEGRADABLE, 1)
    second, _, _ = ruled("off", **kept)

    assert second.is_degraded(DEGRADABLE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("off", None),
        ("False", None),
        ("breaker payment OPEN", ("breaker", "payment", 1.0, 0.0)),
        ("breaker recommendation OPEN", ("breaker", "recommendation", 1.0, 0.5)),
        ("error-rate user 50% 12.5%", ("error-rate", "user", 50.0, 12.5)),
        ("latency product 1s 250ms", ("latency", "product", 1000.0, 250.0)),
    ],
)
def test_rules_as_people_write_them(text, expected):
    """What is looked at, of whom, and where the flag goes up and down."""
    when = read_order_settings({**URLS, "SHOP_DEGRADE_RECOMMENDATION": text}).degrade_recommendation
    assert when == (
        expected and DegradeWhen(looks_at=expected[0], neighbour=expected[1], enter=expected[2], leave=expected[3])
    )


@pytest.mark.parametrize(
    "text",
    [
        "always",
        "breaker payments OPEN",
        "breaker payment CLOSED",
        "error-rate payment 20% 50%",
        "error-rate payment high% low%",
        "error-rate payment 50%",
        "latency payment 5 1",
    ],
)
def test_wrong_rules_are_told(text):
    """A rule that cannot work ends the service before it starts, with the value in the message."""
    with pytest.raises(SettingsError, match="SHOP_DEGRADE_RECOMMENDATION is"):
        read_order_settings({**URLS, "SHOP_DEGRADE_RECOMMENDATION": text})


def test_a_product_served_stale_says_so():
    """While the product service is out its copies serve, with their age, under the fallback's name."""
    client = FakeClient(Answer(status=200, body={"id": 8, "price_cents": 77}))

    async def scenario():
        enter(Scope(trace=Trace.start(), deadline_s=time.monotonic() + 60))
        one = Neighbours(order_settings(), client, Registry.from_mapping(order_defaults()))
        before = await one.product(8)
        client.outcome = ConnectionFailed("refused")
        return before, await one.product(8), current().fallbacks

    before, after, fallbacks = asyncio.run(scenario())
    assert ("service", False) == (before["source"], before["degraded"])
    assert ("last-known", True, 77) == (after["source"], after["degraded"], after["price_cents"])
    assert 0 <= after["stale_age_s"] < 60
    assert fallbacks == ["product-default", "product-stale"]
