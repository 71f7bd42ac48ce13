"""
What a container may use of the machine, taken and given back; and how often it would have used more.
"""

from __future__ import annotations

from typing import Any

from harness.engine.connect import Engine
from harness.engine.usage import Strain, strain
from harness.errors import HarnessError
from harness.topology.container import Container

PERIOD_US = 100_000  # of the kernel's accounts: in each of them the quota may be used


class Limits:
    """The limits that are on, by service. Errors are HarnessError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._on: dict[str, tuple[dict[str, int], Strain]] = {}

    def take(self, one: Container, cpus: float | None, memory_bytes: int | None) -> dict[str, Any]:
        """Hold a container to this; the facts of the event, as the engine has them afterwards."""
        if one.service in self._on:
            raise HarnessError(f"cannot limit {one.service}: it is limited already")
        had = self._had(one, cpus, memory_bytes)
        self._on[one.service] = had, strain(one.pid, one.id)  # before the deed: what fails half-way is undone, too
        wanted: dict[str, int] = {}
        if cpus is not None:
            wanted = {"cpu_period": PERIOD_US, "cpu_quota": round(cpus * PERIOD_US)}
        if memory_bytes is not None:
            wanted |= {"mem_limit": memory_bytes, "memswap_limit": memory_bytes}
        self._update(one, wanted)
        host = self._host_config(one)
        return one.facts(
            cpus=host["CpuQuota"] / host["CpuPeriod"] if cpus is not None else None,
            memory_bytes=host["Memory"] if memory_bytes is not None else None,
        )

    def give_back(self, one: Container) -> dict[str, Any] | None:
        """Give it what it had; the event's facts with what it was kept from meanwhile, None when it was not limited."""
        if one.service not in self._on:
            return None
        had, before = self._on[one.service]
        after = strain(one.pid, one.id)
        self._update(one, had)
        del self._on[one.service]
        return one.facts(
            throttled_s=_more(before.throttled_s, after.throttled_s), memory_hits=_more(before.hits, after.hits)
        )

    def _had(self, one: Container, cpus: float | None, memory_bytes: int | None) -> dict[str, int]:
        """How to give back what it had: no quota is -1; no limit of memory is all that the machine has."""
        host = self._host_config(one)
        had: dict[str, int] = {}
        if cpus is not None:
            if host["NanoCpus"]:
                raise HarnessError(
                    f"cannot limit the processors of {one.service}: its Compose file does already, to "
                    f"{host['NanoCpus'] / 1e9:g}, and the engine cannot change that while it runs"
                )
            had["cpu_quota"] = host["CpuQuota"] or -1
        if memory_bytes is not None:
            with self._engine.asking("ask for the machine's memory") as api:
                whole = int(api.info()["MemTotal"])
            # Engine 20.10 takes no -1 here; swap counts memory, too, so twice the machine's is no limit of it.
            had |= {"mem_limit": host["Memory"] or whole, "memswap_limit": host["MemorySwap"] or 2 * whole}
        return had

    def _host_config(self, one: Container) -> dict[str, Any]:
        with self._engine.asking(f"look at the limits of {one.service}") as api:
            found: dict[str, Any] = api.inspect_container(one.id)["HostConfig"]
        return found

    def _update(self, one: Container, wanted: dict[str, int]) -> None:
        with self._engine.asking(f"limit {one.service}") as api:
            api.update_container(one.id, **wanted)


def _more(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else round(after - before, 3)
