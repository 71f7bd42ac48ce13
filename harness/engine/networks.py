"""
Networks of a run, each with a small subnet out of a pool that belongs to nobody's machines.

198.18.0.0/15 is set aside for tests of network devices (RFC 2544), so it is in nobody's house or office; a block that
this machine routes or another network holds already is passed over all the same. The engine's own default pools end at
about thirty networks.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any

from harness.engine.connect import Engine, EngineError
from harness.engine.labels import PART, RUN
from harness.errors import SetUpError

POOL = ip_network("198.18.0.0/15")
PREFIX = 27  # thirty addresses: a gateway, the proxy, the service and its replicas
SIDE_BY_SIDE = 4
MOST_TRIES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One network as it was made; `proxy` is the address kept for the run's proxy, `gateway` the engine's own."""

    name: str
    id: str
    proxy: str
    gateway: str

    def is_here(self) -> bool:
        """Whether an interface of this machine is in it: then its addresses are reached without any published port."""
        import psutil

        return any(one.address == self.gateway for found in psutil.net_if_addrs().values() for one in found)


def make_networks(engine: Engine, run_id: str, names: Sequence[str]) -> dict[str, Network]:
    """Make all of these; name -> network. Raises SetUpError when no block of the pool is free."""
    free = _free_blocks(_taken(engine), random.randrange(POOL.num_addresses // 2 ** (32 - PREFIX)))
    blocks = {name: [next(free) for _ in range(4)] for name in names}
    with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE) as pool:
        made = pool.map(lambda name: _make(engine, run_id, name, blocks[name]), names)
        return {network.name: network for network in made}


def _make(engine: Engine, run_id: str, name: str, blocks: Sequence[IPv4Network]) -> Network:
    from docker.types import IPAMConfig, IPAMPool

    problem: EngineError | None = None
    for block in blocks:
        hosts = list(block.hosts())
        ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=str(block), gateway=str(hosts[0]))])
        try:
            with engine.asking(f"make the network {name}") as api:
                answer: dict[str, Any] = api.create_network(
                    name, driver="bridge", ipam=ipam, labels={RUN: run_id, PART: "network"}
                )
        except EngineError as error:
            if "overlap" not in str(error):
                raise
            problem = error  # another run took it a moment ago
            continue
        return Network(name=name, id=answer["Id"], proxy=str(hosts[-1]), gateway=str(hosts[0]))
    raise SetUpError(f"{problem}", hint="too many networks at once; see: docker network ls, and harness clean")


def _taken(engine: Engine) -> list[IPv4Network]:
    """What this machine routes, and what the engine's networks hold."""
    found = list(_routes())
    with engine.asking("list networks") as api:
        for network in api.networks():
            for pool in (network.get("IPAM") or {}).get("Config") or ():
                subnet = pool.get("Subnet", "")
                if subnet and ":" not in subnet:
                    found.append(IPv4Network(subnet, strict=False))
    return found


def _routes() -> Iterator[IPv4Network]:
    """The networks of this machine's interfaces, where the operating system tells them."""
    import psutil

    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family.name == "AF_INET" and address.netmask:
                yield IPv4Network(f"{address.address}/{address.netmask}", strict=False)


def _free_blocks(taken: Sequence[IPv4Network], start: int) -> Iterator[IPv4Network]:
    """Blocks that overlap with nothing taken, from a start of the run's own so that runs side by side seldom meet."""
    size = 2 ** (32 - PREFIX)
    count = POOL.num_addresses // size
    for step in range(count):
        block = IPv4Network((int(POOL.network_address) + ((start + step) % count) * size, PREFIX))
        if not any(block.overlaps(other) for other in taken):
            yield block
    raise SetUpError(
        f"every block of {POOL} is taken by networks of the engine or of this machine", hint="harness clean"
    )
