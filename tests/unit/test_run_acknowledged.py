"""What was acknowledged is what a ledger that settles late still owes."""

from __future__ import annotations

from dataclasses import replace

from journals import LEDGER, ORDERS

from harness.run.acknowledged import Acknowledged

LATE = replace(LEDGER, settled_within_s=5.0)


def request(key: str | None, *, status: int = 201, ok: bool = True, name: str = ORDERS) -> tuple[object, ...]:
    return (name, 1, 1, 2, status, ok, None, 0, None, key, None)


def test_owed_is_what_was_acknowledged_and_is_not_held():
    """Refused requests, other requests, statuses that promise nothing and requests without a key owe nothing."""
    acknowledged = Acknowledged([LATE])
    acknowledged.watch(
        {"requests": [request("a"), request("b"), request("c", ok=False), request("d", status=202), request(None)]}
    )
    acknowledged.watch({"requests": [request("e", name="GET /users")], "probes": []})

    assert acknowledged.missing(LATE, {"a"}) == 1
    assert acknowledged.missing(LATE, {"a", "b", "z"}) == 0


def test_a_ledger_that_settles_at_once_owes_nothing():
    """Only ledgers that say so are waited for."""
    acknowledged = Acknowledged([LEDGER])
    acknowledged.watch({"requests": [request("a")]})

    assert acknowledged.missing(LEDGER, set()) == 0
