"""
Watches the nodes of a database cluster: who is the primary, who may write, on which timeline, how far behind.

It asks each node over HTTP, so that no database driver is needed. A node's answer says when it was true (`at_ns`): that
instant is the sample's, for a node that was frozen answers with what it knew before.
"""

from __future__ import annotations

import json
from typing import Any

from harness.children import Emit
from harness.clock import NS_PER_S, Clock
from harness.observe.base import Add, Periodic
from harness.observe.http_json import JsonClient, NoAnswer

PERIOD_S = 0.2
ANSWER_LIMIT_S = 0.5
CHANGES = ("role", "writable", "timeline", "streaming", "leader", "synchronous")
"""What of an answer becomes an event `replication.<name>` when it changes."""

_KEPT = (*CHANGES, "accepting", "position", "replayed", "replicas", "phase")


class ReplicationObserver:
    """Looks at one node every 0.2 s: a probe each time, an event for every change, one when it falls silent."""

    def __init__(
        self, service: str, address: tuple[str, int], path: str, *, add: Add, emit: Emit, clock: Clock
    ) -> None:
        self._service, self._path = service, path
        self._client = JsonClient(*address, timeout_s=ANSWER_LIMIT_S)
        self._add, self._emit, self._clock = add, emit, clock
        self._last: dict[str, Any] = {}
        self._silent_since_ns: int | None = None
        self._periodic = Periodic(f"replication {service}", PERIOD_S, self._look, clock)

    def start(self) -> None:
        self._periodic.start()

    def stop(self) -> None:
        self._periodic.stop()
        self._client.close()

    def _look(self) -> None:
        asked_ns = self._clock.now_ns()
        try:
            answer = self._client.get(self._path)
        except NoAnswer as error:
            self._silent(asked_ns, str(error))
            return
        if not isinstance(answer, dict):
            self._silent(asked_ns, f"{self._path} answered with no object")
            return
        if self._silent_since_ns is not None:
            silence_s = round((asked_ns - self._silent_since_ns) / NS_PER_S, 3)
            self._emit("replication.answers", self._service, {"silence_s": silence_s})
            self._silent_since_ns = None
        at_ns = answer.get("at_ns")
        data = {key: answer.get(key) for key in _KEPT}
        self._probe(at_ns if isinstance(at_ns, int) else asked_ns, 1, data)
        self._changes(data)

    def _changes(self, data: dict[str, Any]) -> None:
        for name in CHANGES:
            if data[name] != self._last.get(name):
                change = {"from": self._last.get(name), "to": data[name]}
                state = {"role": data[name]} if name == "role" else {}  # what a report draws as a bar
                self._emit(f"replication.{name}", self._service, {**change, **state})
        self._last = data

    def _silent(self, at_ns: int, error: str) -> None:
        self._probe(at_ns, 0, {"error": error})
        if self._silent_since_ns is None:
            self._silent_since_ns = at_ns
            self._emit("replication.silent", self._service, {"error": error})

    def _probe(self, at_ns: int, ok: int, data: dict[str, Any]) -> None:
        self._add("probes", (at_ns, "replication", self._service, ok, json.dumps(data)))
