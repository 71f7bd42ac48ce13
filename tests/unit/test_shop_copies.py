"""Copies of products that several instances share."""

from __future__ import annotations

import asyncio
import json

import pytest

from services.resilience import ManualClock
from services.shop.application import Unavailable
from services.shop.catalogue import Catalogue
from services.shop.copies import SharedCopies

redis = pytest.importorskip("redis")


class Node:
    """A Redis as far as it is used here; refuses everything while it is out, writes while it is a replica."""

    def __init__(self):
        self.values = {}
        self.out = self.replica = False
        self.asked = 0

    async def get(self, key):
        self._there()
        return self.values.get(key)

    async def set(self, key, text, ex):
        self._there()
        if self.replica:
            raise redis.exceptions.ReadOnlyError("no writes here")
        self.values[key] = text

    async def aclose(self):
        pass

    def _there(self):
        self.asked += 1
        if self.out:
            raise redis.exceptions.ConnectionError("refused")


class Clock:
    now_s = 1000.0

    def __call__(self):
        return self.now_s


class Products:
    """The product service, which may be out."""

    out = False

    async def __call__(self, number):
        if self.out:
            raise Unavailable("out")
        return {"id": number, "price_cents": 450}


def copies_on(*nodes, clock=None):
    copies = SharedCopies(["redis://x:1"] * len(nodes), fresh_s=2.0, now_s=clock or Clock())
    copies._nodes = list(nodes)
    return copies


async def settled(copies):
    await asyncio.gather(*copies._writing)


def test_what_one_instance_was_told_all_of_them_know():
    """A product asked for by one instance is in the cache of another, until it is no longer fresh."""
    node, clock, products = Node(), Clock(), Products()

    async def told():
        first, second = (Catalogue(products, fresh_s=2.0, shared=copies_on(node, clock=clock)) for _ in range(2))
        sources = [(await first.product(7))["source"]]
        await settled(first.shared)
        sources.append((await second.product(7))["source"])
        clock.now_s += 3
        sources.append((await second.product(7))["source"])
        return sources

    assert asyncio.run(told()) == ["service", "cache", "service"]


def test_with_the_service_out_a_shared_copy_says_how_old_it_is():
    """The copy's age counts from when the service gave it, whoever asked."""
    node, clock, products = Node(), Clock(), Products()

    async def told():
        catalogue = Catalogue(products, fresh_s=2.0, shared=copies_on(node, clock=clock))
        await catalogue.product(7)
        await settled(catalogue.shared)
        clock.now_s += 5
        products.out = True
        return await catalogue.product(7)

    found = asyncio.run(told())

    assert (found["source"], found["stale_age_s"], found["degraded"]) == ("last-known", 5.0, True)


def test_with_both_out_the_instance_has_copies_of_its_own_and_a_default():
    """Neither cache nor service is needed for an answer: what it saw itself first, then a default."""
    node, products = Node(), Products()

    async def told():
        catalogue = Catalogue(products, fresh_s=2.0, clock=ManualClock(), shared=copies_on(node))
        await catalogue.product(7)
        await settled(catalogue.shared)
        node.out = products.out = True
        return [(await catalogue.product(number))["source"] for number in (7, 8)]

    assert asyncio.run(told()) == ["own-copy", "default"]


def test_a_cache_that_is_out_takes_no_answer_away():
    """Without its cache a product comes from the service."""
    node = Node()
    node.out = True

    async def told():
        catalogue = Catalogue(Products(), fresh_s=2.0, shared=copies_on(node))
        found = await catalogue.product(7)
        await settled(catalogue.shared)
        return found["source"]

    assert asyncio.run(told()) == "service"


def test_writes_find_the_node_that_takes_them():
    """After a promotion the other node is the primary: one write finds out, the next go there at once."""
    first, second = Node(), Node()
    first.replica = True

    async def told():
        copies = copies_on(first, second)
        for number in (1, 2):
            copies.keep(number, {"id": number})
            await settled(copies)

    asyncio.run(told())

    assert (1, 2) == (first.asked, second.asked)
    assert {"product:1", "product:2"} == set(second.values)


def test_a_copy_that_cannot_be_read_is_no_copy():
    """Whatever else stands in the cache under a product's key, the service is asked."""
    node = Node()
    node.values["product:7"] = json.dumps({"something": "else"})

    async def told():
        return (await Catalogue(Products(), fresh_s=2.0, shared=copies_on(node)).product(7))["source"]

    assert asyncio.run(told()) == "service"
