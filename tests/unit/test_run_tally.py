"""The tally turns rows into the few figures that people watch."""

from __future__ import annotations

import json

import pytest

from harness.clock import NS_PER_S
from harness.run.tally import Tally


def request(end_s: float, ok: int) -> tuple[object, ...]:
    end_ns = round(end_s * NS_PER_S)
    return ("POST /orders", end_ns, end_ns, end_ns, 200, ok, None, 0, None, None, None)


def test_rates_are_those_of_the_last_two_seconds():
    """Requests older than two seconds before the newest one count no more."""
    tally = Tally()
    tally.watch({"requests": [request(t / 10, ok=int(t % 2 == 0)) for t in range(100)]})

    finished, good, errors = tally.rates(now_ns=10 * NS_PER_S, running_s=10)

    assert finished == pytest.approx(10, abs=1)
    assert good == pytest.approx(5, abs=1)
    assert errors == pytest.approx(0.5, abs=0.05)


def test_before_the_first_request_there_are_no_errors():
    """With nothing finished, the rates are zero and nothing is divided by it."""
    assert Tally().rates(now_ns=0, running_s=0) == (0, 0, 0)


def test_breakers_are_named_by_service_and_instance():
    """The newest probe of a service says the state of each of its breakers."""
    tally = Tally()
    for state in ("CLOSED", "OPEN"):
        tally.watch({"probes": [(1, "actuator", "order", 1, json.dumps({"breakers": {"payment": state}}))]})

    assert {"order->payment": "OPEN"} == tally.breakers
