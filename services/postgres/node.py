"""
A node: one PostgreSQL server and the agent that owns it, in the foreground until it is told to end.

What to be, a primary or a replica of whom, it always asks the supervisor: before its first start, and whenever its
server has ended without being told to. So a former primary that comes back never writes before somebody said it may.

    GET  /replication   what the server says of itself, and since when that is true
    GET  /ready         200 once it accepts, and a replica streams
    POST /promote       become the primary          POST /follow       follow {"primary": "pg1"}
    POST /fence         end the server at once      POST /demote       end it in good order
    POST /synchronous   commits wait for {"names": "ANY 1 (pg1, pg2)"}      POST /disk   {"full": true}, its own disk
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from services.postgres import account, binaries, processes
from services.postgres.disk import Disk, mount
from services.postgres.http_json import Answer, NoAnswer, ask
from services.postgres.http_json import Server as HttpServer
from services.postgres.monitor import Monitor
from services.postgres.problems import ConfigurationError, StartError, run
from services.postgres.server import SUPERUSER, Server, wait_until
from services.postgres.settings import NodeSettings, read_node

FIRST_LIMIT_S = 60.0
ROLE_LIMIT_S = 1.0
PROMOTE_LIMIT_S = 4.0
SYNCHRONOUS_LIMIT_S = 1.0
PACE_S = 0.01
STRAYED_S = 3.0  # a replica that cannot stream for so long, though its primary is there, is copied anew


class Node:
    """One node. Its main thread starts and ends the server; what is asked over HTTP comes from other threads."""

    def __init__(self, settings: NodeSettings, server: Server) -> None:
        self.settings, self.server = settings, server
        host = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host  # noqa: S104  compared, not bound
        self._local = (host, settings.postgres_port)
        self.monitor = Monitor(self._local)
        self.disk = Disk(settings.data.parent, settings.reserve_bytes)
        self.phase = "waiting"
        self.leader: str | None = None
        self._machine = processes.machine()
        self._lock = threading.RLock()
        self._ending = threading.Event()
        self._streamed_s = time.monotonic()

    def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        http = HttpServer(self.settings.host, self.settings.port, self._routes())
        http.start()
        self.monitor.start()
        try:
            while not self._ending.is_set():
                if not self.server.alive:
                    self._bring_up()
                self.server.look()
                self._look_after()
                self._ending.wait(PACE_S if time.monotonic() - self._started_s < 2 else 10 * PACE_S)
        finally:
            self.phase = "stopping"
            self.server.stop(0.7)

    def end(self, *_: object) -> None:
        self._ending.set()

    _started_s = 0.0

    # -- being what it is told to be ---------------------------------------------------------

    def _bring_up(self) -> None:
        """Ask what to be and become it; on trouble with others the next round tries again."""
        role = self._role()
        if role is None:
            return
        leader = str(role["primary"])
        if leader != self.settings.node and not role.get("settled"):
            self._ending.wait(0.1)  # there is nothing to copy yet
            return
        try:
            with self._lock:
                self._become(leader)
        except StartError as problem:
            if leader == self.settings.node:
                raise
            say(f"cannot follow {leader} yet: {problem}")
            self._ending.wait(0.3)

    def _role(self) -> dict[str, Any] | None:
        """Who leads, by the supervisor's word; None when it gave none yet. A node alone leads itself."""
        if self.settings.supervisor is None:
            return {"primary": self.settings.node}
        try:
            path = f"/role/{self.settings.node}"
            return ask(self.settings.supervisor, "GET", path, limit_s=ROLE_LIMIT_S)
        except NoAnswer as problem:
            if self.phase != "waiting":
                say(f"waits for the supervisor: {problem}")
            self.phase = "waiting"
            self._ending.wait(0.1)
            return None

    def _become(self, leader: str) -> None:
        mine = leader == self.settings.node
        source = self.settings.nodes[leader]
        self.phase, self.leader = "preparing", leader
        fresh = not self.server.made
        if mine:
            if fresh:
                self.server.make_primary()
            self.server.lead()
        else:
            if fresh:
                self._copy(leader)
            elif self.server.was_primary:
                self._rewind(leader)
            self.server.follow(source)
        self.phase = "starting"
        self.server.start()
        self._started_s = self._streamed_s = time.monotonic()
        say(f"starts as {'the primary' if mine else 'a replica of ' + leader}")
        self.phase = "running"
        if mine and fresh:
            self._make_database()

    def _copy(self, leader: str) -> None:
        say(f"copies {leader}")
        self.server.make_replica(self.settings.nodes[leader])

    def _rewind(self, leader: str) -> None:
        try:
            self.server.rewind(self.settings.nodes[leader])
            say(f"was rewound to {leader}")
        except StartError as problem:
            say(f"cannot be rewound, so it is copied anew: {problem}")
            self._copy(leader)

    def _make_database(self) -> None:
        if not wait_until(
            lambda: self._looked_at() and self.monitor.state["accepting"], limit_s=FIRST_LIMIT_S, pace_s=0.02
        ):
            raise StartError(f"the new server did not accept connections within {FIRST_LIMIT_S:g} s")
        host, port = self._local
        with psycopg.connect(
            host=host, port=port, user=SUPERUSER, dbname="postgres", connect_timeout=5, autocommit=True
        ) as connection:
            connection.execute(f"CREATE ROLE {self.settings.owner} LOGIN")
            connection.execute(f"CREATE DATABASE {self.settings.database} OWNER {self.settings.owner}")

    def _looked_at(self) -> bool:
        self.server.look()
        if not self.server.alive:
            assert self.server.process is not None
            raise StartError(
                f"postgres ended with exit code {self.server.process.returncode} while starting on"
                f" {self.settings.host}:{self.settings.postgres_port}; its own lines above say why"
            )
        return True

    def _look_after(self) -> None:
        """A replica whose history parted from its primary's never streams again by itself: copy it anew."""
        state = self.monitor.state
        if not self.server.alive or state["role"] != "replica" or state["streaming"]:
            self._streamed_s = time.monotonic()
            return
        if time.monotonic() - self._streamed_s < STRAYED_S:
            return
        self._streamed_s = time.monotonic()
        role = self._role()
        if role is None or not role.get("parted") or role["primary"] == self.settings.node:
            return
        with self._lock:
            say(f"its history parted from that of {role['primary']}")
            self.server.stop()
            self._copy(str(role["primary"]))

    # -- what others ask ---------------------------------------------------------------------

    def _routes(self) -> dict[tuple[str, str], Any]:
        return {
            ("GET", "/replication"): self._replication,
            ("GET", "/ready"): self._ready,
            ("POST", "/promote"): self._promote,
            ("POST", "/follow"): self._follow,
            ("POST", "/fence"): self._fence,
            ("POST", "/demote"): self._demote,
            ("POST", "/synchronous"): self._synchronous,
            ("POST", "/disk"): self._fill,
        }

    def _replication(self, _: Mapping[str, Any]) -> Answer:
        process, state, full = self.server.process, self.monitor.state, self.disk.full
        return 200, {
            "node": self.settings.node,
            **state,
            "writable": state["writable"] and not full,
            "disk_full": full,
            "asked_ns": time.monotonic_ns(),
            "phase": self.phase,
            "leader": self.leader,
            "postmaster": process.pid if process is not None and self.server.alive else None,
            "postmaster_born_s": self.server.born_s,
            "machine": self._machine,
        }

    def _ready(self, _: Mapping[str, Any]) -> Answer:
        state = self.monitor.state
        ready = self.phase == "running" and (state["writable"] or (state["role"] == "replica" and state["streaming"]))
        return (200 if ready else 503), {"phase": self.phase, "role": state["role"], "streaming": state["streaming"]}

    def _promote(self, _: Mapping[str, Any]) -> Answer:
        started_s = time.monotonic()
        if self.monitor.state["role"] != "primary":
            self.leader = self.settings.node
            self.server.promote()
        promoted = self._comes_to(lambda state: bool(state["writable"]), PROMOTE_LIMIT_S)
        if not promoted:
            return 504, {"error": f"not promoted within {PROMOTE_LIMIT_S:g} s: {self.monitor.state}"}
        return 200, {"took_s": round(time.monotonic() - started_s, 3), "timeline": self.monitor.state["timeline"]}

    def _follow(self, body: Mapping[str, Any]) -> Answer:
        leader = str(body.get("primary"))
        if leader not in self.settings.nodes or leader == self.settings.node:
            return 400, {"error": f"primary is {leader!r}, which is no other node"}
        if not self.server.made or self.server.was_primary:
            return 409, {"error": f"{self.settings.node} is no replica; demote or fence it first"}
        self.leader = leader
        self.server.follow(self.settings.nodes[leader])
        return 200, {"following": leader}

    def _fill(self, body: Mapping[str, Any]) -> Answer:
        if self.settings.disk_bytes is None:
            return 409, {"error": f"{self.settings.node} has no disk of its own; set DISK, 128MB for one"}
        if not body.get("full"):
            self.disk.free()
            return 200, {"free": self.disk.free_bytes}
        return 200, {"written": self.disk.fill()}

    def _fence(self, _: Mapping[str, Any]) -> Answer:
        return 200, {"ended": self.server.kill()}

    def _demote(self, _: Mapping[str, Any]) -> Answer:
        asked_ns = time.monotonic_ns()
        wait_until(lambda: self.monitor.state["at_ns"] > asked_ns, limit_s=0.3)  # what was written up to now
        position = self.monitor.state["position"]
        self.server.stop(2.0)
        return 200, {"position": position}

    def _comes_to(self, found: Callable[[Mapping[str, Any]], bool], limit_s: float) -> bool:
        """Look hurriedly until the state is as wanted; False when it is not within limit_s."""
        self.monitor.hurry()
        try:
            return wait_until(lambda: found(self.monitor.state), limit_s=limit_s)
        finally:
            self.monitor.relax()

    def _synchronous(self, body: Mapping[str, Any]) -> Answer:
        names = str(body.get("names") or "")
        self.server.wait_for_replicas(names)
        done = self._comes_to(lambda state: bool(state["synchronous"] == names), SYNCHRONOUS_LIMIT_S)
        return (200 if done else 504), {"synchronous": self.monitor.state["synchronous"]}


def say(text: str) -> None:
    print(f"{time.monotonic():.3f} {os.environ.get('NODE', '?')} {text}", file=sys.stderr, flush=True)


def main() -> None:
    settings = read_node(os.environ)
    found = binaries.find(os.environ)
    owner = account.choose(os.environ)
    processes.adopt_orphans()
    if settings.disk_bytes is not None:
        mount(settings.data.parent, settings.disk_bytes)
    account.give(settings.data, owner)
    folder = account.within_reach(found.folder, owner, settings.data.parent)
    server = Server(settings, binaries.Binaries(folder=folder, major=found.major), owner)
    if not server.made and any(settings.data.iterdir()):
        raise ConfigurationError(f"DATA {settings.data} is not empty and holds no PostgreSQL cluster")
    node = Node(settings, server)
    signal.signal(signal.SIGTERM, node.end)
    signal.signal(signal.SIGINT, node.end)
    node.run()


if __name__ == "__main__":
    run("node", main)
