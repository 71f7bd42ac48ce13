"""
Ending a server for certain, and leaving nothing of it in the kernel.

Each backend calls setsid, so a signal to the process group reaches none of them: the tree is walked by parents.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from pathlib import Path

import psutil

_IPC_RMID = 0
_PR_SET_CHILD_SUBREAPER = 36
_SHARED_MEMORY_LINE = 7  # of postmaster.pid: key and id of the shared memory segment
_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Whoever of the tree loses its parent becomes a child of this process, so that it can still be found (Linux)."""
    if hasattr(_libc, "prctl"):
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def machine() -> str:
    """Names the set of processes that this process can see: two with the same name can signal each other's pids."""
    try:
        booted = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{booted}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"unknown/{os.getpid()}"


def kill_tree(pid: int, born_s: float, *, limit_s: float = 2.0) -> int:
    """SIGKILL a process and everybody below it until none is left; returns how many were hit. Works on frozen ones."""
    hit: set[int] = set()
    ends_s = time.monotonic() + limit_s
    while time.monotonic() < ends_s:
        found = _tree(pid, born_s)
        for process in found:
            try:
                process.kill()
            except psutil.Error:
                continue
            hit.add(process.pid)
        if not found:
            break
        time.sleep(0.002)
    return len(hit)


def kill_children(*, limit_s: float = 2.0) -> int:
    """SIGKILL everybody below this process; returns how many were hit."""
    hit = 0
    for child in psutil.Process().children():
        hit += kill_tree(child.pid, born_s(child.pid), limit_s=limit_s)
        with contextlib.suppress(ChildProcessError, OSError):
            os.waitpid(child.pid, os.WNOHANG)
    return hit


def born_s(pid: int) -> float:
    """When a process was started, seconds since the epoch; 0.0 when it is gone."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def _tree(pid: int, born: float) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        if abs(root.create_time() - born) > 1.5:  # the pid is somebody else's by now
            return []
        family = [root, *root.children(recursive=True)]
    except psutil.Error:
        return []
    return [process for process in family if _there(process)]


def _there(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def mark_segment(data: Path, marked: int | None) -> int | None:
    """
    Mark the server's System V segment to go with its last process, so that SIGKILL of all leaves none behind.

    The segment guards the data folder as long as any process holds it, marked or not. Returns its id; `marked` is the
    one that was marked before, which is left alone.
    """
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        segment = int(lines[_SHARED_MEMORY_LINE - 1].split()[1])
    except (OSError, IndexError, ValueError):
        return marked
    if segment != marked and hasattr(_libc, "shmctl"):
        _libc.shmctl(segment, _IPC_RMID, None)
    return segment
