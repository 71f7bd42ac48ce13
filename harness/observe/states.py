"""
Reads the states that services tell: which instances a balancer has, which role a Redis plays.

The answer is `{"nodes": {name: {"state": ..., ...}}, "changes": [{"t_ns", "node", "from", "to", ...}]}`; who tells it
looks often and stamps changes by the machine's monotonic clock, so that an edge is known better than we look. Each
change becomes an event: `instance.up`, `instance.down`, `instance.maint`, `instance.drain`; `redis.primary`,
`redis.replica`. What the states mean is for checks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness.children import Emit
from harness.clock import Clock
from harness.observe.base import Add, Periodic
from harness.observe.http_json import JsonClient, NoAnswer
from harness.system.model import StatePlace

PERIOD_S = 0.2
EVENTS = {"instances": "instance", "redis": "redis"}  # what is told -> first word of its events


class StatesObserver:
    """Looks at one service every 0.2 s, at its address; rows of `probes` are called after what is told."""

    def __init__(
        self, service: str, place: StatePlace, address: tuple[str, int], *, add: Add, emit: Emit, clock: Clock,
    ) -> None:  # fmt: skip
        self._service, self._place = service, place
        self._client = JsonClient(address[0], place.port or address[1])
        self._add, self._emit, self._clock = add, emit, clock
        self._told_ns = 0  # the newest change that was written down
        self._states: dict[str, str] = {}
        self._periodic = Periodic(f"states of {service}", PERIOD_S, self.look, clock)

    def start(self) -> None:
        self._periodic.start()

    def stop(self) -> None:
        self._periodic.stop()
        self._client.close()

    def look(self) -> None:
        """Look once."""
        try:
            answer = self._client.get(self._place.path)
            nodes = {str(name): dict(node) for name, node in answer["nodes"].items()}
            states = {name: str(node["state"]) for name, node in nodes.items()}
            changes = [dict(change) for change in answer["changes"] if int(change["t_ns"]) > self._told_ns]
        except (NoAnswer, KeyError, TypeError, ValueError, AttributeError) as error:
            self._probe(0, {"error": str(error)})
            return
        self._probe(1, {"nodes": nodes})
        for change in changes:
            self._told_ns = max(self._told_ns, int(change["t_ns"]))
            self._change(str(change["node"]), str(change["to"]), change)
        for name, state in states.items():  # a change that nobody saw: the one who tells was started anew meanwhile
            before = self._states.get(name)
            if before is not None and before != state:
                self._change(name, state, {"t_ns": self._clock.now_ns(), "from": before, "to": state, "unseen": True})
        self._states = states

    def _change(self, node: str, state: str, change: Mapping[str, Any]) -> None:
        self._states[node] = state
        told = {key: value for key, value in change.items() if key not in {"t_ns", "node"}}
        self._emit(f"{EVENTS[self._place.of]}.{state}", node, {"by": self._service, "at_ns": change["t_ns"], **told})

    def _probe(self, ok: int, data: dict[str, Any]) -> None:
        self._add("probes", (self._clock.now_ns(), self._place.of, self._service, ok, json.dumps(data)))
