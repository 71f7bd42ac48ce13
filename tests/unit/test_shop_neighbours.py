"""The order service's neighbours behind their real protections, with a client that does as it is told."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.resilience import Registry
from services.shop.application import Refused, Unavailable
from services.shop.client import Answer, AnswerTooLate, ConnectionFailed, DeadlinePassed, ServerFailed
from services.shop.neighbours import Neighbours
from services.shop.protections import order_defaults
from services.shop.scope import Scope, current, enter
from services.shop.settings import NEIGHBOURS, OrderSettings
from services.shop.trace import Trace

NO_WAIT = {f"resilience4j.retry.instances.{name}.waitDuration": "1ms" for name in NEIGHBOURS}

STALE = ["product-default", "product-stale"]


class FakeClient:
    """Gives one outcome after the other, the last one for ever; an exception is raised."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.asked = []

    async def ask(self, method, url, *, attempt=1, body=None, headers=None):
        self.asked.append((method, url, attempt, body, headers))
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def run(client, work, *, fallbacks=True, **environment):
    """Run work(neighbours); gives its result or exception, and the fallbacks that served."""

    async def scenario():
        settings = OrderSettings(
            urls={name: f"http://{name}" for name in NEIGHBOURS},
            fallbacks=dict.fromkeys(NEIGHBOURS, fallbacks),
            lookup_s=1.0,
            product_cache_s=0.0,
            settle_interval_s=1.0,
            settle_batch=1,
        )
        registry = Registry.from_environment({**NO_WAIT, **environment}, defaults=order_defaults())
        enter(Scope(trace=Trace.start(), deadline_s=time.monotonic() + 60))
        neighbours = Neighbours(settings, client, registry)
        try:
            result = await work(neighbours)
        except Exception as problem:
            result = problem
        states = registry.actuator("circuitbreakers")["circuitBreakers"]
        return result, current().fallbacks, {name: states[name]["state"] for name in NEIGHBOURS}

    return asyncio.run(scenario())


def test_the_defaults_are_understood_and_do_something():
    """Every key of the shop's protections is known to the library, and none is without effect."""
    registry = Registry.from_environment({}, defaults=order_defaults())

    assert registry.warnings == []


@pytest.mark.parametrize("problem", [ConnectionFailed("reset"), ServerFailed("503")])
def test_a_broken_attempt_is_repeated_and_says_which_it_is(problem):
    """A charge is tried three times at most under one key, each attempt numbered."""
    client = FakeClient(problem, problem, Answer(status=201, body={"id": "p-1"}))

    payment, fallbacks, _ = run(client, lambda n: n.charge_or_later(key="k", amount_cents=5))

    assert (payment, fallbacks) == ({"id": "p-1"}, [])
    assert [attempt for _, _, attempt, _, _ in client.asked] == [1, 2, 3]
    assert {"Idempotency-Key": "k"} == client.asked[0][4] == client.asked[2][4]


@pytest.mark.parametrize("problem", [AnswerTooLate("slow"), DeadlinePassed("late")])
def test_what_came_too_late_is_not_repeated(problem):
    """A slow neighbour is not asked again by the same call."""
    client = FakeClient(problem)

    payment, fallbacks, _ = run(client, lambda n: n.charge_or_later(key="k", amount_cents=5))

    assert (payment, fallbacks, len(client.asked)) == (None, ["payment-deferred"], 1)


def test_each_neighbour_has_its_stand_in():
    """With nobody to be reached, each part of an order has something in its place, and says so."""

    async def work(neighbours):
        return [
            await neighbours.user_or_guest(7),
            await neighbours.product(8),
            await neighbours.recommendations(7),
            await neighbours.charge_or_later(key="k", amount_cents=5),
        ]

    (user, product, recommendations, payment), fallbacks, _ = run(FakeClient(ConnectionFailed("refused")), work)

    assert (user["name"], product["source"], recommendations, payment) == ("guest", "default", [], None)
    assert fallbacks == ["user-guest", "product-default", "recommendation-empty", "payment-deferred"]


def test_without_its_fallback_a_neighbour_that_is_out_is_unavailable():
    """A fallback that is switched off leaves a failure to be a failure."""
    client = FakeClient(ConnectionFailed("refused"))

    problem, fallbacks, _ = run(client, lambda n: n.charge_or_later(key="k", amount_cents=5), fallbacks=False)

    assert isinstance(problem, Unavailable)
    assert fallbacks == []


def test_a_last_known_copy_is_better_than_a_default():
    """A product seen before keeps its price while the product service is out."""
    client = FakeClient(Answer(status=200, body={"id": 8, "price_cents": 77}), ConnectionFailed("refused"))

    async def work(neighbours):
        await neighbours.product(8)
        return await neighbours.product(8)

    product, fallbacks, _ = run(client, work)

    assert (product["price_cents"], product["source"], fallbacks) == (77, "last-known", STALE)


def test_no_is_an_answer():
    """However often a neighbour says there is no such thing, it is neither repeated, replaced nor held against it."""
    client = FakeClient(Answer(status=404, body=None))

    async def work(neighbours):
        for _ in range(40):
            with pytest.raises(Refused):
                await neighbours.user_or_guest(7)

    result, fallbacks, states = run(client, work)

    assert (result, fallbacks, states["user"], len(client.asked)) == (None, [], "CLOSED", 40)


def test_an_outage_opens_the_breaker_and_ends_the_asking():
    """Once open, a breaker spares its neighbour: the stand-in serves without a request."""
    client = FakeClient(ConnectionFailed("refused"))

    async def work(neighbours):
        for _ in range(40):
            await neighbours.user_or_guest(7)

    _, _, states = run(client, work)

    assert (states["user"], len(client.asked)) == ("OPEN", 10)


def test_the_environment_switches_a_protection_off():
    """A breaker that is off never opens, whatever happens."""
    client = FakeClient(ConnectionFailed("refused"))
    off = {"resilience4j.circuitbreaker.instances.user.enabled": "false"}

    async def work(neighbours):
        for _ in range(20):
            await neighbours.user_or_guest(7)

    _, _, states = run(client, work, **off)

    assert (states["user"], len(client.asked)) == ("DISABLED", 40)
