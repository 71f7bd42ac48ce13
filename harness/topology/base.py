"""
What a topology is: whoever starts the services of a system and stops them again.

What else one can do to services is separate: the conductor asks a topology for
an ability, never for its kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How one service is started as a process. env is added to the runner's own; port None: it listens nowhere."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    host: str = "127.0.0.1"
    port: int | None = None


class Topology(Protocol):
    """Starts the services and stops them again."""

    def up(self) -> None:
        """Start every service in the order of its dependencies and wait until all are ready. Raises SetUpError."""
        ...

    def down(self) -> None:
        """Stop everything that up started. Safe to call twice, and while up is still at it."""
        ...

    def poll(self) -> None:
        """Note services that ended by themselves."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """
    One service as it was found a moment ago: its root process, that one's state and what it has used so far.

    status is a word of psutil's: `running`, `sleeping`, `stopped` (paused), `gone`. cpu_s and rss_bytes None: not known.
    """

    pid: int
    status: str
    cpu_s: float | None = None
    rss_bytes: int | None = None


@runtime_checkable
class CanBeWatched(Protocol):
    """A topology that can look at its services without asking them."""

    def looks(self) -> dict[str, Look]:
        """Every service that is not known to be down, as it is now."""
        ...


@runtime_checkable
class CanKill(Protocol):
    """A topology that can end one service without warning, and start it again. Calls raise HarnessError."""

    def kill(self, service: str) -> None:
        """SIGKILL the whole process tree; hitting nothing is an error."""
        ...

    def start(self, service: str) -> None:
        """Start a service that is down and wait until it is ready; does nothing when it runs."""
        ...


@runtime_checkable
class CanKillOne(Protocol):
    """A topology that can end a single process of a service."""

    def kill_only(self, service: str, program: str) -> None:
        """SIGKILL the topmost process that runs a program; hitting nothing is an error."""
        ...


@runtime_checkable
class CanStop(Protocol):
    """A topology that can ask one service to end, and end it after its grace time."""

    def stop(self, service: str) -> None: ...


@runtime_checkable
class CanPause(Protocol):
    """A topology that can freeze one service and thaw it."""

    def pause(self, service: str) -> None: ...

    def resume(self, service: str) -> None:
        """Thaw it; does nothing when it is not paused."""
        ...


@runtime_checkable
class CanLimit(Protocol):
    """A topology that can hold one service to a part of the machine. Calls raise HarnessError."""

    def limit(self, service: str, cpus: float | None, memory_bytes: int | None) -> None:
        """So many processors and bytes of memory; None: as many as before."""
        ...

    def unlimit(self, service: str) -> None:
        """Give back what it had; does nothing when it is not limited."""
        ...


@runtime_checkable
class HasProcesses(Protocol):
    """A topology whose services are processes of this machine."""

    def processes(self) -> dict[str, psutil.Process]:
        """The root process of each service that runs now."""
        ...
