"""
Reading along, a little later: bytes that have passed already are kept here and read in batches.

Reading a request and its answer one by one, each time after the loop has slept, costs several times what it costs in
one go, and it costs it while the other end waits. What passed is stamped when it passed, and read in that order over
all connections, so the log is the same as if it had been read at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.links.gate.relay import Relay

MOST_ENTRIES = 32  # so that a batch holds the loop up for a fraction of a millisecond
MOST_BYTES = 1024 * 1024


class ReadingLater:
    """
    One for all links of a gate. Somebody calls catch_up() every now and then, and whatever is more than passing on
    (an end, a fault, a question) calls it first.
    """

    __slots__ = ("_bytes", "_passed")

    def __init__(self) -> None:
        self._passed: list[tuple[Relay, bool, bytes, int, int]] = []
        self._bytes = 0

    def add(self, relay: Relay, from_client: bool, data: bytes, came_ns: int, passed_ns: int) -> None:
        """These bytes came at came_ns and were passed on at passed_ns (0: not yet)."""
        self._passed.append((relay, from_client, data, came_ns, passed_ns))
        self._bytes += len(data)
        if len(self._passed) >= MOST_ENTRIES or self._bytes >= MOST_BYTES:
            self.catch_up()

    def catch_up(self) -> None:
        """Read all that has passed."""
        passed = self._passed
        if not passed:
            return
        self._passed = []
        self._bytes = 0
        for relay, from_client, data, came_ns, passed_ns in passed:
            if from_client:
                relay.read_requests(data, came_ns, passed_ns)
            else:
                relay.read_answers(data, came_ns, passed_ns)
