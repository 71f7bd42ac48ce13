"""
What the launchers of Redis and of its Sentinels are told by their environment.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.launcher.environment import Environment, address, loopback

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """One Redis server. announced: where others reach it; replica_of: its primary, None for a primary."""

    name: str
    host: str
    port: int
    state_port: int
    replica_of: Address | None
    announced: Address | None
    keeps: bool  # every write goes to an append-only file; a cache does without
    memory: str
    folder: Path

    @property
    def own(self) -> Address:
        """Where this launcher reaches it."""
        return loopback(self.host), self.port


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelSettings:
    """One Sentinel; quorum of them have to agree that the primary is gone."""

    name: str
    host: str
    port: int
    state_port: int
    monitor: Address
    announced: Address | None
    quorum: int
    down_after_ms: int
    failover_timeout_ms: int
    folder: Path

    @property
    def own(self) -> Address:
        return loopback(self.host), self.port


def read_node(values: Mapping[str, str]) -> NodeSettings:
    """Raises EnvironmentProblem with every mistake."""
    environment = Environment(values)
    name = environment.text("NAME", "redis")
    settings = NodeSettings(
        name=name,
        host=environment.text("HOST", "0.0.0.0"),  # noqa: S104  # a container is reached from outside
        port=environment.port("PORT", "6379"),
        state_port=environment.port("STATE_PORT", "6380"),
        replica_of=_maybe(environment, "REPLICA_OF"),
        announced=_maybe(environment, "ANNOUNCED"),
        keeps=environment.switch("KEEPS", "off"),
        memory=environment.text("MEMORY", "64mb"),
        folder=Path(environment.text("DATA", "/data")) / name,
    )
    environment.finish(name)
    return settings


def read_sentinel(values: Mapping[str, str]) -> SentinelSettings:
    """Raises EnvironmentProblem with every mistake."""
    environment = Environment(values)
    name = environment.text("NAME", "sentinel")
    settings = SentinelSettings(
        name=name,
        host=environment.text("HOST", "0.0.0.0"),  # noqa: S104  # a container is reached from outside
        port=environment.port("PORT", "26379"),
        state_port=environment.port("STATE_PORT", "26380"),
        monitor=environment.read("MONITOR", None, address, ("", 0)),
        announced=_maybe(environment, "ANNOUNCED"),
        quorum=environment.number("QUORUM", "2", 1, 99),
        down_after_ms=environment.span_ms("DOWN_AFTER", "500ms"),
        failover_timeout_ms=environment.span_ms("FAILOVER_TIMEOUT", "5s"),
        folder=Path(environment.text("DATA", "/data")) / name,
    )
    environment.finish(name)
    return settings


def _maybe(environment: Environment, name: str) -> Address | None:
    return environment.read(name, None, address, None) if environment.values.get(name) else None


def resolved(place: Address | None) -> Address | None:
    """The same place by its number: Sentinels pass on addresses, and compare them as they are. Raises OSError."""
    return None if place is None else (socket.gethostbyname(place[0]), place[1])
