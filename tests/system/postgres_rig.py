"""A cluster by hand, for tests: supervisor, switch and three nodes as processes on loopback addresses of their own."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg

from services.postgres.http_json import NoAnswer, ask

ROOT = Path(__file__).parents[2]
NODES = ("pg0", "pg1", "pg2")


class Cluster:
    """Use as a context manager; what it started is gone afterwards. environment goes to all of them."""

    def __init__(self, folder: Path, **environment: str) -> None:
        block = f"127.{random.randint(2, 60)}.{random.randint(1, 250)}"  # a run's own blocks begin at 127.64
        self.hosts = {name: f"{block}.{number}" for number, name in enumerate((*NODES, "supervisor", "database"), 1)}
        self.folder, self._environment = folder, environment
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        for name in ("supervisor", "database", *NODES):
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._processes):
            self.kill(name)

    def start(self, name: str) -> None:
        module = {"supervisor": "supervisor", "database": "switch"}.get(name, "node")
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", f"services.postgres.{module}"],
                cwd=ROOT, env={**os.environ, **self._values(name)}, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def _values(self, name: str) -> dict[str, str]:
        port = "8008" if name == "supervisor" else "5432"
        nodes = ",".join(f"{node}={self.hosts[node]}:{port}" for node in NODES)
        own = {
            "supervisor": {
                "PORT": "8010", "PRIMARY": "pg0", "SWITCH": f"{self.hosts['database']}:8009", "DEADLINE": "1s",
            },
            "database": {"PORT": "5432"},
        }.get(
            name,
            {"NODE": name, "DATA": str(self.folder / "data" / name), "SUPERVISOR": f"{self.hosts['supervisor']}:8010"},
        )  # fmt: skip
        return {"HOST": self.hosts[name], "NODES": nodes, **own, **self._environment}

    def tree(self, name: str) -> list[psutil.Process]:
        root = psutil.Process(self._processes[name].pid)
        return [root, *root.children(recursive=True)]

    def signal(self, name: str, number: signal.Signals) -> None:
        for process in self.tree(name):
            with suppress(psutil.NoSuchProcess):  # one that was frozen may have been ended since
                process.send_signal(number)

    def kill(self, name: str) -> None:
        """The whole tree, as the harness does it."""
        process = self._processes.pop(name)
        try:
            family = psutil.Process(process.pid).children(recursive=True)
        except psutil.Error:
            family = []
        process.kill()
        for one in family:
            try:
                one.kill()
            except psutil.Error:
                continue
        process.wait(5)
        psutil.wait_procs(family, 5)

    def ask(self, name: str, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> dict[str, Any]:
        port = {"supervisor": 8010, "database": 8009}.get(name, 8008)
        return ask((self.hosts[name], port), method, path, body, limit_s=8.0)

    def ready(self, limit_s: float = 60.0) -> float:
        """Wait until all nodes take part; returns after how many seconds."""
        started_s = time.monotonic()
        self.until(lambda: self.ask("supervisor", "/ready") is not None, "the cluster to be ready", limit_s)
        return time.monotonic() - started_s

    def until(self, found: Callable[[], bool], what: str, limit_s: float = 30.0) -> None:
        ends_s = time.monotonic() + limit_s
        while True:
            try:
                if found():
                    return
            except (NoAnswer, psycopg.Error):
                pass
            if time.monotonic() > ends_s:
                logs = "\n".join(f"== {f.name}\n{f.read_text()[-2500:]}" for f in sorted(self.folder.glob("*.log")))
                raise AssertionError(f"waited {limit_s:g} s for {what}\n{logs}")
            time.sleep(0.05)

    def connect(self, name: str = "database") -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=self.hosts[name], port=5432, user="shop", dbname="shop", connect_timeout=5, autocommit=True
        )

    @property
    def primary(self) -> str:
        return str(self.ask("supervisor", "/cluster")["primary"])
