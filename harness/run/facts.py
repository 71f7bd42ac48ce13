"""
The facts that let a run be understood and repeated later: versions, machine, commit, clock anchor.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness import __version__
from harness.clock import Clock
from harness.system.masking import masked_system
from harness.system.model import System

_PACKAGES = ("locust", "geventhttpclient", "uvloop", "httptools", "starlette", "uvicorn", "aiohttp")


def run_id_of(scenario: str, now: datetime | None = None) -> str:
    """`20261122T191830.123Z-payment-slow`: sorts by time, names the scenario."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z-{scenario}"


def run_facts(run_id: str, system: System, seed: int, clock: Clock) -> dict[str, Any]:
    """What goes into the journal's run table at the start."""
    return {
        "run": run_id,
        "harness": __version__,
        "system": masked_system(system),
        "seed": seed,
        "versions": _versions(),
        "machine": {
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "load_average": os.getloadavg()[0],
        },
        "commit": _commit(system.file.parent),
        "wall_anchor": {"monotonic_ns": clock.now_ns(), "epoch_ns": time.time_ns()},
    }


def _versions() -> dict[str, str]:
    found = {"harness": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit(folder: Path) -> str | None:
    """The commit of the working tree the system's file lies in, with `+` when it has uncommitted changes."""
    if shutil.which("git") is None:
        return None
    try:
        head = _git(folder, "rev-parse", "HEAD")
        return f"{head}+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
