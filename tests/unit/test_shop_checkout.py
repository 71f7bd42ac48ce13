"""Placing orders and making up for put-off charges, with neighbours that do as they are told."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from services.shop.application import Refused, Unavailable
from services.shop.checkout import Checkout
from services.shop.orders import PAID, PENDING_PAYMENT, UNPAID, Orders, Wish
from services.shop.scope import Scope, enter
from services.shop.settlement import Settlement
from services.shop.trace import Trace

WISH = Wish(key="order-1", user=1, product=2, quantity=3)


class FakeNeighbours:
    """Answers at once; `charges` says what each charge does: a payment's id, None for later, or an exception."""

    def __init__(self, *charges, user=None):
        self.charges = list(charges)
        self.charged = []
        self.asked_user = user

    async def user_or_guest(self, number):
        if isinstance(self.asked_user, Exception):
            raise self.asked_user
        return {"id": number}

    async def product(self, number):
        return {"id": number, "price_cents": 100}

    async def recommendations(self, _):
        return [1, 2, 3]

    async def charge(self, *, key, amount_cents):
        self.charged.append((key, amount_cents))
        outcome = self.charges.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome and {"id": outcome}

    charge_or_later = charge


def run(tmp_path, neighbours, work):
    """Run work(checkout, settlement) with an open book of orders; gives its result and the ledger's entries."""

    async def scenario():
        orders = Orders(tmp_path / "o.sqlite", idempotency=True)
        await orders.open()
        try:
            enter(Scope(trace=Trace.start(), deadline_s=time.monotonic() + 60))
            settlement = Settlement(neighbours, orders, interval_s=60, batch=8)
            result = await work(Checkout(neighbours, orders, settlement, lookup_s=30), settlement)
            return result, json.loads(await orders.as_json())["entries"]
        finally:
            await orders.ledger.close()

    return asyncio.run(scenario())


def test_a_paid_order_is_charged_its_price(tmp_path):
    """Quantity times price is charged under the order's own key, and the order says it is paid."""
    neighbours = FakeNeighbours("p-1")

    order, entries = run(tmp_path, neighbours, lambda checkout, _: checkout.place(WISH))

    assert order["status"] == PAID
    assert neighbours.charged == [("order-1", 300)]
    assert [(e["key"], e["status"], e["payment"]) for e in entries] == [("order-1", PAID, "p-1")]


def test_a_put_off_charge_is_made_up_for_under_the_same_key(tmp_path):
    """Settlement goes on asking while payment is out, and then charges what is owed exactly once."""
    neighbours = FakeNeighbours(None, Unavailable("out"), Unavailable("out"), "p-1")

    async def work(checkout, settlement):
        order = await checkout.place(WISH)
        return order["status"], [await settlement.round() for _ in range(4)]

    (status, rounds), entries = run(tmp_path, neighbours, work)

    assert status == PENDING_PAYMENT
    assert rounds == [False, False, True, True]
    assert neighbours.charged == [("order-1", 300)] * 4
    assert [(e["status"], e["deferred"]) for e in entries] == [(PAID, True)]


def test_a_payment_that_is_out_is_asked_for_one_charge_at_a_time(tmp_path):
    """However much is owed, an unreachable payment service gets one request a round, not all of it."""
    neighbours = FakeNeighbours(*[None] * 5, *[Unavailable("out")] * 3)

    async def work(checkout, settlement):
        for number in range(5):
            await checkout.place(Wish(key=f"order-{number}", user=1, product=1, quantity=1))
        for _ in range(3):
            await settlement.round()

    run(tmp_path, neighbours, work)

    assert neighbours.charged[5:] == [("order-0", 100)] * 3


def test_a_charge_refused_for_good_does_not_hold_up_the_others(tmp_path):
    """What payment declines is marked for a person to look at, and the next owed charge has its turn."""
    neighbours = FakeNeighbours(None, None, Refused(422, "declined"), "p-2")

    async def work(checkout, settlement):
        for number in range(2):
            await checkout.place(Wish(key=f"order-{number}", user=1, product=1, quantity=1))
        for _ in range(2):
            await settlement.round()

    _, entries = run(tmp_path, neighbours, work)

    assert [e["status"] for e in entries] == [UNPAID, PAID]


@pytest.mark.parametrize("problem", [Unavailable("payment is unavailable"), Refused(422, "declined")])
def test_an_order_that_is_not_accepted_leaves_no_entry(tmp_path, problem):
    """A customer who is told no finds nothing of the order in the ledger."""

    async def work(checkout, _):
        with pytest.raises(type(problem)):
            await checkout.place(WISH)

    _, entries = run(tmp_path, FakeNeighbours(problem), work)

    assert entries == []


def test_an_unknown_user_is_charged_nothing(tmp_path):
    """An order is refused by its first look-up that says no, before anything is written or charged."""
    neighbours = FakeNeighbours(user=Refused(404, "there is no user 1"))

    async def work(checkout, _):
        with pytest.raises(Refused):
            await checkout.place(WISH)

    _, entries = run(tmp_path, neighbours, work)

    assert (neighbours.charged, entries) == ([], [])


def test_a_repeated_order_is_not_charged_again(tmp_path):
    """The second request with a key is answered from the first one's order."""
    neighbours = FakeNeighbours("p-1")

    async def work(checkout, _):
        return [await checkout.place(WISH) for _ in range(2)]

    (first, second), entries = run(tmp_path, neighbours, work)

    assert (first["id"], first["status"]) == (second["id"], second["status"])
    assert len(neighbours.charged) == len(entries) == 1
