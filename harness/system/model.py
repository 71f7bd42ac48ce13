"""
A system under test as its Compose file describes it: services, links, profiles, objectives, ledgers.

Data only, made by `compose_file.py`. No network, no processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

DATA_VARIABLE = "HARNESS_DATA"  # in a Compose file: a folder of the run's own; known only when the run starts


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """When a service counts as ready. Either an HTTP path on its port, or a command."""

    test: tuple[str, ...]  # the command as Compose has it, without CMD / CMD-SHELL
    shell: bool
    interval_s: float = 1.0
    timeout_s: float = 5.0
    retries: int = 3
    start_period_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePlace:
    """Where a service tells the state of the nodes it looks after, or its own."""

    of: Literal["instances", "redis"]
    path: str
    port: int | None = None  # None: the one others reach the service by


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service of the Compose file."""

    name: str
    command: tuple[str, ...] | None
    environment: dict[str, str]
    port: int | None  # the first port others reach it by
    working_dir: Path | None
    health: HealthCheck | None
    depends_on: dict[str, str]  # service -> service_started | service_healthy | service_completed_successfully
    stop_grace_s: float = 10.0
    ready_path: str | None = None  # x-harness: {ready: /actuator/health/readiness}; HTTP 200 there means ready
    actuator_path: str | None = None  # x-harness: {actuator: /actuator}; None: it has none
    replication_path: str | None = None  # x-harness: {replication: /replication}; None: it is no database node
    line: int | None = None  # where the Compose file declares it
    state: StatePlace | None = None  # x-harness: {state: {of: instances, path: /haproxy/state}}; None: it tells none
    direct: tuple[str, ...] = ()  # services it reaches past the proxies


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemLink:
    """One direction of dependency. `variable` is the environment value it was read from."""

    client: str  # a service, or "load"
    upstream: str
    port: int
    protocol: Literal["auto", "http", "raw"] = "auto"
    variable: str | None = None

    @property
    def name(self) -> str:
        return f"{self.client}->{self.upstream}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTemplate:
    """One kind of request of a profile. `{name}` in path, headers, json and key is drawn from the profile's data."""

    name: str  # POST /orders
    weight: float
    to: str  # the service it enters by
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    json: Any = None
    key: str | None = None  # template of the business key of the effect it asks for
    ok: tuple[int, ...] = ()  # good statuses; empty: every status below 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A weighted mix of requests, with the data they draw from.

    data: name -> {"integer": [low, high]} | {"choice": [...]} | {"unique": "prefix"} | {"earlier": name of a unique one};
    all draws come from the seed.
    """

    name: str
    requests: tuple[RequestTemplate, ...]
    data: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A service level objective, declared once for the system (OpenSLO's words: op, value, target)."""

    name: str
    indicator: Literal["availability", "latency"]
    of: str  # request name
    target: float  # least share of good requests
    limit_s: float | None = None  # latency: a request is good when it is answered well within this


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverObjective:
    """How long writes may be away when something fails (RTO), and what of the acknowledged may be lost (RPO)."""

    name: str
    ledger: str  # whose writes
    rto_s: float | None = None
    rpo_s: float | None = None
    rpo_writes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Where the effects of a kind of request can be read back, and which requests ask for them."""

    name: str
    service: str
    path: str
    asked_by: str  # request name whose business keys the ledger must hold
    read_by: str | None = None  # request name that reads one entry by its business key, and answers 404 without one
    key: str = "key"  # name of the field that holds the business key in an entry
    acknowledged: tuple[int, ...] = ()  # statuses that promise the effect; empty: every good one
    also: tuple[str, ...] = ()  # further services that keep a part of it
    settled_within_s: float = 0.0  # how long after the load an acknowledged effect may still be on its way

    @property
    def keepers(self) -> tuple[str, ...]:
        """Every service that keeps a part of it."""
        return (self.service, *self.also)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Services that stand or fall together. `data` says, for people, what becomes of their data meanwhile."""

    services: tuple[str, ...]
    data: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One system under test."""

    name: str
    file: Path
    services: dict[str, Service]
    links: tuple[SystemLink, ...]  # the entry links included, which come first
    profiles: dict[str, Profile]
    objectives: tuple[Objective, ...]
    ledgers: tuple[Ledger, ...]
    groups: dict[str, Group] = field(default_factory=dict)
    failovers: tuple[FailoverObjective, ...] = ()

    @property
    def members(self) -> dict[str, tuple[str, ...]]:
        """The services of each group."""
        return {name: group.services for name, group in self.groups.items()}

    @property
    def objective_names(self) -> list[str]:
        """What a promise can call by its name."""
        return [objective.name for objective in self.objectives] + [objective.name for objective in self.failovers]

    def link(self, name: str) -> SystemLink | None:
        return next((link for link in self.links if link.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """The system as JSON, as the journal keeps it."""
        data = asdict(self)
        data["file"] = str(self.file)
        for service in data["services"].values():
            service["working_dir"] = None if service["working_dir"] is None else str(service["working_dir"])
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> System:
        """The system that to_json wrote. Raises ValueError for anything else."""
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python(data)
