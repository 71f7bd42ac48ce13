"""The shop heeds how long its callers wait, and tells its neighbours how long it does."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from services.resilience import Registry, deadline
from services.shop.client import Answer
from services.shop.middleware import RequestScope
from services.shop.neighbours import Neighbours
from services.shop.payment import PaymentService
from services.shop.payments import Payments
from services.shop.protections import order_defaults
from services.shop.scope import Scope, current, enter, within
from services.shop.settings import NEIGHBOURS, OrderSettings, read_settings
from services.shop.trace import Trace
from services.shop.workers import Workers

HOUR_MS = "3600000"


async def ask(app, path="/thing", *, waits_ms=None, body=b"", method="GET", headers=()):
    """Status and JSON of one request through an ASGI application."""
    told, sent = ([] if waits_ms is None else [(b"x-remaining-time-ms", waits_ms.encode())]), []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [*told, *headers], "query_string": b""}
    await app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


async def inner(scope, receive, send):
    """Answers with the seconds its request has left, and whether its caller has said so."""
    body = json.dumps([current().remaining_s(), deadline.remaining(), current().given_up_s < 1e9]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def around(app=inner, *, heeds=True, workers=None, deadline_s=1000.0):
    return RequestScope(app, workers=workers or Workers(count=1, queue=9), deadline_s=deadline_s, heeds=heeds)


@pytest.mark.parametrize(
    ("waits_ms", "heeds", "least_s", "most_s"),
    [
        (None, True, 900, 1000),
        ("500000", True, 400, 500),
        (HOUR_MS, True, 900, 1000),
        ("soon", True, 900, 1000),
        ("500000", False, 900, 1000),
        ("0", False, 900, 1000),
    ],
)
def test_a_request_has_the_lesser_of_both_deadlines(waits_ms, heeds, least_s, most_s):
    """Its own and its caller's, and the time limiters go by the same."""
    status, (left_s, limiters_s, is_told) = asyncio.run(ask(around(heeds=heeds), waits_ms=waits_ms))

    assert status == 200
    assert least_s < left_s <= most_s
    assert left_s == pytest.approx(limiters_s, abs=5)
    assert is_told == (heeds and waits_ms in ("500000", HOUR_MS))


def test_nobody_works_for_a_caller_who_has_given_up():
    """The application is not even asked; the answer is 504 and is counted."""
    called = []

    async def app(*_):
        called.append(1)

    one = around(app)
    status, answer = asyncio.run(ask(one, waits_ms="0"))

    assert (status, answer["error"], called) == (504, "too late", [])
    assert ("shop_too_late_total", {}, 1.0) in one.metrics()
    assert one.turned_away == 0


def test_a_request_leaves_the_queue_when_its_caller_does():
    """With every worker busy it waits as long as its caller does and no longer, and nobody works on it then."""

    async def main():
        workers = Workers(count=1, queue=9)
        one = around(workers=workers)
        async with workers.one(wait_at_most_s=1):
            late = await ask(one, waits_ms="20")
        return late, await ask(one, waits_ms=HOUR_MS), one.turned_away

    (late, _), (after, _), turned_away = asyncio.run(main())
    assert (late, after, turned_away) == (504, 200, 0)


def payment(tmp_path, work, *, charge_s=0.0, answer_s=0.0):
    """Run work(ask a charge) against the payment service's own route; gives its result and the ledger's keys."""

    async def scenario():
        payments = Payments(tmp_path / "p.sqlite", idempotency=True)
        await payments.ledger.open()
        try:
            from starlette.applications import Starlette

            from services.shop.application import Refused, _refused

            routes = PaymentService(payments, charge_s=charge_s, answer_s=answer_s).routes()
            app = around(Starlette(routes=routes, exception_handlers={Refused: _refused}))

            async def charge(key, waits_ms):
                body = json.dumps({"order": key, "amount_cents": 5}).encode()
                headers = [(b"idempotency-key", key.encode())]
                return await ask(app, "/payments", method="POST", waits_ms=waits_ms, body=body, headers=headers)

            result = await work(charge)
            return result, [entry["key"] for entry in json.loads(await payments.as_json())["entries"]]
        finally:
            await payments.ledger.close()

    return asyncio.run(scenario())


def test_a_charge_whose_caller_gives_up_meanwhile_is_not_made(tmp_path):
    """What takes longer than the caller waits is refused with 504, and the ledger knows nothing of it."""

    async def work(charge):
        return [
            (await charge(key, waits_ms))[0] for key, waits_ms in (("late", "5"), ("in-time", HOUR_MS), ("any", None))
        ]

    statuses, keys = payment(tmp_path, work, charge_s=0.02)

    assert (statuses, keys) == ([504, 201, 201], ["in-time", "any"])


def test_a_charge_whose_answer_would_come_too_late_is_not_made(tmp_path):
    """Payment keeps the time that its answer takes: who gives up within it is not charged."""

    async def work(charge):
        return [(await charge(key, waits_ms))[0] for key, waits_ms in (("near", "100000"), ("far", HOUR_MS))]

    statuses, keys = payment(tmp_path, work, answer_s=200.0)

    assert (statuses, keys) == ([504, 201], ["far"])


class ListeningClient:
    """Remembers how long each request would be waited for; answers, or fails as it is told."""

    def __init__(self):
        self.told = []

    async def ask(self, method, url, **_):
        self.told.append(deadline.remaining())
        return Answer(status=200, body={"id": 1, "products": [1]})


def neighbours(work):
    """Run work(neighbours); gives its result and what the client would have told the neighbours."""

    async def scenario():
        urls = {name: f"http://{name}" for name in NEIGHBOURS}
        settings = OrderSettings(
            urls=urls,
            fallbacks=dict.fromkeys(NEIGHBOURS, True),
            lookup_s=1.0,
            product_cache_s=0.0,
            settle_interval_s=1.0,
            settle_batch=1,
        )
        client, registry = ListeningClient(), Registry.from_mapping(order_defaults())
        one = Neighbours(settings, client, registry)
        enter(Scope(trace=Trace.start(), deadline_s=time.monotonic() + 60))
        return await work(one), client.told, current().fallbacks, registry

    return asyncio.run(scenario())


def test_a_neighbour_is_told_how_long_it_is_waited_for():
    """That is its time limit, not what the request has left, where the limit is less."""
    _, told, _, _ = neighbours(lambda one: one.charge(key="k", amount_cents=5))

    assert 0 < told[0] <= 0.4


def test_a_request_without_time_asks_nobody_and_blames_nobody():
    """The stand-in serves, the neighbour is spared, and neither its breaker nor its retry counts anything against it."""

    async def work(one):
        return [await within(0.0, lambda: one.user_or_guest(7)) for _ in range(20)]

    users, told, fallbacks, registry = neighbours(work)

    assert {"guest"} == {user["name"] for user in users}
    assert (told, fallbacks) == ([], ["user-guest"])
    assert registry.circuit_breaker("user").metrics.buffered_calls == 0
    assert registry.retry("user").counts.failed_with_retry == 0


@pytest.mark.parametrize(("word", "expected"), [("on", True), ("off", False), ("false", False)])
def test_travelling_can_be_switched_off(word, expected):
    """A scenario that has to fail needs a shop that works for callers who are gone."""
    assert read_settings("user", {"SHOP_DEADLINE_TRAVELS": word}, port=1).deadline_travels is expected
    assert read_settings("user", {}, port=1).deadline_travels is True
