"""The runner dies by SIGKILL in the middle of a failover: nothing of the system is left, wherever one looks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.children import RUN_VARIABLE

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
START_LIMIT_S = 120.0
UNDO_LIMIT_S = 30.0


def unheld_segments() -> set[str]:
    """System V shared memory that no process holds."""
    lines = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    return {line.split()[1] for line in lines if int(line.split()[6]) == 0}


def is_there(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def belongs(process: psutil.Process, folder: Path, run: str) -> bool:
    """Whether its command line names the run's folder (postgres has its data in it) or its environment the run."""
    try:
        return str(folder) in " ".join(process.cmdline()) or process.environ().get(RUN_VARIABLE) == run
    except psutil.Error:
        return False


def running_of(folder: Path) -> list[psutil.Process]:
    """Everybody of the run in this folder of reports."""
    run = next(folder.glob("*/journal.db")).parent.name
    return [process for process in psutil.process_iter() if belongs(process, folder, run) and is_there(process)]


def names_of(processes: list[psutil.Process]) -> set[str]:
    found = set()
    for process in processes:
        try:
            found.add(process.name())
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize(
    ("scenario", "done", "programs"),
    [
        ("failover/primary-killed", "on: pg0 is killed", {"postgres"}),
        ("redundancy/instance-killed", "on: order-2 is killed", {"haproxy", "redis-server"}),
        ("redundancy/redis-primary-lost", "on: redis-1 is killed", {"redis-server"}),
    ],
)
def test_a_runner_killed_in_the_middle_of_a_failover_leaves_nothing(
    tmp_path: Path, scenario: str, done: str, programs: set[str]
) -> None:
    """No process, no shared memory, no data folder but the run's own."""
    before = unheld_segments()
    said, reports = tmp_path / "said.txt", tmp_path / "reports"
    file = ROOT / "scenarios" / f"{scenario}.yaml"
    with said.open("wb") as log:
        runner = subprocess.Popen(
            [sys.executable, "-m", "harness", "run", str(file), "--reports", str(reports), "--plain"],
            cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    ends_s = time.monotonic() + START_LIMIT_S
    while done not in said.read_text("utf-8"):
        assert runner.poll() is None, said.read_text("utf-8")
        assert time.monotonic() < ends_s, said.read_text("utf-8")
        time.sleep(0.02)
    started = psutil.Process(runner.pid).children(recursive=True)
    assert programs <= names_of(started)

    os.kill(runner.pid, signal.SIGKILL)
    runner.wait(10)
    ends_s = time.monotonic() + UNDO_LIMIT_S
    while (any(map(is_there, started)) or running_of(reports)) and time.monotonic() < ends_s:
        time.sleep(0.1)

    assert [process for process in started if is_there(process)] == []
    assert running_of(reports) == []
    assert unheld_segments() - before == set()
    if "postgres" in programs:
        assert list(reports.glob("*/data/*/PG_VERSION"))
