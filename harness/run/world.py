"""
What faults ask for, answered by the parts of a rig: Toxiproxy, the gate, the topology.
"""

from __future__ import annotations

import zlib
from typing import Any

from harness.clock import NS_PER_S, Clock
from harness.links.gate_client import GateClient
from harness.links.toxiproxy import ToxiproxyServer
from harness.topology.processes import ProcessTopology

GATE_FAULT_LIFE_S = 3600.0  # a gate fault that nobody takes back goes inert by itself


class RunWorld:
    """The World of one run (see faults/base.py)."""

    def __init__(
        self, *, toxiproxy: ToxiproxyServer, gate: GateClient, topology: ProcessTopology, seed: int, clock: Clock
    ) -> None:
        self._toxiproxy, self._gate, self._topology = toxiproxy, gate, topology
        self._seed = seed
        self._clock = clock

    def add_toxic(  # noqa: PLR0917  # as World has it
        self, link: str, name: str, kind: str, stream: str, toxicity: float, attributes: dict[str, int]
    ) -> None:
        self._toxiproxy.add_toxic(link, name, kind, stream, toxicity, attributes)

    def remove_toxic(self, link: str, name: str) -> None:
        self._toxiproxy.remove_toxic(link, name)

    def refuse(self, link: str) -> None:
        self._toxiproxy.refuse(link)

    def accept(self, link: str) -> None:
        self._toxiproxy.accept(link)

    def add_gate_fault(self, link: str, name: str, spec: dict[str, Any]) -> None:
        seed = zlib.crc32(f"{self._seed}/{name}".encode())
        expires_ns = self._clock.now_ns() + round(GATE_FAULT_LIFE_S * NS_PER_S)
        self._gate.fault_on(name, link, {"seed": seed, "expires_ns": expires_ns, **spec})

    def remove_gate_fault(self, link: str, name: str) -> None:
        self._gate.fault_off(name, link)

    def kill(self, service: str) -> None:
        self._topology.kill(service)

    def stop(self, service: str) -> None:
        self._topology.stop(service)

    def start(self, service: str) -> None:
        self._topology.start(service)

    def pause(self, service: str) -> None:
        self._topology.pause(service)

    def resume(self, service: str) -> None:
        self._topology.resume(service)
