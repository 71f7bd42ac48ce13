"""Payment behind other libraries' front ends, and neighbours asked from threads."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.resilience import ManualClock, Registry
from services.shop.application import Unavailable
from services.shop.client import Answer, ConnectionFailed, ServerFailed
from services.shop.neighbours import Neighbours
from services.shop.protections import order_defaults
from services.shop.scope import Scope, current, enter
from services.shop.settings import SettingsError, read_order_settings
from services.shop.styles import payment_command
from services.shop.trace import Trace

URLS = {f"{name.upper()}_URL": f"http://{name}" for name in ("user", "product", "recommendation", "payment")}
PAID = Answer(status=201, body={"id": "p"})


class FakeClient:
    """Gives one outcome after the other, the last one for ever; an exception is raised. Notes when it was asked."""

    def __init__(self, clock, *outcomes):
        self.clock, self.outcomes = clock, list(outcomes)
        self.asked_ms = []

    async def ask(self, method, url, *, attempt=1, body=None, headers=None):
        self.asked_ms.append(self.clock.now_ns() // 1_000_000)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @property
    def waits_ms(self):
        return [later - earlier for earlier, later in zip(self.asked_ms, self.asked_ms[1:], strict=False)]


def charge(style, *outcomes, calls=1, **environment):
    """Charge so many times under a style: the last result or exception, the fallbacks that served, the client."""
    environment = {**URLS, "SHOP_PAYMENT_STYLE": style, **environment}
    settings = read_order_settings(environment)
    clock = ManualClock()
    registry = Registry.from_environment(environment, defaults=order_defaults(settings), clock=clock)
    command = payment_command(environment, registry) if style == "hystrix" else None
    client = FakeClient(clock, *outcomes)

    async def work():
        enter(Scope(trace=Trace.start(), deadline_s=time.monotonic() + 60))
        neighbours = Neighbours(settings, client, registry, command=command)
        result = None
        for number in range(calls):
            try:
                result = await neighbours.charge_or_later(key=f"k{number}", amount_cents=1)
            except Unavailable as problem:
                result = problem
            clock.advance(10_000_000)
        return result, current().fallbacks

    return *asyncio.run(work()), client


@pytest.mark.parametrize(
    ("style", "waits_ms"), [("resilience4j", [50, 100]), ("feign", [150, 225]), ("retryable", [100, 200])]
)
def test_each_style_waits_as_its_library_does(style, waits_ms):
    """Three calls, and between them the waits that the library's own numbers make."""
    result, fallbacks, client = charge(style, ConnectionFailed("reset"), ConnectionFailed("reset"), PAID)

    assert (result, fallbacks, client.waits_ms) == (PAID.body, [], waits_ms)


@pytest.mark.parametrize("style", ["resilience4j", "feign", "retryable", "hystrix"])
def test_a_charge_that_fails_is_put_off_in_every_style(style):
    """The stand-in is a fallback, an @Recover method or a command's fallback: the order goes on."""
    result, fallbacks, _ = charge(style, ConnectionFailed("reset"))

    assert (result, fallbacks) == (None, ["payment-deferred"])


@pytest.mark.parametrize("style", ["resilience4j", "feign", "retryable", "hystrix"])
def test_without_a_stand_in_payment_is_unavailable_in_every_style(style):
    """Whatever the library raises, the caller hears that payment cannot be asked."""
    result, _, _ = charge(style, ConnectionFailed("reset"), SHOP_FALLBACK_PAYMENT="off")

    assert isinstance(result, Unavailable)


def test_feign_does_not_repeat_a_plain_server_error():
    """Feign's decoder makes a 5xx without Retry-After an error like any other."""
    _, _, client = charge("feign", ServerFailed("status 503"))

    assert len(client.asked_ms) == 1


def test_a_hystrix_circuit_opens_by_its_own_keys():
    """Below the volume every command runs; then the circuit opens and nobody is asked."""
    keys = {
        "hystrix.command.payment.circuitBreaker.requestVolumeThreshold": "3",
        "hystrix.command.payment.metrics.healthSnapshot.intervalInMilliseconds": "10",
    }
    _, fallbacks, client = charge("hystrix", ConnectionFailed("reset"), calls=6, **keys)

    assert (len(client.asked_ms), fallbacks) == (3, ["payment-deferred"])


def test_two_libraries_do_not_protect_payment_at_once():
    """Resilience4j's keys for a payment that Hystrix protects would do nothing, or worse."""
    environment = {
        **URLS,
        "SHOP_PAYMENT_STYLE": "hystrix",
        "resilience4j.circuitbreaker.instances.payment.enabled": "true",
    }
    settings = read_order_settings(environment)
    registry = Registry.from_environment(environment, defaults=order_defaults(settings))

    with pytest.raises(SettingsError, match="hystrix"):
        payment_command(environment, registry)


@pytest.mark.parametrize(
    ("name", "value"), [("SHOP_PAYMENT_STYLE", "sentinel"), ("SHOP_BLOCKING", "payment"), ("SHOP_POOL", "two")]
)
def test_a_style_that_there_is_not_is_refused(name, value):
    """The service does not start, and says which words there are."""
    with pytest.raises(SettingsError, match=name):
        read_order_settings({**URLS, name: value})


def test_neighbours_asked_in_threads_have_a_pool_each_or_one_together():
    """A pool for each takes the place of its bulkhead; a shared one is there once."""
    own = order_defaults(read_order_settings({**URLS, "SHOP_BLOCKING": "user, recommendation"}))
    shared = order_defaults(
        read_order_settings({**URLS, "SHOP_BLOCKING": "user recommendation", "SHOP_POOL": "shared"})
    )

    def pools(defaults):
        return {key.split(".")[3] for key in defaults if key.startswith("resilience4j.thread-pool-bulkhead")}

    assert (pools(own), pools(shared)) == ({"user", "recommendation"}, {"shared"})
    assert "resilience4j.bulkhead.instances.user.maxConcurrentCalls" not in own
