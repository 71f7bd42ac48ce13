"""
What a link is to the hands that build it: four addresses and a name.

    client -> listen (gate) -> proxy (Toxiproxy) -> upstream (the service)

The gate and the Toxiproxy code share this one description and nothing else. What a run asks of the two stands here as
well: whether they are processes or sit in a container is nobody's business but of whoever starts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Literal
from typing import Protocol as Interface

Address = tuple[str, int]
Protocol = Literal["auto", "http", "raw"]


def is_loopback(address: Address) -> bool:
    """Whether only this machine can reach it: what steers a run listens nowhere else."""
    try:
        return ip_address(address[0]).is_loopback
    except ValueError:
        return False


PROTOCOLS: tuple[Protocol, ...] = ("auto", "http", "raw")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """
    One link. The gate listens on `listen` and connects to `proxy`; Toxiproxy listens on `proxy` and connects to
    `upstream`. `protocol` is what the gate takes the bytes for; with `auto` the first bytes decide.
    """

    name: str
    listen: Address
    proxy: Address
    upstream: Address
    protocol: Protocol


class Toxics(Interface):
    """What does the faults of TCP: a Toxiproxy, wherever it runs. Every call raises HarnessError."""

    def add_toxic(  # noqa: PLR0917  as World has it
        self, link: str, name: str, kind: str, stream: str, toxicity: float, attributes: Mapping[str, int]
    ) -> None:
        """Add a toxic in Toxiproxy's own names and units, and read it back."""
        ...

    def remove_toxic(self, link: str, name: str) -> None:
        """Remove a toxic and see that it is gone; does nothing when it is not there."""
        ...

    def refuse(self, link: str) -> None:
        """Cut a link's connections and take no more."""
        ...

    def accept(self, link: str) -> None:
        """Take connections again; does nothing when it does."""
        ...


class RequestFaults(Interface):
    """What does the faults of single requests: a gate, wherever it runs. Every call raises HarnessError."""

    def fault_on(self, name: str, link: str, spec: Mapping[str, Any]) -> int:
        """Switch a fault on (spec as in gate/faults.py), or renew it; returns the monotonic instant it held from."""
        ...

    def fault_off(self, name: str, link: str) -> dict[str, Any]:
        """Switch a fault off; safe to call twice."""
        ...
