"""
Processes known by pid and birth, their trees, and ending them for certain.

A pid alone names nobody: the kernel gives it to somebody else later. So a
process is a pid with its time of birth, and nothing here signals a process
whose birth does not fit. Only psutil is imported: the watchdog lives on this.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from harness.topology.base import Look

BIRTH_TOLERANCE_S = 1.5  # the kernel's boot time, to which births are added, wobbles by a second between two readings
_PACE_S = 0.02
_STOPPED = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process and no other. born_s is seconds since the epoch, as psutil gives it."""

    pid: int
    born_s: float

    def process(self) -> psutil.Process | None:
        """The process itself; None when it is gone, a zombie, or its pid belongs to another one by now."""
        process = process_of(self.pid)
        if process is None or not running(process):
            return None
        try:
            return process if abs(process.create_time() - self.born_s) <= BIRTH_TOLERANCE_S else None
        except psutil.Error:
            return None


def process_of(pid: int) -> psutil.Process | None:
    """The process that has this pid now; None when there is none or it may not be looked at."""
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def identity_of(pid: int) -> Identity | None:
    """Who has this pid now, zombies included; None when nobody has."""
    process = process_of(pid)
    try:
        return None if process is None else Identity(pid=pid, born_s=process.create_time())
    except psutil.Error:
        return None


def running(process: psutil.Process) -> bool:
    """Whether a process is still there; a zombie only waits to be counted and is not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def carries(process: psutil.Process, variable: str, value: str) -> bool:
    """Whether a process was started with this value in its environment; False when that may not be read."""
    try:
        return process.environ().get(variable) == value
    except (psutil.Error, OSError, ValueError):
        return False


def carriers(variable: str, value: str, spare: frozenset[int] = frozenset()) -> list[psutil.Process]:
    """Everybody who carries the tag, whoever's child it is. Only one's own processes, for the superuser all."""
    # Not process_iter: its memory would miss a pid that changed hands. Others' environments may not be read anyway.
    candidates = [process_of(pid) for pid in psutil.pids() if pid not in spare]
    return [process for process in candidates if process is not None and carries(process, variable, value)]


def family(roots: Iterable[psutil.Process], spare: frozenset[int] = frozenset()) -> list[psutil.Process]:
    """The roots that are running and everybody below them, parents before their children; never one of `spare`."""
    found: dict[int, psutil.Process] = {}
    for root in sorted(roots, key=_born_s):
        if root.pid in found or root.pid in spare:
            continue
        found[root.pid] = root
        try:
            below = root.children(recursive=True)
        except psutil.Error:
            continue
        found.update((process.pid, process) for process in below if process.pid not in found)
    return [process for process in found.values() if process.pid not in spare and running(process)]


def topmost(processes: Sequence[psutil.Process], program: str) -> psutil.Process | None:
    """
    The first process, parents before children, whose program has this name. `postmaster` is PostgreSQL's own name for
    the topmost `postgres`.
    """
    names = {program, "postgres"} if program == "postmaster" else {program}
    for process in processes:
        try:
            if process.name() in names:
                return process
        except psutil.Error:
            continue
    return None


def _born_s(process: psutil.Process) -> float:
    try:
        return process.create_time()
    except psutil.Error:
        return 0.0


def lineage() -> frozenset[int]:
    """Pids of this process and its ancestors: whoever cleans up must not saw off its own branch."""
    return frozenset({os.getpid(), *(parent.pid for parent in psutil.Process().parents())})


def tagged(
    variable: str, value: str, *, leased: Iterable[Identity] = (), spare: frozenset[int] = frozenset()
) -> list[psutil.Process]:
    """Everybody who carries the tag or is leased, with all descendants; parents first, never one of `spare`."""
    held = [process for identity in leased if (process := identity.process()) is not None]
    return family([*carriers(variable, value, spare), *held], spare)


def signal_all(processes: Iterable[psutil.Process], number: int) -> None:
    """Send a signal to each; one that is gone, or is somebody else by now, gets none."""
    for process in processes:
        try:
            process.send_signal(number)
        except (psutil.Error, OSError):
            continue


def stopped(process: psutil.Process) -> bool:
    """Whether a process is held by SIGSTOP; one that is gone cannot run either and counts as held."""
    try:
        return process.status() in (*_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True


def look_at(process: psutil.Process) -> Look:
    """A process as the process table has it now; `gone` when it is."""
    try:
        times = process.cpu_times()
        return Look(
            pid=process.pid,
            status=str(process.status()),
            cpu_s=times.user + times.system,
            rss_bytes=process.memory_info().rss,
        )
    except psutil.Error:
        return Look(pid=process.pid, status="gone")


def describe(process: psutil.Process) -> str:
    """A process for people: its program and pid."""
    try:
        return f"{process.name()} (pid {process.pid})"
    except psutil.Error:
        return f"pid {process.pid}"


def kill_until_gone(
    find: Callable[[], Sequence[psutil.Process]],
    *,
    limit_s: float,
    quiet_s: float = 0.0,
    reap: Callable[[], object] = lambda: None,
    now_s: Callable[[], float] = time.monotonic,
    sleep_s: Callable[[float], None] = time.sleep,
) -> tuple[Mapping[int, str], list[str]]:
    """
    Send SIGKILL to whoever `find` finds, again and again, until nobody is found for quiet_s.

    A process that forks while the list is being made is caught by the next look. `reap` is called before
    each look so that children of one's own do not stay as zombies. Returns who was ended (pid -> name) and
    who is left when limit_s is over.
    """
    ended: dict[int, str] = {}
    deadline_s = now_s() + limit_s
    empty_since_s: float | None = None
    while True:
        found = find()
        ended.update((process.pid, describe(process)) for process in found if process.pid not in ended)
        for process in found:
            try:
                process.kill()
            except (psutil.Error, OSError):
                continue
        at_s = now_s()
        if found:
            empty_since_s = None
        elif empty_since_s is None:
            empty_since_s = at_s
        if empty_since_s is not None and at_s - empty_since_s >= quiet_s:
            return ended, []
        if at_s >= deadline_s:
            return ended, [describe(process) for process in found if running(process)]
        sleep_s(_PACE_S)
        reap()
