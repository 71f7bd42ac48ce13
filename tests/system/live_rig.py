"""A living system for tests: brought up by the command line, in a register of its own, taken down whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from harness.children import RUN_VARIABLE

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "compose" / "shop.yaml"
LIMIT_S = 120


class Living:
    """What the command line keeps up; `harness` types at it."""

    def __init__(self, tmp_path):
        self.reports = tmp_path / "reports"
        self.environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "COLUMNS": "160"}
        self.run_dir = None
        self.pid = None

    @staticmethod
    def command(*words):
        """A command line of the harness."""
        return [sys.executable, "-m", "harness", *map(str, words)]

    def harness(self, *words, code=0):
        """One command; its output. code None: any."""
        done = subprocess.run(
            self.command(*words), cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        assert code is None or done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def up(self, *words):
        told = self.harness("up", SHOP, "--detach", "--json", "--reports", self.reports, *words)
        document = json.loads(told[told.index("{") : told.rindex("}") + 1])
        self.run_dir, self.pid = Path(document["run_dir"]), document["pid"]
        return document

    def status(self):
        return json.loads(self.harness("status", "--json"))

    def spawn(self, *words):
        """A command left running; its process."""
        return subprocess.Popen(
            self.command(*words), cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def processes(self):
        """Everything that carries this run's tag."""
        found = []
        for process in psutil.process_iter():
            try:
                if self.run_dir and process.environ().get(RUN_VARIABLE) == self.run_dir.name:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def register(self):
        return list((Path(self.environment["XDG_STATE_HOME"]) / "harness" / "runs").glob("*.json"))

    def end(self):
        if self.pid is not None and psutil.pid_exists(self.pid):
            psutil.Process(self.pid).kill()
            wait_until(lambda: not self.processes(), "the killed system is gone")


def wait_until(so, what, limit_s=30.0):
    deadline_s = time.monotonic() + limit_s
    while not so():
        assert time.monotonic() < deadline_s, f"not within {limit_s:g} s: {what}"
        time.sleep(0.05)
