"""
What a link is to the hands that build it: four addresses and a name.

    client -> listen (gate) -> proxy (Toxiproxy) -> upstream (the service)

The gate and the Toxiproxy code share this one description and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

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
