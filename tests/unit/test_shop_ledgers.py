"""The books of orders and charges."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from services.shop.orders import PAID, PENDING_PAYMENT, PLACED, Orders, Wish
from services.shop.payments import KeyReused, Payments

WISH = Wish(key="order-1", user=1, product=2, quantity=3)


@asynccontextmanager
async def opened(book):
    await (book.open() if isinstance(book, Orders) else book.ledger.open())
    try:
        yield book
    finally:
        await book.ledger.close()


def entries_of(content):
    told = json.loads(content)
    assert told["count"] == len(told["entries"])
    return told["entries"]


def test_one_key_charges_once(tmp_path):
    """However often and however close together a key is charged, there is one charge and one answer."""

    async def scenario():
        async with opened(Payments(tmp_path / "p.sqlite", idempotency=True)) as payments:
            charges = [payments.charge(key="k", order="k", amount_cents=5) for _ in range(10)]
            answers = [charge for charge, _ in await asyncio.gather(*charges)]
            return answers, entries_of(await payments.as_json())

    answers, entries = asyncio.run(scenario())

    assert [entries[0]] * 10 == answers
    assert len(entries) == 1


def test_without_idempotency_duplicates_are_in_plain_sight(tmp_path):
    """Switched off, a repeated key is a second entry with the same key and another id."""

    async def scenario():
        async with opened(Payments(tmp_path / "p.sqlite", idempotency=False)) as payments:
            for _ in range(2):
                await payments.charge(key="k", order="k", amount_cents=5)
            return entries_of(await payments.as_json())

    first, second = asyncio.run(scenario())

    assert "k" == first["key"] == second["key"]
    assert first["id"] != second["id"]


def test_a_key_names_one_charge_only(tmp_path):
    """The same key with another amount is refused, and charges nothing."""

    async def scenario():
        async with opened(Payments(tmp_path / "p.sqlite", idempotency=True)) as payments:
            await payments.charge(key="k", order="k", amount_cents=5)
            with pytest.raises(KeyReused):
                await payments.charge(key="k", order="k", amount_cents=6)
            return entries_of(await payments.as_json())

    assert [entry["amount_cents"] for entry in asyncio.run(scenario())] == [5]


def test_an_order_is_looked_up_by_its_key_where_one_reads(tmp_path):
    """Where it is written unless told otherwise; elsewhere it may not be known yet."""

    async def scenario():
        elsewhere = Orders(tmp_path / "elsewhere.sqlite", idempotency=True)
        async with (
            opened(elsewhere),
            opened(Orders(tmp_path / "o.sqlite", idempotency=True)) as orders,
            opened(Orders(tmp_path / "p.sqlite", idempotency=True, reads=elsewhere.ledger)) as behind,
        ):
            placed = [(await book.place(WISH, 600))[0]["id"] for book in (orders, behind)]
            found = await orders.with_key(WISH.key)
            return placed[0] == found["id"], await orders.with_key("never"), await behind.with_key(WISH.key)

    assert asyncio.run(scenario()) == (True, None, None)


def test_a_charge_cut_off_by_a_crash_is_owed_after_the_restart(tmp_path):
    """An order that was being charged when its process died is found again, to be settled."""

    async def scenario():
        file = tmp_path / "o.sqlite"
        async with opened(Orders(file, idempotency=True)) as orders:
            row, _ = await orders.place(WISH, 300)
            before = row["status"]
        async with opened(Orders(file, idempotency=True)) as orders:
            return before, await orders.unsettled(10)

    before, owed = asyncio.run(scenario())

    assert before == PLACED
    assert [(row["key"], row["status"]) for row in owed] == [("order-1", PENDING_PAYMENT)]


def test_an_order_is_told_with_its_key_and_status(tmp_path):
    """The ledger of orders tells what became of each: paid at once, put off, or paid after that."""

    async def scenario():
        async with opened(Orders(tmp_path / "o.sqlite", idempotency=True)) as orders:
            rows = [(await orders.place(Wish(key=key, user=1, product=1, quantity=1), 9))[0] for key in "abcd"]
            await orders.paid(rows[0]["id"], "p-a")
            await orders.put_off(rows[1]["id"])
            await orders.put_off(rows[2]["id"])
            await orders.paid(rows[2]["id"], "p-c")
            await orders.withdraw(rows[3]["id"])
            return entries_of(await orders.as_json())

    entries = asyncio.run(scenario())

    assert [(entry["key"], entry["status"], entry["deferred"]) for entry in entries] == [
        ("a", PAID, False),
        ("b", PENDING_PAYMENT, True),
        ("c", PAID, True),
    ]


def test_a_repeated_order_is_the_same_order(tmp_path):
    """A customer who asks again with the same key gets the order that is there."""

    async def scenario():
        async with opened(Orders(tmp_path / "o.sqlite", idempotency=True)) as orders:
            first, _ = await orders.place(WISH, 300)
            again, repeated = await orders.place(WISH, 300)
            return first["id"] == again["id"], repeated, len(entries_of(await orders.as_json()))

    assert asyncio.run(scenario()) == (True, True, 1)
