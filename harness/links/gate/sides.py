"""
The two ends of a relay as asyncio protocols: they only tell the relay what happened.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from harness.links.gate.link import Link
    from harness.links.gate.relay import Relay


class ClientSide(asyncio.Protocol):
    """The connection a client made to the gate."""

    __slots__ = ("_link", "_relay", "data_received")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._relay = link.new_relay()
        self.data_received = self._relay.from_client  # type: ignore[method-assign]  # saves a call for each read

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do everything of asyncio.Transport without being one
        self._link.client_came(self._relay, cast(asyncio.Transport, transport))

    def eof_received(self) -> bool:
        self._relay.client_ended()
        return True  # the relay closes, when the other side is through

    def pause_writing(self) -> None:
        self._relay.client_full()

    def resume_writing(self) -> None:
        self._relay.client_ready()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.client_lost(exc)


class UpstreamSide(asyncio.Protocol):
    """The connection the gate made to the upstream for it."""

    __slots__ = ("_relay", "data_received")

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.data_received = relay.from_upstream  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._relay.upstream_connected(cast(asyncio.Transport, transport))

    def eof_received(self) -> bool:
        self._relay.upstream_ended()
        return True

    def pause_writing(self) -> None:
        self._relay.upstream_full()

    def resume_writing(self) -> None:
        self._relay.upstream_ready()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.upstream_lost(exc)
