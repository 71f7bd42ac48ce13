"""
A node that Patroni leads instead of our supervisor: Patroni owns the server, this owns Patroni and tells what it sees.

    GET  /replication   as in `node.py`          GET  /primary      200 when Patroni says that this node leads
    GET  /ready         200 once it takes part   POST /switchover   {"leader": "pg0", "candidate": "pg1"}, to Patroni

Patroni 3.1.2: from 3.2.0 on a ttl below 20 s is raised to 20, and Debian's 3.0.2 can steal a lock back with etcd's v3
API. Its packages are in a folder of their own (`.ci/install-databases` makes it), on PostgreSQL 16, which it knows.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from services.postgres import account, binaries, processes
from services.postgres.http_json import Answer, NoAnswer, ask
from services.postgres.http_json import Server as HttpServer
from services.postgres.monitor import Monitor
from services.postgres.problems import StartError, run
from services.postgres.server import SUPERUSER
from services.postgres.settings import Address, Environment, address, name, port, switch

PATRONI_PORT = 8018
ASK_LIMIT_S = 1.0
SWITCHOVER_LIMIT_S = 8.0
PACKAGES = Path(__file__).parents[2] / ".patroni"
SYSTEM_PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3")
WHEELS_16 = "pginstall"


def configuration(
    *,
    node: str,
    host: str,
    postgres_port: int,
    etcd: Address,
    data: Path,
    folder: Path,
    synchronous: bool,
    failsafe: bool,
) -> dict[str, Any]:
    """Patroni's own, as measured: a leader that is gone is replaced after some five seconds."""
    parameters = {
        "unix_socket_directories": "", "shared_buffers": "16MB", "max_connections": 60, "wal_keep_size": "128MB",
        "autovacuum_naptime": "1h", "dynamic_shared_memory_type": "mmap", "log_min_messages": "warning",
    }  # fmt: skip
    user = {"username": SUPERUSER}
    reached = node if host == "0.0.0.0" else host  # noqa: S104  compared; in a container its name is its address
    return {
        "scope": "shop",
        "name": node,
        "restapi": {"listen": f"{host}:{PATRONI_PORT}", "connect_address": f"{reached}:{PATRONI_PORT}"},
        "etcd3": {"hosts": [f"{etcd[0]}:{etcd[1]}"], "use_proxies": True},  # by the address we were told, no other
        "bootstrap": {
            "dcs": {
                "ttl": 5, "loop_wait": 1, "retry_timeout": 3, "maximum_lag_on_failover": 1048576,
                "primary_start_timeout": 0, "synchronous_mode": synchronous,
                "failsafe_mode": failsafe,
                "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": parameters},
            },
            "initdb": [{"encoding": "UTF8"}, "no-locale", "data-checksums", {"auth": "trust"}],
        },
        "postgresql": {
            "listen": f"{host}:{postgres_port}",
            "connect_address": f"{reached}:{postgres_port}",
            "data_dir": str(data),
            "bin_dir": str(folder),
            "basebackup": [{"checkpoint": "fast"}],
            "pgpass": str(data.parent / f"{node}.pgpass"),
            "authentication": {"superuser": user, "replication": user, "rewind": user},
            "parameters": {"unix_socket_directories": ""},
            "pg_hba": ["host all all all trust", "host replication all all trust"],
        },
        "watchdog": {"mode": "off"},
    }  # fmt: skip


