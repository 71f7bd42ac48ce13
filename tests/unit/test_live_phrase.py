"""Faults as people say them, and floors."""

from __future__ import annotations

import pytest
from journals import AVAILABLE, shop

from harness.errors import InputError
from harness.faults import FAULTS, build
from harness.live.floors import floor_of
from harness.live.phrase import PLACES, fault_of

SYSTEM = shop(objectives=(AVAILABLE,))


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("latency order->payment 2s", build.latency("order->payment", "2s")),
        ("latency order -> payment 2s jitter=100ms", build.latency("order->payment", "2s", jitter="100ms")),
        ("latency 2s order->payment 50ms", build.latency("order->payment", "2s", jitter="50ms")),
        ("status order->payment 503 share=20%", build.status("order->payment", 503, share="20%")),
        (
            "status order->payment 503 methods=[POST] first=3",
            build.status("order->payment", 503, methods=["POST"], first=3),
        ),
        ("down order->payment", build.down("order->payment")),
        ("kill payment", build.kill("payment")),
        ("restart payment kill", build.restart("payment", signal="kill")),
        ("{process: pause, service: payment}", build.pause("payment")),
    ],
)
def test_a_fault_is_said_in_a_line(phrase, expected):
    """Kind, target, values in their usual order, the rest by name; or as in a file."""
    assert expected == fault_of(phrase, SYSTEM)


@pytest.mark.parametrize(
    ("phrase", "message", "hint"),
    [
        ("", "no fault", "latency order->payment"),
        ("latancy order->payment 2s", "'latancy' is no kind", "did you mean 'latency'"),
        ("latency order->paiment 2s", "link is 'order->paiment'", "did you mean 'order->payment'"),
        ("latency order->payment", "key 'latency' is missing", "delay added"),
        ("latency order->payment 2", "2 is not a duration", ""),
        ("latency order->payment 2s 1s 3s", "'3s' has no place", "toxic: latency"),
        ("latency order->payment 2s jiter=1s", "unknown key 'jiter'", "did you mean 'jitter'"),
        ("kill shipping", "service is 'shipping'", "order"),
        ("{toxic: latency", "cannot be read", "latency"),
        ("{latency: 2s}", "does not say what kind", "latency"),
        ("{toxic: kill, service: order}", "does not say what kind", "latency"),
        ("x" * 3000, "too long", "latency"),
    ],
)
def test_a_phrase_that_is_wrong_says_what_would_be_right(phrase, message, hint):
    """The value and what would be right, as for a file."""
    with pytest.raises(InputError) as caught:
        fault_of(phrase, SYSTEM)
    assert message in str(caught.value)
    assert hint in (caught.value.hint or "")


def test_places_are_keys_of_their_faults():
    """Every value that may be said without its name is one a fault has."""
    for kind, places in PLACES.items():
        keys = {field.alias or name for name, field in FAULTS[kind].model_fields.items()}
        assert set(places) <= keys, kind


def test_a_floor_is_said_in_a_line():
    """The objective, the share, the stretch of time."""
    floor = floor_of("orders-available < 80% over 3s", [AVAILABLE])

    assert (floor.slo, floor.below, floor.over_s) == ("orders-available", 0.8, 3.0)


@pytest.mark.parametrize(
    "text", ["orders-available", "orders-available < 80", "orders-available < 80% over 3", "order-available < 80%"]
)
def test_a_floor_that_is_wrong_says_what_would_be_right(text):
    """Form, value and name are each told."""
    with pytest.raises(InputError) as caught:
        floor_of(text, [AVAILABLE])
    assert "orders-available" in str(caught.value.hint)
