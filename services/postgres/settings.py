"""
What the launchers are told by their environment. Every mistake is told at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from services.postgres.problems import ConfigurationError

T = TypeVar("T")
Address = tuple[str, int]

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s)")
_SIZE = re.compile(r"([1-9]\d*)(MB|GB)")
_SWITCH = {"on": True, "true": True, "off": False, "false": False}
CHOICES = ("best", "worst")


@dataclass(slots=True)
class Environment:
    """Reads values one by one and keeps what is wrong with them."""

    values: Mapping[str, str]
    mistakes: list[str] = field(default_factory=list)

    def read(self, name: str, default: str | None, convert: Callable[[str], T]) -> T:
        """A value, converted; a mistake is kept, and `check` raises them all."""
        text = (self.values.get(name) or "").strip() or default
        if text is None:
            self.mistakes.append(f"{name} is not set")
        else:
            try:
                return convert(text)
            except ValueError as problem:
                self.mistakes.append(f"{name} is {text!r}: {problem}")
        return None  # type: ignore[return-value]  # check() raises before anybody uses it

    def check(self) -> None:
        """Raise ConfigurationError with all mistakes, if there are any."""
        if self.mistakes:
            raise ConfigurationError("; ".join(self.mistakes))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """What a node is told."""

    node: str
    host: str
    port: int  # of its own small HTTP interface
    postgres_port: int
    data: Path
    nodes: dict[str, Address]  # where each node's PostgreSQL is reached from here, its own included
    supervisor: Address | None
    database: str
    owner: str
    parameters: dict[str, str]
    disk_bytes: int | None  # the size of a disk of its own below `data`'s parent; None: the machine's
    reserve_bytes: int  # a primary with less room than this is not writable any more


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSettings:
    """What the supervisor is told. The last ones are where defects can be planted."""

    host: str
    port: int
    nodes: dict[str, Address]  # where each node's HTTP interface is reached from here
    primary: str  # which one begins as the primary
    switch: Address | None
    synchronous: bool
    relax_after_s: float | None  # how long writes may hang for want of a synchronous replica; None: for ever
    check_interval_s: float
    deadline_s: float
    misses: int
    fencing: bool
    choice: str  # best, worst, or the name of a node
    catch_up: bool  # whether a planned switchover looks that nothing is missing
    wait_for: int  # how many replicas a synchronous commit waits for


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchSettings:
    """What the switch of the write address is told."""

    host: str
    port: int  # where writers connect
    control_port: int
    nodes: dict[str, Address]
    hold_s: float  # how long a new connection waits for a target before it is closed


def read_node(values: Mapping[str, str]) -> NodeSettings:
    """Raises ConfigurationError."""
    environment = Environment(values)
    settings = NodeSettings(
        node=environment.read("NODE", None, name),
        host=environment.read("HOST", "127.0.0.1", str),
        port=environment.read("PORT", "8008", port),
        postgres_port=environment.read("POSTGRES_PORT", "5432", port),
        data=environment.read("DATA", None, Path),
        nodes=environment.read("NODES", None, nodes),
        supervisor=environment.read("SUPERVISOR", "none", lambda text: None if text == "none" else address(text)),
        database=environment.read("DATABASE", "shop", name),
        owner=environment.read("OWNER", "shop", name),
        parameters=environment.read("PARAMETERS", "none", parameters),
        disk_bytes=environment.read("DISK", "none", lambda text: None if text == "none" else size(text)),
        reserve_bytes=environment.read("RESERVE", "1MB", lambda text: 0 if text == "none" else size(text)),
    )
    environment.check()
    if settings.node not in settings.nodes:
        raise ConfigurationError(f"NODE is {settings.node!r}, which NODES does not name: {', '.join(settings.nodes)}")
    if settings.disk_bytes is not None:  # its own folder holds the disk, so that more than the data can be on it
        settings = replace(settings, data=settings.data / "cluster")
    if settings.supervisor is None and len(settings.nodes) > 1:
        raise ConfigurationError(f"NODES names {len(settings.nodes)} nodes, and SUPERVISOR nobody who leads them")
    return settings


def read_supervisor(values: Mapping[str, str]) -> SupervisorSettings:
    """Raises ConfigurationError."""
    environment = Environment(values)
    settings = SupervisorSettings(
        host=environment.read("HOST", "127.0.0.1", str),
        port=environment.read("PORT", "8010", port),
        nodes=environment.read("NODES", None, nodes),
        primary=environment.read("PRIMARY", None, name),
        switch=environment.read("SWITCH", "none", lambda text: None if text == "none" else address(text)),
        synchronous=environment.read("SYNCHRONOUS", "off", switch),
        relax_after_s=environment.read("RELAX_AFTER", "never", lambda text: None if text == "never" else span_s(text)),
        check_interval_s=environment.read("CHECK_INTERVAL", "100ms", span_s),
        deadline_s=environment.read("DEADLINE", "500ms", span_s),
        misses=environment.read("MISSES", "3", count),
        fencing=environment.read("FENCING", "on", switch),
        choice=environment.read("CHOICE", "best", str),
        catch_up=environment.read("CATCH_UP", "on", switch),
        wait_for=environment.read("WAIT_FOR", "1", count),
    )
    environment.check()
    if settings.primary not in settings.nodes:
        raise ConfigurationError(f"PRIMARY is {settings.primary!r}, which is none of {', '.join(settings.nodes)}")
    if settings.choice not in (*CHOICES, *settings.nodes):
        known = ", ".join((*CHOICES, *settings.nodes))
        raise ConfigurationError(f"CHOICE is {settings.choice!r}, it must be one of {known}")
    if settings.synchronous and len(settings.nodes) < 2:
        raise ConfigurationError("SYNCHRONOUS is on, and there is no replica to wait for")
    if settings.wait_for >= max(2, len(settings.nodes)):
        raise ConfigurationError(f"WAIT_FOR is {settings.wait_for}, and there are {len(settings.nodes) - 1} replicas")
    return settings


def read_switch(values: Mapping[str, str]) -> SwitchSettings:
    """Raises ConfigurationError."""
    environment = Environment(values)
    settings = SwitchSettings(
        host=environment.read("HOST", "127.0.0.1", str),
        port=environment.read("PORT", "5432", port),
        control_port=environment.read("CONTROL_PORT", "8009", port),
        nodes=environment.read("NODES", None, nodes),
        hold_s=environment.read("HOLD", "2s", span_s),
    )
    environment.check()
    return settings


def name(text: str) -> str:
    """A plain lower-case word: it stands in SQL and in file names. Raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError("it must be a lower-case word of letters, digits and _")
    return text


