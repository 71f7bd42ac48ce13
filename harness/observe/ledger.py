"""
Reads back the effects that services hold, once the load has ended; and looks into the ledgers before it begins, so that
what they held already is not taken for this run's.

A ledger is JSON: {"entries": [{...}, ...]} or a plain list; the field that holds the business key is declared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from harness.children import Emit
from harness.clock import NS_PER_S, Clock
from harness.observe.base import Add
from harness.observe.http_json import JsonClient, NoAnswer
from harness.system.model import Ledger

LIMIT_S = 5.0
LOOK_LIMIT_S = 1.0
MOST_KEYS = 10_000  # written down of a ledger that held entries before the load
PAUSE_S = 0.2


def read_ledger(
    ledger: Ledger, keepers: Mapping[str, tuple[str, int]], *, add: Add, emit: Emit, clock: Clock,
    missing: Callable[[set[str]], int] = lambda _: 0,
) -> None:  # fmt: skip
    """
    Write every entry as a row of `ledger`, then the event `ledger.read`; or `ledger.unread` with the reason.
    keepers: the address of each service that keeps a part; without one of the parts the whole is unread.
    missing: how many effects are owed beside these keys. While there are any, it is read again, until
    ledger.settled_within_s have passed; then it is written down as it is.
    """
    began_ns = clock.now_ns()
    while True:
        entries = _read_whole(ledger, keepers, emit=emit, clock=clock)
        if entries is None:
            return
        waited_s = (clock.now_ns() - began_ns) / NS_PER_S
        owed = missing({str(entry[ledger.key]) for entry in entries if entry.get(ledger.key) is not None})
        if not owed or waited_s >= ledger.settled_within_s:
            break
        clock.sleep_s(PAUSE_S)
    for entry in entries:
        key = entry.get(ledger.key)
        add("ledger", (ledger.name, None if key is None else str(key), json.dumps(entry)))
    settling = {"settling_s": round(waited_s, 3), "owed": owed} if ledger.settled_within_s > 0 else {}
    emit("ledger.read", ledger.name, {"entries": len(entries), **settling})


def _read_whole(
    ledger: Ledger, keepers: Mapping[str, tuple[str, int]], *, emit: Emit, clock: Clock
) -> list[dict[str, Any]] | None:
    """What all keepers hold; None when one of them gives no answer."""
    entries: list[dict[str, Any]] = []
    for service, address in keepers.items():
        part = _read_part(ledger, service, address, emit=emit, clock=clock)
        if part is None:
            return None
        entries += part
    return entries


def _read_part(
    ledger: Ledger, service: str, address: tuple[str, int], *, emit: Emit, clock: Clock
) -> list[dict[str, Any]] | None:
    """What one service keeps of a ledger; None, and the event `ledger.unread`, when it cannot be had in time."""
    client = JsonClient(*address, timeout_s=LIMIT_S)
    deadline_ns = clock.now_ns() + round(LIMIT_S * NS_PER_S)
    try:
        while True:
            try:
                answer = client.get(ledger.path)
                break
            except NoAnswer as error:
                if clock.now_ns() >= deadline_ns:
                    emit("ledger.unread", ledger.name, {"error": f"{service}{ledger.path}: {error}"})
                    return None
                clock.sleep_s(PAUSE_S)
    finally:
        client.close()
    entries = _entries(answer)
    if entries is None:
        emit("ledger.unread", ledger.name, {"error": f"{service}{ledger.path}: no list of entries"})
    return entries


def look_into_ledger(ledger: Ledger, keepers: Mapping[str, tuple[str, int]], *, emit: Emit) -> None:
    """
    Before the load: the event `ledger.before` with the number of entries and their keys (10,000 at most). One look only;
    a ledger that gives no answer yet gives no event.
    """
    entries: list[dict[str, Any]] = []
    for address in keepers.values():
        client = JsonClient(*address, timeout_s=LOOK_LIMIT_S)
        try:
            part = _entries(client.get(ledger.path))
        except NoAnswer:
            return
        finally:
            client.close()
        if part is None:
            return
        entries += part
    if keepers:
        keys = [str(entry[ledger.key]) for entry in entries[:MOST_KEYS] if entry.get(ledger.key) is not None]
        emit("ledger.before", ledger.name, {"entries": len(entries), "keys": keys})


def _entries(answer: Any) -> list[dict[str, Any]] | None:
    """The entries of an answer; None when it is no list of them."""
    entries = answer.get("entries") if isinstance(answer, dict) else answer
    return entries if isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries) else None
