"""
Turns the switch of the write address to whichever node Patroni says leads, as a proxy with health checks would.

Two missed checks of 250 ms and every session to the old leader is cut: who only lost its Patroni goes on writing, and
nobody may reach it. It decides nothing; who leads is Patroni's business.

    GET /ready    200 once a leader is known and all take part     POST /switchover   {"candidate": "pg1"}
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

from services.postgres.http_json import Answer, Caller, NoAnswer, Server, ask
from services.postgres.problems import run
from services.postgres.settings import Address, Environment, address, nodes, port

PERIOD_S = 0.25
FALL = 2
CHECK_LIMIT_S = 0.5
SWITCHOVER_LIMIT_S = 10.0


class Watch:
    """What the checks came to. `checked` is called from a thread for each node."""

    def __init__(self, where: Mapping[str, Address], switch: Address) -> None:
        self.where, self._switch = where, switch
        self.leader: str | None = None
        self._fails = dict.fromkeys(where, FALL)
        self._lock = threading.Lock()

    def checked(self, node: str, *, leads: bool) -> None:
        with self._lock:
            self._fails[node] = 0 if leads else self._fails[node] + 1
            if leads and self.leader is None:
                self._turn(node)
            elif node == self.leader and self._fails[node] >= FALL:
                self._turn(next((other for other, fails in self._fails.items() if fails == 0), None))

    def _turn(self, node: str | None) -> None:
        try:
            ask(self._switch, "PUT", "/target", {"node": node, "cut": True}, limit_s=1.0)
            self.leader = node
        except NoAnswer:
            self.leader = None  # the next check tries again

    def watch(self, node: str, ending: threading.Event) -> None:
        caller = Caller(self.where[node])
        while not ending.is_set():
            started_s = time.monotonic()
            try:
                caller.ask("GET", "/primary", limit_s=CHECK_LIMIT_S)
                self.checked(node, leads=True)
            except NoAnswer:
                self.checked(node, leads=False)
            ending.wait(max(0.01, PERIOD_S - (time.monotonic() - started_s)))

    def routes(self) -> dict[tuple[str, str], Any]:
        return {("GET", "/ready"): self._ready, ("POST", "/switchover"): self._switchover}

    def _ready(self, _: Mapping[str, Any]) -> Answer:
        missing = [] if self.leader else ["a leader"]
        for node, where in self.where.items():
            try:
                ask(where, "GET", "/ready", limit_s=CHECK_LIMIT_S)
            except NoAnswer:
                missing.append(node)
        return (503 if missing else 200), {"primary": self.leader, "missing": missing}

    def _switchover(self, body: Mapping[str, Any]) -> Answer:
        leader, candidate = self.leader, str(body.get("candidate"))
        if leader == candidate:
            return 200, {"primary": leader}
        if leader is None or candidate not in self.where:
            return 409, {"error": f"from {leader} to {candidate!r} there is no switchover"}
        wish = {"leader": leader, "candidate": candidate}
        try:
            return 200, ask(self.where[leader], "POST", "/switchover", wish, limit_s=SWITCHOVER_LIMIT_S)
        except NoAnswer as problem:
            return 409, {"error": str(problem)}


def main() -> None:
    environment = Environment(os.environ)
    host = environment.read("HOST", "127.0.0.1", str)
    own_port = environment.read("PORT", "8010", port)
    where = environment.read("NODES", None, nodes)
    switch = environment.read("SWITCH", None, address)
    environment.check()
    watch = Watch(where, switch)
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    http = Server(host, own_port, watch.routes())
    http.start()
    for node in where:
        threading.Thread(target=watch.watch, args=(node, ending), daemon=True, name=f"watch {node}").start()
    ending.wait()


if __name__ == "__main__":
    run("patroni_watch", main)
