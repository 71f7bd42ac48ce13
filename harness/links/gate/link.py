"""
One link at the gate: where it listens, where it connects, which faults are on, which connections are open.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from harness.clock import NS_PER_S
from harness.links.gate.config import GateLink
from harness.links.gate.exchanges import Exchange, LinkCounters
from harness.links.gate.faults import Decision, FaultSpec, LinkFaults
from harness.links.gate.later import ReadingLater
from harness.links.gate.log import WireLog
from harness.links.gate.relay import Relay
from harness.links.gate.sides import ClientSide, UpstreamSide

BACKLOG = 1024  # connections the machine keeps waiting for us; a burst must not be refused by the gate


class Link:
    """See the module. `numbers` gives connections their numbers, unique over all links of the gate."""

    def __init__(
        self,
        spec: GateLink,
        *,
        log: WireLog,
        later: ReadingLater,
        loop: asyncio.AbstractEventLoop,
        numbers: Iterator[int],
    ) -> None:
        self.name = spec.name
        self.protocol = spec.protocol
        self.log = log
        self.later = later
        self.loop = loop
        self.counters = LinkCounters()
        self.faults = LinkFaults()
        self.relays: set[Relay] = set()
        self._spec = spec
        self._numbers = numbers
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Bind the listener. Raises OSError when the port is taken."""
        host, port = self._spec.listen
        self._server = await self.loop.create_server(lambda: ClientSide(self), host, port, backlog=BACKLOG)

    def new_relay(self) -> Relay:
        """A relay for a connection that is just being taken."""
        return Relay(self, next(self._numbers))

    def client_came(self, relay: Relay, transport: asyncio.Transport) -> None:
        """A client connected: connect to the upstream for it."""
        relay.client = transport
        self.counters.connections += 1
        self.relays.add(relay)
        relay.connect_task = self.loop.create_task(self._connect(relay))

    async def _connect(self, relay: Relay) -> None:
        host, port = self._spec.upstream
        try:
            await self.loop.create_connection(lambda: UpstreamSide(relay), host, port)
        except OSError:
            relay.upstream_refused()

    def relay_ended(self, relay: Relay) -> None:
        """Both sides of a connection are gone."""
        self.relays.discard(relay)
        self.log.connection(self.name, relay)

    def decide(self, exchange: Exchange) -> Decision:
        """What the faults that are on do to this request."""
        return self.faults.decide(exchange.method or "", exchange.path or "", exchange.trace, time.monotonic_ns())

    def fault_on(self, name: str, spec: FaultSpec) -> None:
        """Switch a fault on, or renew it; it goes by itself when it expires."""
        self.later.catch_up()  # from here on each request is decided as it comes
        self.faults.switch_on(name, spec)
        if spec.expires_ns is not None:
            left_s = max(0.0, (spec.expires_ns - time.monotonic_ns()) / NS_PER_S)
            self.loop.call_later(left_s + 0.001, self._fault_expires, name)

    def _fault_expires(self, name: str) -> None:
        if any(fault.name == name and fault.expired(time.monotonic_ns()) for fault in self.faults):
            self.fault_off(name)

    def fault_off(self, name: str) -> dict[str, Any] | None:
        """Switch a fault off and let go what it holds; its counts, or None when it was not on, or no longer."""
        fault = self.faults.switch_off(name)
        if fault is None:
            return None
        for relay in list(self.relays):
            relay.fault_gone(name)
        if fault.expired(time.monotonic_ns()):
            return None
        return {"matched": fault.matched, "hits": fault.hits}

    def status(self) -> dict[str, Any]:
        """Counts for `status` and probes."""
        self.later.catch_up()
        return {
            "connections": self.counters.connections,
            "connections_open": len(self.relays),
            "exchanges": self.counters.exchanges,
            "in_flight": self.counters.in_flight,
            "faults": {fault.name: {"matched": fault.matched, "hits": fault.hits} for fault in self.faults},
        }

    def close(self) -> None:
        """Stop listening and end every connection."""
        self.later.catch_up()
        if self._server is not None:
            self._server.close()
        for relay in list(self.relays):
            relay.shut_down()
