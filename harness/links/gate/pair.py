"""
Two transports that belong together: who reads, who waits, how a reset is passed on. Knows nothing of what passes.
"""

from __future__ import annotations

import asyncio
import socket
import struct

DRAIN_S = 1.0  # how long bytes that came before a reset may take to reach a slow reader
HELD, UPSTREAM_FULL, CLIENT_FULL = 1, 2, 4  # reasons not to read from the client
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Pair:
    """The client's transport and the upstream's; either is None before it is there and after it is gone."""

    __slots__ = (
        "_loop", "_not_reading", "_resetting", "client", "client_eof", "closed_by", "over", "upstream", "upstream_eof"
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.client: asyncio.Transport | None = None
        self.upstream: asyncio.Transport | None = None
        self.client_eof = False
        self.upstream_eof = False
        self.over = False  # we are closing both sides, or have
        self.closed_by = ""
        self._loop = loop
        self._resetting: asyncio.Transport | None = None  # to be reset once its last bytes are out
        self._not_reading = 0

    def first_to_close(self, side: str) -> None:
        """Remember which side ended it: client, upstream or gate. Later calls change nothing."""
        self.closed_by = self.closed_by or side

    def client_full(self) -> None:
        """The client does not read as fast as it is written to."""
        if self.upstream is not None and not self.upstream_eof and not self.over:
            _pause(self.upstream)

    def client_ready(self) -> None:
        """The client has caught up."""
        if self._resetting is not None and self._resetting is self.client:
            self._reset_now()
            return
        if self.upstream is not None and not self.upstream_eof and not self.over:
            _resume(self.upstream)
        self.read_client(CLIENT_FULL)

    def upstream_full(self) -> None:
        """The upstream does not read as fast as the client writes."""
        self.stop_reading_client(UPSTREAM_FULL)

    def upstream_ready(self) -> None:
        """The upstream has caught up."""
        if self._resetting is not None and self._resetting is self.upstream:
            self._reset_now()
            return
        self.read_client(UPSTREAM_FULL)

    def stop_reading_client(self, reason: int) -> None:
        """Take no more from the client until every reason is gone."""
        if not self._not_reading and self.client is not None and not self.client_eof and not self.over:
            _pause(self.client)
        self._not_reading |= reason

    def read_client(self, reason: int) -> None:
        """This reason not to read from the client is gone."""
        if not self._not_reading & reason:
            return
        self._not_reading &= ~reason
        if not self._not_reading and self.client is not None and not self.client_eof and not self.over:
            _resume(self.client)

    def client_is_there(self) -> bool:
        """False when a write to the client was answered by a reset."""
        if self.client is None or self.client.is_closing():
            return False
        connection = self.client.get_extra_info("socket")
        return connection is None or connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0

    def pass_reset_on(self, transport: asyncio.Transport | None) -> None:
        """Reset the other side too, after the bytes that came before the reset, but after DRAIN_S at the latest."""
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() == 0:
            reset_transport(transport)
            return
        self._resetting = transport
        transport.set_write_buffer_limits(high=0)  # so that we are told when the last byte is out
        self._loop.call_later(DRAIN_S, self._reset_now)

    def _reset_now(self) -> None:
        transport, self._resetting = self._resetting, None
        reset_transport(transport)


def reset_transport(transport: asyncio.Transport | None) -> None:
    """Close so that the other end gets a reset instead of an end."""
    if transport is None or transport.is_closing():
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


# A transport that failed is closed at once and says so a moment later; until then uvloop's raises at whatever is asked
# of it, asyncio's own says nothing. Nothing is the right answer: connection_lost is on its way.


def write(transport: asyncio.Transport, data: bytes) -> None:
    """Write, unless the transport has failed already."""
    if not transport.is_closing():
        transport.write(data)


def _pause(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        transport.pause_reading()


def _resume(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        transport.resume_reading()
