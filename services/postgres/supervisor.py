"""
The supervisor: looks at the primary ten times a second, and when it is gone makes the best replica the primary.

What it decides, and in which order, is in `leadership.py`; here it looks, and answers who asks.

    GET  /cluster        who leads, since when, what happened      GET /ready   200 once all nodes take part
    GET  /role/NODE      what a node is to be                      POST /switchover   {"candidate": "pg1"}
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from services.postgres.http_json import Answer, Caller, NoAnswer, Server
from services.postgres.leadership import Supervisor
from services.postgres.problems import run
from services.postgres.reach import NetworkReach
from services.postgres.settings import read_supervisor

REPLICA_PACE = 3  # replicas are looked at less often; a failover asks them anew


def routes(supervisor: Supervisor) -> dict[tuple[str, str], Any]:
    """What others ask a supervisor."""

    def role_of(node: str) -> Callable[[Mapping[str, Any]], Answer]:
        def answer(_: Mapping[str, Any]) -> Answer:
            role = supervisor.role(node)
            return (200, role) if role is not None else (503, {"error": "it is being settled who leads"})

        return answer

    def cluster(_: Mapping[str, Any]) -> Answer:
        members = {node: {**seen.state, "misses": seen.misses} for node, seen in supervisor.seen.items()}
        told = {"primary": supervisor.primary, "term": supervisor.term}
        return 200, {**told, "members": members, "events": supervisor.events}

    def ready(_: Mapping[str, Any]) -> Answer:
        missing = supervisor.missing()
        return (503 if missing else 200), {"primary": supervisor.primary, "missing": missing}

    def switchover(body: Mapping[str, Any]) -> Answer:
        candidate = str(body.get("candidate"))
        problem = supervisor.switch_over(candidate)
        return (200, {"primary": candidate}) if problem is None else (409, {"error": problem})

    return {
        ("GET", "/cluster"): cluster,
        ("GET", "/ready"): ready,
        ("POST", "/switchover"): switchover,
        **{("GET", f"/role/{node}"): role_of(node) for node in supervisor.settings.nodes},
    }


def watch(supervisor: Supervisor, node: str, ending: threading.Event) -> None:
    """Look at one node again and again, each time over the same connection while it holds."""
    settings = supervisor.settings
    caller = Caller(settings.nodes[node])
    while not ending.is_set():
        started_s = time.monotonic()
        try:
            supervisor.saw(node, caller.ask("GET", "/replication", limit_s=settings.deadline_s))
        except NoAnswer:
            supervisor.missed(node)
        pace = 1 if node == supervisor.primary else REPLICA_PACE
        ending.wait(max(0.01, pace * settings.check_interval_s - (time.monotonic() - started_s)))


def main() -> None:
    settings = read_supervisor(os.environ)
    supervisor = Supervisor(settings, NetworkReach(settings))
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    http = Server(settings.host, settings.port, routes(supervisor))
    http.start()
    for node in settings.nodes:
        threading.Thread(target=watch, args=(supervisor, node, ending), daemon=True, name=f"watch {node}").start()
    while not ending.wait(0.02):
        supervisor.step()


if __name__ == "__main__":
    run("supervisor", main)
