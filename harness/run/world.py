"""
What faults ask for, answered by the parts of a rig: Toxiproxy, the gate, the topology.
"""

from __future__ import annotations

import http.client
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from harness.children import Emit
from harness.clock import NS_PER_S, Clock
from harness.errors import HarnessError
from harness.links.base import RequestFaults, Toxics
from harness.topology.base import CanKill, CanKillOne, CanLimit, CanPause, CanStop

GATE_FAULT_LIFE_S = 3600.0  # a gate fault that nobody takes back goes inert by itself
REQUEST_LIMIT_S = 5.0  # longest silence of a service that an operator's request bears
_STREAMS = ("upstream", "downstream")
MOST_SAID = 300  # bytes of a refusal that are told


class Hurts(CanKill, CanStop, CanPause, Protocol):
    """A topology with every ability that today's faults of services ask for."""


class RunWorld:
    """The World of one run (see faults/base.py)."""

    def __init__(
        self, *, toxiproxy: Toxics, gate: RequestFaults, topology: Hurts,
        address: Callable[[str], tuple[str, int]], emit: Emit, seed: int, clock: Clock, links: Sequence[str] = (),
        groups: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:  # fmt: skip
        """
        address: where a service itself listens, past its links. links: the names of all of them. groups: the system's,
        services by name.
        """
        self._links = tuple(links)
        self._groups = groups or {}
        self._toxiproxy, self._gate, self._topology = toxiproxy, gate, topology
        self._address, self._emit = address, emit
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

    def kill_only(self, service: str, program: str) -> None:
        if not isinstance(self._topology, CanKillOne):
            raise HarnessError(
                f"cannot kill {program} of {service} alone: services run here in a way that shows no processes"
            )
        self._topology.kill_only(service, program)

    def isolate(self, service: str, name: str, silent: bool) -> None:
        for link in self._around(service):
            if silent:
                for stream in _STREAMS:
                    self._toxiproxy.add_toxic(link, f"{name}-{stream}", "timeout", stream, 1.0, {"timeout": 0})
            else:
                self._toxiproxy.refuse(link)

    def reconnect(self, service: str, name: str, silent: bool) -> None:
        for link in self._around(service):
            if silent:
                for stream in _STREAMS:
                    self._toxiproxy.remove_toxic(link, f"{name}-{stream}")
            else:
                self._toxiproxy.accept(link)

    def _around(self, service: str) -> list[str]:
        """The links to and from a service."""
        found = [link for link in self._links if service in link.split("->")]
        if not found:
            raise HarnessError(f"{service} has no link that could be cut")
        return found

    def stop(self, service: str) -> None:
        self._topology.stop(service)

    def start(self, service: str) -> None:
        self._topology.start(service)

    def pause(self, service: str) -> None:
        self._topology.pause(service)

    def resume(self, service: str) -> None:
        self._topology.resume(service)

    def limit(self, service: str, cpus: float | None, memory_bytes: int | None) -> None:
        self._can_limit(service).limit(service, cpus, memory_bytes)

    def unlimit(self, service: str) -> None:
        self._can_limit(service).unlimit(service)

    def _can_limit(self, service: str) -> CanLimit:
        if not isinstance(self._topology, CanLimit):
            raise HarnessError(
                f"cannot limit {service}: it runs as a process here, and only containers can be held to less",
                hint="--backend compose",
            )
        return self._topology

    def wait(self, span_s: float) -> None:
        self._clock.sleep_s(span_s)

    def group(self, name: str) -> tuple[str, ...]:
        if name not in self._groups:
            raise HarnessError(f"the system has no group {name!r}; there are: {', '.join(self._groups) or 'none'}")
        return self._groups[name]

    def request(self, service: str, method: str, path: str, body: dict[str, Any]) -> None:
        status = send_json(self._address(service), method, path, body)
        self._emit("service.answered", service, {"method": method, "path": path, "status": status})


def send_json(address: tuple[str, int], method: str, path: str, body: dict[str, Any]) -> int:
    """One request on a connection of its own; the status of the answer. Raises HarnessError if it is no yes."""
    host, port = address
    connection = http.client.HTTPConnection(host, port, timeout=REQUEST_LIMIT_S)
    what = f"{method} http://{host}:{port}{path}"
    try:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        connection.request(method, path, json.dumps(body), headers)
        answer = connection.getresponse()
        said = answer.read(MOST_SAID).decode(errors="replace")
    except (http.client.HTTPException, OSError) as error:
        raise HarnessError(f"{what} was not answered: {error or type(error).__name__}") from error
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        raise HarnessError(f"{what} was answered with status {answer.status}, not with 200 to 299: {said}")
    return answer.status
