"""
The effects that answers promised while a run goes on: what a ledger has to hold once everything is settled.

Fed by the recorder with the rows it writes. It decides nothing: the journal is what is judged.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence

from harness.system.model import Ledger


class Acknowledged:
    """Business keys of acknowledged requests, for the ledgers that settle later than they answer. Safe from any thread."""

    def __init__(self, ledgers: Iterable[Ledger]) -> None:
        self._ledgers = [ledger for ledger in ledgers if ledger.settled_within_s > 0]
        self._keys: dict[str, set[str]] = {ledger.name: set() for ledger in self._ledgers}
        self._lock = threading.Lock()

    def watch(self, batches: Mapping[str, Sequence[Sequence[object]]]) -> None:
        """Take a batch of rows as the recorder writes it."""
        if not self._ledgers:
            return
        with self._lock:
            for name, _, _, _, status, ok, _, _, _, key, _ in batches.get("requests", ()):
                for ledger in self._ledgers:
                    promised = ok and (not ledger.acknowledged or status in ledger.acknowledged)
                    if promised and key is not None and name == ledger.asked_by:
                        self._keys[ledger.name].add(str(key))

    def missing(self, ledger: Ledger, present: set[str]) -> int:
        """How many of the acknowledged effects a ledger does not hold yet; 0 for one that settles at once."""
        with self._lock:
            return len(self._keys.get(ledger.name, set()) - present)
