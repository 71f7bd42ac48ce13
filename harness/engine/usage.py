"""
What a container has used, read from its control group where the engine runs on this very machine.

The engine's own answer takes a second for each container (version 20.10, measured), which is too long for an observer
that looks twice a second. Where the groups are not to be seen (another machine, a virtual one) nothing is known.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
PROCESSES = Path("/proc")

Usage = tuple[float | None, int | None]
NOTHING: Usage = (None, None)


def used(pid: int, container: str, *, groups: Path = GROUPS, processes: Path = PROCESSES) -> Usage:
    """Seconds of processor and bytes of memory of the container whose root process is pid; None: not known."""
    places = _places(pid, container, processes)
    if "cpuacct" in places:
        cpu_ns = _number(groups / "cpuacct" / places["cpuacct"] / "cpuacct.usage")
        memory = _number(groups / "memory" / places.get("memory", "") / "memory.usage_in_bytes")
        return None if cpu_ns is None else cpu_ns / 1e9, memory
    if "" in places:
        folder = groups / places[""]
        cpu_us = _field(folder / "cpu.stat", "usage_usec")
        return None if cpu_us is None else cpu_us / 1e6, _number(folder / "memory.current")
    return NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Strain:
    """How long a container had to wait for a processor that it may not use, how often memory was refused; None: not known."""

    throttled_s: float | None = None
    hits: int | None = None


def strain(pid: int, container: str, *, groups: Path = GROUPS, processes: Path = PROCESSES) -> Strain:
    """What the limits of the container whose root process is pid have kept it from so far."""
    places = _places(pid, container, processes)
    if "cpu" in places:
        throttled_ns = _field(groups / "cpu" / places["cpu"] / "cpu.stat", "throttled_time")
        hits = _number(groups / "memory" / places.get("memory", "") / "memory.failcnt")
        return Strain(throttled_s=None if throttled_ns is None else throttled_ns / 1e9, hits=hits)
    if "" in places:
        throttled_us = _field(groups / places[""] / "cpu.stat", "throttled_usec")
        hits = _field(groups / places[""] / "memory.events", "max")
        return Strain(throttled_s=None if throttled_us is None else throttled_us / 1e6, hits=hits)
    return Strain()


def _places(pid: int, container: str, processes: Path) -> dict[str, str]:
    """Controller -> its group, of the container whose root process is pid; the unified hierarchy's has no name."""
    try:
        lines = (processes / str(pid) / "cgroup").read_text("utf-8").splitlines()
    except OSError:
        return {}
    places: dict[str, str] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if container in path:  # a pid of another machine names somebody else here
            places.update(dict.fromkeys(controllers.split(","), path.lstrip("/")))
    return places


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_text("utf-8"))
    return None


def _field(path: Path, name: str) -> int | None:
    with suppress(OSError, ValueError):
        for line in path.read_text("utf-8").splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return None
