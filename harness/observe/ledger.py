"""
Reads back the effects that services hold, once the load has ended.

A ledger is JSON: {"entries": [{...}, ...]} or a plain list; the field that holds the business key is declared.
"""

from __future__ import annotations

import json

from harness.children import Emit
from harness.clock import NS_PER_S, Clock
from harness.observe.base import Add
from harness.observe.http_json import JsonClient, NoAnswer
from harness.system.model import Ledger

LIMIT_S = 5.0
PAUSE_S = 0.2


def read_ledger(ledger: Ledger, address: tuple[str, int], *, add: Add, emit: Emit, clock: Clock) -> None:
    """Write every entry as a row of `ledger`, then the event `ledger.read`; or `ledger.unread` with the reason."""
    client = JsonClient(*address, timeout_s=LIMIT_S)
    deadline_ns = clock.now_ns() + round(LIMIT_S * NS_PER_S)
    try:
        while True:
            try:
                answer = client.get(ledger.path)
                break
            except NoAnswer as error:
                if clock.now_ns() >= deadline_ns:
                    emit("ledger.unread", ledger.name, {"error": f"{ledger.service}{ledger.path}: {error}"})
                    return
                clock.sleep_s(PAUSE_S)
    finally:
        client.close()
    entries = answer.get("entries") if isinstance(answer, dict) else answer
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        emit("ledger.unread", ledger.name, {"error": f"{ledger.service}{ledger.path}: no list of entries"})
        return
    for entry in entries:
        key = entry.get(ledger.key)
        add("ledger", (ledger.name, None if key is None else str(key), json.dumps(entry)))
    emit("ledger.read", ledger.name, {"entries": len(entries)})