class PatroniNode:
    """One node. Its main thread sees to it that Patroni runs."""

    def __init__(self, where: Address, own: Address, node: str) -> None:
        self._where, self.node = where, node
        self._patroni = (own[0], PATRONI_PORT)
        self.monitor = Monitor(where)
        self._http = HttpServer(*own, self._routes())
        self._machine = processes.machine()
        self._ending = threading.Event()
        self._segment: int | None = None

    def run(self, argv: list[str], packages: Path, data: Path, owner: account.Account, database: str) -> None:
        """Until SIGTERM or SIGINT, or until Patroni ends by itself. Raises StartError."""
        patroni = subprocess.Popen(  # type: ignore[call-overload]
            argv, cwd="/", stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(packages)}, **owner.popen()
        )
        self._http.start()
        self.monitor.start()
        made = False
        try:
            while not self._ending.wait(0.01 if self._segment is None else 0.1):
                self._segment = processes.mark_segment(data, self._segment)
                if not made and self.monitor.state["writable"]:
                    made = self._make_database(database)
                if patroni.poll() is not None:
                    raise StartError(f"patroni ended with exit code {patroni.returncode}; its lines above say why")
        finally:
            patroni.terminate()
            try:
                patroni.wait(0.8)
            except subprocess.TimeoutExpired:
                processes.kill_children()

    def end(self, *_: object) -> None:
        self._ending.set()

    def _make_database(self, database: str) -> bool:
        host, number = self._where
        try:
            with psycopg.connect(
                host=host, port=number, user=SUPERUSER, dbname="postgres", connect_timeout=5, autocommit=True
            ) as connection:
                if connection.execute("SELECT FROM pg_database WHERE datname = %s", (database,)).fetchone() is None:
                    connection.execute(f"CREATE ROLE {database} LOGIN")
                    connection.execute(f"CREATE DATABASE {database} OWNER {database}")
        except psycopg.Error:
            return False
        return True

    def _routes(self) -> dict[tuple[str, str], Any]:
        return {
            ("GET", "/replication"): self._replication,
            ("GET", "/ready"): self._ready,
            ("GET", "/primary"): self._primary,
            ("POST", "/switchover"): self._switchover,
        }

    def _replication(self, _: Mapping[str, Any]) -> Answer:
        return 200, {
            "node": self.node, **self.monitor.state, "asked_ns": time.monotonic_ns(), "phase": "patroni",
            "leader": None, "machine": self._machine,
        }  # fmt: skip

    def _ready(self, _: Mapping[str, Any]) -> Answer:
        state = self.monitor.state
        ready = state["writable"] or (state["role"] == "replica" and state["streaming"])
        return (200 if ready else 503), {"role": state["role"], "streaming": state["streaming"]}

    def _primary(self, _: Mapping[str, Any]) -> Answer:
        try:
            return 200, {"state": ask(self._patroni, "GET", "/primary", limit_s=ASK_LIMIT_S).get("state")}
        except NoAnswer as problem:
            return 503, {"error": str(problem)}

    def _switchover(self, body: Mapping[str, Any]) -> Answer:
        from http.client import HTTPConnection  # Patroni answers this one with a sentence, not with JSON

        connection = HTTPConnection(*self._patroni, timeout=SWITCHOVER_LIMIT_S)
        try:
            connection.request("POST", "/switchover", json.dumps(dict(body)))
            answer = connection.getresponse()
            return answer.status, {"said": answer.read().decode(errors="replace")[:300]}
        finally:
            connection.close()


def command(values: Mapping[str, str], owner: account.Account) -> tuple[list[str], Path]:
    """How Patroni is started, and the folder of its packages. Raises StartError when it is not installed."""
    packages = Path(values.get("PATRONI") or PACKAGES)
    if not (packages / "patroni").is_dir():
        raise StartError(
            f"Patroni 3.1.2 is not in {packages}; .ci/install-databases installs it, PATRONI names a folder"
        )
    python = values.get("PATRONI_PYTHON") or next(
        (path for path in (sys.executable, *SYSTEM_PYTHONS) if account.reaches(Path(path), owner)), None
    )
    if python is None:
        raise StartError(f"{owner.name} may not run {sys.executable}; name a Python it may run by PATRONI_PYTHON")
    return [python, "-m", "patroni"], packages


def main() -> None:
    environment = Environment(os.environ)
    node = environment.read("NODE", None, name)
    host = environment.read("HOST", "127.0.0.1", str)
    own_port = environment.read("PORT", "8008", port)
    postgres_port = environment.read("POSTGRES_PORT", "5432", port)
    etcd = environment.read("ETCD", None, address)
    data = environment.read("DATA", None, Path)
    synchronous = environment.read("SYNCHRONOUS", "off", switch)
    failsafe = environment.read("FAILSAFE", "off", switch)
    database = environment.read("DATABASE", "shop", name)
    environment.check()
    found = binaries.find({"POSTGRES_BIN": str(_sixteen()), **os.environ})
    owner = account.choose(os.environ)
    argv, packages = command(os.environ, owner)
    processes.adopt_orphans()
    folder = account.within_reach(found.folder, owner, data.parent)
    account.give(data.parent / f"{node}-patroni", owner)
    file = data.parent / f"{node}-patroni" / "patroni.json"  # YAML, and JSON is YAML
    told = configuration(
        node=node, host=host, postgres_port=postgres_port, etcd=etcd, data=file.parent / "data", folder=folder,
        synchronous=synchronous, failsafe=failsafe,
    )  # fmt: skip
    file.write_text(json.dumps(told, indent=2), encoding="utf-8")
    file.chmod(0o644)
    host_here = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104  compared, not bound
    patroni = PatroniNode((host_here, postgres_port), (host, own_port), node)
    signal.signal(signal.SIGTERM, patroni.end)
    signal.signal(signal.SIGINT, patroni.end)
    patroni.run([*argv, str(file)], packages, file.parent / "data", owner, database)


def _sixteen() -> Path:
    """The older of the wheel's two PostgreSQLs: the one this Patroni knows."""
    newest = binaries.find({}).folder
    older = newest.parent.parent / WHEELS_16 / "bin"
    return older if older.is_dir() else newest


if __name__ == "__main__":
    run("patroni_node", main)
