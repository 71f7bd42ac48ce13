"""Deadlines that travel through the shop's real processes, and what happens where they do not."""

from __future__ import annotations

import signal

import pytest
from test_shop_by_hand import SERVICES, Shop, until

pytestmark = pytest.mark.system

NEVER = "60s"


@pytest.mark.parametrize(("travels", "charged"), [("on", False), ("off", True)])
def test_payment_charges_nobody_who_has_given_up(tmp_path, monkeypatch, travels, charged):
    """A bank slower than the order's patience leads to a charge that nobody waits for, unless payment is told."""
    monkeypatch.setenv("SHOP_DEADLINE_TRAVELS", travels)
    monkeypatch.setenv("SHOP_CHARGE_TIME", "600ms")
    shop = Shop(tmp_path, SHOP_SETTLE_INTERVAL=NEVER, SHOP_FALLBACK_PAYMENT="off")
    try:
        for service in SERVICES:
            shop.start(service)
        for service in SERVICES:
            shop.ready(service)
        status, _, _ = shop.order()
        if charged:
            until(lambda: shop.ledger("payment"))
        else:
            until(lambda: "shop_too_late_total 1.0" in shop.ask("GET", "/actuator/prometheus", of="payment")[2])
        entries = shop.ledger("payment")
    finally:
        for service in list(shop.processes):
            shop.stop(service, signal.SIGKILL)

    assert (status, charged) == (503, bool(entries))
