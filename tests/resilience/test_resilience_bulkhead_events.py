"""A bulkhead's refusals say how long the refused call had waited."""

from __future__ import annotations

import pytest

from services.resilience import BulkheadFull, Registry

CONFIG = {"resilience4j.bulkhead.instances.payment.maxConcurrentCalls": "1"}


def test_a_refusal_tells_how_long_the_call_had_waited():
    """CALL_REJECTED carries durationInMs beside Resilience4j's own keys; other events do not."""
    registry = Registry.from_mapping(CONFIG)
    bulkhead = registry.bulkhead("payment")
    bulkhead.acquire_sync()

    with pytest.raises(BulkheadFull):
        bulkhead.acquire_sync()

    permitted, rejected = registry.actuator("bulkheadevents/payment")["bulkheadEvents"]
    assert (permitted["type"], rejected["type"]) == ("CALL_PERMITTED", "CALL_REJECTED")
    assert rejected["durationInMs"] >= 0
    assert "durationInMs" not in permitted
