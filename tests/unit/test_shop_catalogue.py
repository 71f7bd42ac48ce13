"""Products from the next best source."""

from __future__ import annotations

from services.shop.catalogue import Catalogue


def test_a_copy_is_fresh_for_its_time_and_known_for_ever_after():
    """Within fresh_s the copy answers for the service; later only when the service cannot."""
    now_s = 100.0
    catalogue = Catalogue(fresh_s=5.0, now_s=lambda: now_s)
    catalogue.keep(7, {"id": 7, "price_cents": 450})

    young = catalogue.fresh(7)
    now_s = 105.0

    assert young == {"id": 7, "price_cents": 450, "source": "cache"}
    assert catalogue.fresh(7) is None
    assert catalogue.stand_in(7) == {"id": 7, "price_cents": 450, "source": "last-known", "age_s": 5.0}


def test_a_product_never_seen_has_a_default():
    """The end of the chain always answers."""
    stand_in = Catalogue(fresh_s=0.0, now_s=lambda: 0.0).stand_in(9)

    assert (stand_in["id"], stand_in["source"]) == (9, "default")
    assert stand_in["price_cents"] > 0


def test_no_fresh_time_means_no_cache():
    """With a fresh time of zero the service is asked every time."""
    catalogue = Catalogue(fresh_s=0.0, now_s=lambda: 1.0)
    catalogue.keep(7, {"id": 7})

    assert catalogue.fresh(7) is None
