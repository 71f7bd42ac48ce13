"""
Reading along, a little later: bytes that have passed already are kept here and read in batches.

Reading a request and its answer one by one, each time after the loop has slept, costs several times what it costs in
one go, and it costs it while the other end waits. What passed is stamped when it passed, and read in that order over
all connections, so the log is the same as if it had been read at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.links.gate.relay import Relay

LATER_S = 0.002
MOST_ENTRIES = 64  # a batch holds the loop up for about half a millisecond
MOST_BYTES = 1024 * 1024


class ReadingLater:
    """One for all links of a gate. Everything but plain passing on calls catch_up() first."""

    __slots__ = ("_bytes", "_loop", "_passed", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._passed: list[tuple[Relay, bool, bytes, int, int]] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, relay: Relay, from_client: bool, data: bytes, came_ns: int, passed_ns: int) -> None:
        """These bytes came at came_ns and were passed on at passed_ns (0: not yet)."""
        self._passed.append((relay, from_client, data, came_ns, passed_ns))
        self._bytes += len(data)
        if len(self._passed) >= MOST_ENTRIES or self._bytes >= MOST_BYTES:
            self.catch_up()
        elif self._timer is None:
            self._timer = self._loop.call_later(LATER_S, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
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
