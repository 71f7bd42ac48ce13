"""
Which network every container of a run joins, and under which names and ports the proxy stands in each.

Pure arithmetic on names: nothing is made here. Each service has a network of its own that it shares with the run's
proxy and with nobody else. In it the proxy answers to the names of the service's upstreams, on the upstreams' ports, so
a client notices nothing, cannot reach an upstream any other way, and two clients of one upstream are told apart. Where
two upstreams of one client have the same port, the second gets a further network of that client: the address
tells the links apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.system.layout import PER_NET, TOXIPROXY_PORT
from harness.system.model import System, SystemLink
from harness.words import LOAD_CLIENT

CONTROL = "control"  # the network that only the proxy joins
GATE_PORT = 8475
FIRST_ENTRY_PORT = 20000
FIRST_PASSAGE_PORT = 30000


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One network of one service. aliases: the names the proxy answers to in it."""

    name: str
    service: str
    links: tuple[str, ...]
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerLayout:
    """
    The networks of one run. listens: link -> (network, port) of the gate; proxies: link -> Toxiproxy inside the proxy;
    entries and passages: ports of the proxy in its control network, by link and by service.
    """

    segments: tuple[Segment, ...]
    listens: Mapping[str, tuple[str, int]]
    proxies: Mapping[str, tuple[str, int]]
    entries: Mapping[str, int]
    passages: Mapping[str, int]
    api_port: int = TOXIPROXY_PORT
    gate_port: int = GATE_PORT

    def networks_of(self, service: str) -> tuple[str, ...]:
        """The networks a service joins; it is reached in the first."""
        return tuple(segment.name for segment in self.segments if segment.service == service)

    @property
    def published(self) -> tuple[int, ...]:
        """Ports of the proxy that the runner and the load must reach."""
        return (self.api_port, self.gate_port, *self.entries.values(), *self.passages.values())


def upstream_name(service: str) -> str:
    """The name by which the proxy finds the service itself; nobody else has it, wherever the proxy looks."""
    return f"harness-upstream-{service}"


def container_layout(system: System, names: Mapping[str, Sequence[str]] | None = None) -> ContainerLayout:
    """names: service -> further names that its clients may know it by (container_name, aliases)."""
    segments: list[Segment] = []
    listens: dict[str, tuple[str, int]] = {}
    for number, service in enumerate(system.services):
        links = [link for link in system.links if link.client == service]
        for part, group in enumerate(_groups(links)):
            name = f"s{number}" if part == 0 else f"s{number}-{part}"
            upstreams = [link.upstream for link in group]
            aliases = [alias for one in upstreams for alias in (one, *(names or {}).get(one, ()))]
            segments.append(
                Segment(
                    name=name, service=service, links=tuple(link.name for link in group),
                    aliases=tuple(dict.fromkeys(aliases)),
                )
            )  # fmt: skip
            listens.update({link.name: (name, link.port) for link in group})
    entries = {
        link.name: FIRST_ENTRY_PORT + number
        for number, link in enumerate(one for one in system.links if one.client == LOAD_CLIENT)
    }
    listens.update({name: (CONTROL, port) for name, port in entries.items()})
    return ContainerLayout(
        segments=tuple(segments),
        listens=listens,
        proxies={link.name: (_inside(number), link.port) for number, link in enumerate(system.links)},
        entries=entries,
        passages={
            name: FIRST_PASSAGE_PORT + number
            for number, (name, service) in enumerate(system.services.items())
            if service.port is not None
        },
    )


def _groups(links: Sequence[SystemLink]) -> list[list[SystemLink]]:
    """Links of one client in as few groups as their ports allow; a client without any has one empty group."""
    groups: list[list[SystemLink]] = [[]]
    for link in links:
        for group in groups:
            if all(other.port != link.port for other in group):
                group.append(link)
                break
        else:
            groups.append([link])
    return groups


def _inside(number: int) -> str:
    """A loopback address inside the proxy."""
    return f"127.10.{number // PER_NET}.{number % PER_NET + 1}"
