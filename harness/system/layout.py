"""
Which address everything of a run gets, inside the block of loopback addresses the run claimed.

Pure arithmetic on names: nothing is bound here. With a block `127.77`:

    services         127.77.1.1, .2, ...   on their own ports
    gate, per link   127.77.2.1, .2, ...   on the upstream's port
    Toxiproxy        127.77.3.1, .2, ...   on the upstream's port
    Toxiproxy's API  127.77.0.2:8474       gate control 127.77.0.3:8475

A gate listens on the upstream's own port, so a client told host and port in two values needs only the host changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.system.links import address_pattern
from harness.system.model import DATA_VARIABLE, Service, System, SystemLink

Address = tuple[str, int]

PER_NET = 250  # addresses used of each /24
MOST = PER_NET * 84  # three kinds share the third number of the address, 1 to 252
TOXIPROXY_PORT = 8474
GATE_PORT = 8475
_EVERYWHERE = re.compile(r"(?<![\w.])0\.0\.0\.0(?![\w.]*\w)")
_OWN_HOST = re.compile(r"(?<![\w.-])(localhost|127\.0\.0\.1|0\.0\.0\.0)(?![\w-]|\.\w)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The addresses of one run; each is (host, port)."""

    prefix: str
    services: Mapping[str, Address]  # port 0: the service listens nowhere
    gates: Mapping[str, Address]  # by link
    proxies: Mapping[str, Address]  # by link
    toxiproxy_api: Address
    gate_control: Address

    def service(self, name: str) -> Address:
        """Where the service itself listens."""
        return self.services[name]

    def gate(self, link: str) -> Address:
        """Where the client of a link connects to."""
        return self.gates[link]

    def proxy(self, link: str) -> Address:
        """Where the gate of a link connects to: Toxiproxy."""
        return self.proxies[link]


def layout_of(system: System, prefix: str) -> Layout:
    """Addresses for a system inside a block such as `127.77`."""
    assert len(system.services) <= MOST
    assert len(system.links) <= MOST
    services = {
        name: (_address(prefix, 1, number), service.port or 0)
        for number, (name, service) in enumerate(system.services.items())
    }
    gates = {link.name: (_address(prefix, 2, number), link.port) for number, link in enumerate(system.links)}
    proxies = {link.name: (_address(prefix, 3, number), link.port) for number, link in enumerate(system.links)}
    return Layout(
        prefix=prefix,
        services=services,
        gates=gates,
        proxies=proxies,
        toxiproxy_api=(f"{prefix}.0.2", TOXIPROXY_PORT),
        gate_control=(f"{prefix}.0.3", GATE_PORT),
    )


def _address(prefix: str, kind: int, number: int) -> str:
    return f"{prefix}.{kind + 3 * (number // PER_NET)}.{number % PER_NET + 1}"


def rewrite(
    service: Service, system: System, layout: Layout, extra: Mapping[str, str] | None = None, *, data: str = "/data"
) -> tuple[tuple[str, ...], dict[str, str]]:
    """
    The service's command and environment with every name of another service replaced by an address.

    `payment:8080` becomes the gate of the link to payment, `0.0.0.0` the service's own address, its own
    name its own address. extra: values set over the file's own ones (a scenario's `with`), rewritten too.
    data: the folder that `${HARNESS_DATA}` in the Compose file stands for.
    """
    rewriter = _Rewriter(service, system, layout)
    environment = {**service.environment, **(extra or {})}
    argv = tuple(_EVERYWHERE.sub(rewriter.own, rewriter.text(word)) for word in service.command or ())
    values = {name: rewriter.value(name, text) for name, text in environment.items()}
    folder = "${" + DATA_VARIABLE + "}"
    return (
        tuple(word.replace(folder, data) for word in argv),
        {name: text.replace(folder, data) for name, text in values.items()},
    )


def rewrite_health(service: Service, system: System, layout: Layout) -> tuple[str, ...]:
    """The words of the service's health check: its own `localhost` is the address it was given."""
    rewriter = _Rewriter(service, system, layout)
    words: Sequence[str] = service.health.test if service.health else ()
    return tuple(_OWN_HOST.sub(rewriter.own, rewriter.text(word)) for word in words)


class _Rewriter:
    """Replaces names by addresses for one service."""

    def __init__(self, service: Service, system: System, layout: Layout) -> None:
        self.own = layout.service(service.name)[0]
        self._service = service
        self._layout = layout
        self._links: dict[str, SystemLink] = {
            link.upstream: link for link in system.links if link.client == service.name
        }
        self._pattern = address_pattern(system.services)

    def value(self, name: str, text: str) -> str:
        """One environment value; a bare host name only where a link says that this variable holds it."""
        for link in self._links.values():
            if link.variable == name and text == link.upstream:
                return self._layout.gate(link.name)[0]
        return _EVERYWHERE.sub(self.own, self.text(text))

    def text(self, text: str) -> str:
        return self._pattern.sub(self._address, text)

    def _address(self, found: re.Match[str]) -> str:
        name, port = found[1], int(found[2])
        link = self._links.get(name)
        if link is not None and link.port == port:
            return f"{self._layout.gate(link.name)[0]}:{port}"
        return f"{self._layout.service(name)[0]}:{port}"