def port(text: str) -> int:
    """Raises ValueError."""
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ValueError("it must be a port, 1 to 65535")
    return int(text)


def count(text: str) -> int:
    """Raises ValueError."""
    if not text.isdigit() or int(text) < 1:
        raise ValueError("it must be a whole number from 1")
    return int(text)


def span_s(text: str) -> float:
    """`100ms`, `2s`. Raises ValueError."""
    found = _SPAN.fullmatch(text)
    if found is None or float(found[1]) <= 0:
        raise ValueError("it must be a time above zero such as 100ms or 2s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def size(text: str) -> int:
    """`64MB`, `1GB`, in bytes. Raises ValueError."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError("it must be a size above zero such as 64MB")
    return int(found[1]) << (20 if found[2] == "MB" else 30)


def switch(text: str) -> bool:
    """Raises ValueError."""
    if text.lower() not in _SWITCH:
        raise ValueError("write on or off")
    return _SWITCH[text.lower()]


def address(text: str) -> Address:
    """`host:port`. Raises ValueError."""
    host, sign, number = text.rpartition(":")
    if not sign or not host:
        raise ValueError("write host:port")
    return host, port(number)


def nodes(text: str) -> dict[str, Address]:
    """`pg0=host:port,pg1=host:port`. Raises ValueError."""
    found: dict[str, Address] = {}
    for item in text.split(","):
        one, sign, where = item.strip().partition("=")
        if not sign:
            raise ValueError(f"{item!r} is not name=host:port")
        if one in found:
            raise ValueError(f"{one} stands there twice")
        found[name(one)] = address(where)
    return found


def parameters(text: str) -> dict[str, str]:
    """PostgreSQL's own, `fsync=off,work_mem=8MB`; `none` for none. Raises ValueError."""
    if text == "none":
        return {}
    found = {}
    for item in text.split(","):
        key, sign, value = item.strip().partition("=")
        if not sign or not _NAME.fullmatch(key):
            raise ValueError(f"{item!r} is not parameter=value")
        found[key] = value
    return found
