"""The runner dies by SIGKILL in the middle of a failover: nothing of the database is left, wherever one looks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SCENARIO = ROOT / "scenarios" / "failover" / "primary-killed.yaml"
START_LIMIT_S = 120.0
UNDO_LIMIT_S = 30.0


def unheld_segments() -> set[str]:
    """System V shared memory that no process holds."""
    lines = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    return {line.split()[1] for line in lines if int(line.split()[6]) == 0}


def running_below(folder: Path) -> list[int]:
    """Everybody whose command line names the run's folder: postgres has its data folder in it."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_a_runner_killed_in_the_middle_of_a_failover_leaves_nothing(tmp_path: Path) -> None:
    """No process, no shared memory, no data folder but the run's own."""
    before = unheld_segments()
    with (tmp_path / "said.txt").open("wb") as log:
        runner = subprocess.Popen(
            [sys.executable, "-m", "harness", "run", str(SCENARIO), "--reports", str(tmp_path / "reports"), "--plain"],
            cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    ends_s = time.monotonic() + START_LIMIT_S
    while "on: pg0 is killed" not in (tmp_path / "said.txt").read_text("utf-8"):
        assert runner.poll() is None, (tmp_path / "said.txt").read_text("utf-8")
        assert time.monotonic() < ends_s, (tmp_path / "said.txt").read_text("utf-8")
        time.sleep(0.02)
    assert running_below(tmp_path / "reports")

    os.kill(runner.pid, signal.SIGKILL)
    runner.wait(10)
    ends_s = time.monotonic() + UNDO_LIMIT_S
    while running_below(tmp_path / "reports") and time.monotonic() < ends_s:
        time.sleep(0.1)

    assert running_below(tmp_path / "reports") == []
    assert unheld_segments() - before == set()
    folders = {path.parent for path in (tmp_path / "reports").glob("*/data/*/PG_VERSION")}
    assert folders
