"""
How a run's containers stand among everything else that wants this machine's processor.

An engine with control groups of its own (driver cgroupfs) puts all its containers into one group, and that group weighs
as much as a single stranger's process; so under load the services would starve beside a load generator that goes first.
Here each container weighs what a process of a run weighs (harness.children.give_priority), in a group of its own.
Where a run's processes get no priority, its containers get none: only then does the load's lateness speak for what the
system had to bear.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import psutil

from harness.children import PRIORITY, give_priority
from harness.engine.connect import Engine

WEIGHT = 9548  # what the kernel gives a process of priority -10; one of priority 0, and a group, has 1024
_ROOT_GROUP = "/"
_FORWARDER = "docker-proxy"  # the engine's own program behind a published port, one a port


def share(engine: Engine, programs: int = 1) -> dict[str, int | str]:
    """
    What a container that runs so many programs asks of the engine, under the names Compose has for it; nothing where
    this user's processes get no priority, or the engine holds no groups. Raises EngineError.
    """
    if not may_go_first():
        return {}
    with engine.asking("ask how it holds its containers") as api:
        driver = api.info().get("CgroupDriver")
    if driver not in {"cgroupfs", "systemd"}:
        return {}
    found: dict[str, int | str] = {"cpu_shares": WEIGHT * programs}
    return {**found, "cgroup_parent": _ROOT_GROUP} if driver == "cgroupfs" else found


def may_go_first() -> bool:
    """Whether this user may give a process priority: as root, or with a limit that allows it."""
    if os.geteuid() == 0:
        return True
    try:
        import resource

        return resource.getrlimit(resource.RLIMIT_NICE)[0] >= 20 - PRIORITY  # the limit counts from 20 downwards
    except (ImportError, AttributeError):
        return False


def hasten_forwarders(ports: Sequence[int]) -> None:
    """Give the engine's forwarders behind these published ports the priority of the load that passes through them."""
    wanted = {str(port) for port in ports}
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == _FORWARDER and wanted.intersection(process.info["cmdline"] or ()):
            try:
                threads = process.threads()
            except psutil.Error:
                continue
            for thread in threads:
                give_priority(thread.id)
