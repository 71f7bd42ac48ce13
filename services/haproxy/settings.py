"""
What the HAProxy launcher is told: pools of instances, how they are checked, what is tried again elsewhere.

`POOLS: order user` names the pools; each has `ORDER_PORT` (where clients come in) and `ORDER_SERVERS`, words such as
`order-1=order-1:18082`: the instance's name, then its address, so that whoever rewrites addresses leaves the name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.launcher.environment import Environment, address

_NAME = re.compile(r"[A-Za-z][\w.-]*")
_METHOD = re.compile(r"[A-Z]+")
BALANCES = ("roundrobin", "leastconn", "first")
RETRIABLE = (
    "conn-failure", "empty-response", "junk-response", "response-timeout", "0rtt-rejected", "500", "502", "503", "504",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One instance. A backup is asked only when no other server of its pool is up."""

    name: str
    host: str
    port: int
    backup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Instances that stand for each other, and the port clients reach them by."""

    name: str
    port: int
    servers: tuple[Server, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """How it is found out whether a server is well. Ejected after `fall` failures, readmitted after `rise` successes."""

    path: str
    interval_ms: int
    timeout_ms: int
    fall: int
    rise: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One HAProxy. Without redispatch a request that failed on its server fails for its client."""

    name: str
    host: str
    pools: tuple[Pool, ...]
    checks: Checks
    balance: str
    redispatch: bool
    retries: int
    retry_on: tuple[str, ...]
    retry_methods: tuple[str, ...]  # only these are sent a second time
    server_timeout_ms: int
    connections_per_server: int  # 0: as many as come
    queue_timeout_ms: int
    state_port: int
    api_port: int
    folder: Path

    @property
    def file(self) -> Path:
        """Where its configuration is written to, for HAProxy and for people."""
        return self.folder / f"{self.name}.cfg"


def read_settings(values: Mapping[str, str]) -> Settings:
    """The settings in an environment. Raises EnvironmentProblem with every mistake in it."""
    environment = Environment(values)
    name = environment.text("NAME", "haproxy")
    settings = Settings(
        name=name,
        host=environment.text("HOST", "0.0.0.0"),  # noqa: S104  # a container is reached from outside
        pools=_pools(environment),
        checks=Checks(
            path=environment.read("CHECK_PATH", "/actuator/health/readiness", _path, "/"),
            interval_ms=environment.span_ms("CHECK_INTERVAL", "250ms"),
            timeout_ms=environment.span_ms("CHECK_TIMEOUT", "500ms"),
            fall=environment.number("CHECK_FALL", "2", 1, 100),
            rise=environment.number("CHECK_RISE", "1", 1, 100),
        ),
        balance=environment.read("BALANCE", "roundrobin", _one_of_balances, "roundrobin"),
        redispatch=environment.switch("REDISPATCH", "on"),
        retries=environment.number("RETRIES", "2", 0, 10),
        retry_on=environment.read("RETRY_ON", "conn-failure empty-response response-timeout", _retriable, ()),
        retry_methods=environment.read("RETRY_METHODS", "GET HEAD", _methods, ()),
        server_timeout_ms=environment.span_ms("SERVER_TIMEOUT", "1500ms"),
        connections_per_server=environment.number("CONNECTIONS_PER_SERVER", "0"),
        queue_timeout_ms=environment.span_ms("QUEUE_TIMEOUT", "2s"),
        state_port=environment.port("STATE_PORT", "8404"),
        api_port=environment.port("API_PORT", "8405"),
        folder=Path(environment.text("DATA", "/data")),
    )
    environment.finish(name or "haproxy")
    return settings


def _pools(environment: Environment) -> tuple[Pool, ...]:
    pools = []
    for name in environment.read("POOLS", None, _names, ()):
        key = re.sub(r"\W", "_", name).upper()
        servers = environment.read(f"{key}_SERVERS", None, _servers, ())
        if f"{key}_BACKUPS" in environment.values:
            servers += environment.read(f"{key}_BACKUPS", None, _backups, ())
        twice = {s.name for s in servers if [o.name for o in servers].count(s.name) > 1}
        if twice:
            environment.mistakes.append(f"{key}_SERVERS: {', '.join(sorted(twice))} is there twice")
        pools.append(Pool(name=name, port=environment.port(f"{key}_PORT"), servers=servers))
    return tuple(pools)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(re.split(r"[,\s]+", text))
    wrong = [name for name in names if not _NAME.fullmatch(name)]
    if wrong or len(set(names)) < len(names):
        raise ValueError("write names of pools, each once: order user")
    return names


def _servers(text: str) -> tuple[Server, ...]:
    found = []
    for word in re.split(r"[,\s]+", text):
        name, _, place = word.partition("=")
        if not _NAME.fullmatch(name) or not place:
            raise ValueError(f"{word!r} is no instance; write name=host:port")
        host, port = address(place)
        found.append(Server(name=name, host=host, port=port))
    return tuple(found)


def _backups(text: str) -> tuple[Server, ...]:
    return tuple(Server(name=s.name, host=s.host, port=s.port, backup=True) for s in _servers(text))


def _path(text: str) -> str:
    if not re.fullmatch(r"/[!-~]*", text):
        raise ValueError("write a path: /health")
    return text


def _one_of_balances(text: str) -> str:
    if text not in BALANCES:
        raise ValueError(f"write one of {', '.join(BALANCES)}")
    return text


def _retriable(text: str) -> tuple[str, ...]:
    words = tuple(re.split(r"[,\s]+", text))
    if not set(words) <= set(RETRIABLE):
        raise ValueError(f"write some of {', '.join(RETRIABLE)}")
    return words


def _methods(text: str) -> tuple[str, ...]:
    words = tuple(re.split(r"[,\s]+", text))
    if not all(_METHOD.fullmatch(word) for word in words):
        raise ValueError("write HTTP methods: GET HEAD POST")
    return words
