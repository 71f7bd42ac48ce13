"""Products from the next best source."""

from __future__ import annotations

import asyncio

import pytest

from services.resilience import ManualClock
from services.shop.application import Refused, Unavailable
from services.shop.catalogue import Catalogue

NS_PER_S = 1_000_000_000


class ProductService:
    """Answers each question with its outcome; an exception is raised."""

    def __init__(self, outcome):
        self.outcome = outcome
        self.asked = []

    async def __call__(self, number):
        self.asked.append(number)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return {"id": number, "price_cents": self.outcome}


def told(catalogue, number=7):
    return asyncio.run(catalogue.product(number))


def test_a_copy_is_fresh_for_its_time_and_known_for_ever_after():
    """Within fresh_s the copy answers for the service; later only when the service cannot, and it says how old it is."""
    clock, service = ManualClock(), ProductService(450)
    catalogue = Catalogue(service, fresh_s=5.0, clock=clock)
    answers = [told(catalogue), told(catalogue)]
    clock.advance(5 * NS_PER_S)
    service.outcome = Unavailable("out")
    answers.append(told(catalogue))

    assert [("service", 0.0, False), ("cache", 0.0, False), ("last-known", 5.0, True)] == [
        (one["source"], one["stale_age_s"], one["degraded"]) for one in answers
    ]
    assert {450} == {one["price_cents"] for one in answers}
    assert service.asked == [7, 7]


def test_a_product_never_seen_has_a_default():
    """The end of the chain always answers."""
    product = told(Catalogue(ProductService(Unavailable("out")), fresh_s=0.0), 9)

    assert (product["id"], product["source"], product["degraded"]) == (9, "default", True)
    assert product["price_cents"] > 0


def test_no_fresh_time_means_no_cache():
    """With a fresh time of zero the service is asked every time."""
    service = ProductService(450)
    catalogue = Catalogue(service, fresh_s=0.0, clock=ManualClock())

    assert ["service", "service"] == [told(catalogue)["source"] for _ in range(2)]
    assert len(service.asked) == 2


def test_without_stand_ins_what_is_out_is_unavailable():
    """A copy that is no longer fresh helps nobody then."""
    clock, service = ManualClock(), ProductService(450)
    catalogue = Catalogue(service, fresh_s=1.0, stand_ins=False, clock=clock)
    told(catalogue)
    clock.advance(NS_PER_S)
    service.outcome = Unavailable("out")

    with pytest.raises(Unavailable):
        told(catalogue)


def test_no_is_an_answer_and_a_mistake_is_no_reason_for_a_copy():
    """Only a service that cannot be asked is stood in for."""
    for outcome in (Refused(404, "there is no product 7"), ZeroDivisionError("a bug")):
        with pytest.raises(type(outcome)):
            told(Catalogue(ProductService(outcome), fresh_s=0.0))


def test_where_products_came_from_is_counted():
    """Each source has its own number of answers."""
    service = ProductService(450)
    catalogue = Catalogue(service, fresh_s=60.0)
    for _ in range(3):
        told(catalogue)

    counts = {labels["source"]: count for _, labels, count in catalogue.chain.metrics()}
    assert {"service": 1.0, "cache": 2.0, "last-known": 0.0, "default": 0.0} == counts
