"""Two scenarios for people who prefer tests to YAML: the same faults, promises, receipts and reports."""

from __future__ import annotations

from harness.testing import fault, promise


def test_a_slow_payment_is_shed(shop):
    """Orders stay available and quick while payment is slow, and payment is taken back afterwards."""
    with (
        shop.load("checkout", arrivals="40/s", recovery="6s"),
        shop.fault(fault.latency("order->payment", "2s")) as slow,
    ):
        shop.wait("5s")

    shop.expect(
        promise.availability(of="POST /orders", at_least="99%", during=slow),
        promise.breaker(on="order->payment", goes=["closed", "open", "half_open", "closed"], opens_within="3s"),
        promise.fallback(
            named="payment-deferred", serves_at_least="90%", of="POST /orders", during=slow, after="1500ms"
        ),
        promise.effects(ledger="payments"),
    )


def test_orders_survive_two_outages_at_once(shop):
    """With recommendations refused and users frozen, orders go on with guests and without recommendations."""
    with (
        shop.load("checkout", arrivals="40/s", recovery="4s"),
        shop.fault(fault.down("order->recommendation"), name="no-recommendations"),
        shop.fault(fault.pause("user"), name="frozen-users") as frozen,
    ):
        shop.wait("5s")

    shop.expect(
        promise.availability(of="POST /orders", at_least="99%", during=frozen),
        promise.fallback(named="user-guest", serves_at_least="80%", of="POST /orders", during=frozen, after="1500ms"),
        promise.effects(ledger="orders"),
    )
