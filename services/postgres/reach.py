"""
How the supervisor reaches nodes and the switch: HTTP, and signals to servers of its own machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from services.postgres import processes
from services.postgres.http_json import ask
from services.postgres.settings import SupervisorSettings

ASK_LIMIT_S = 1.0


class Reach(Protocol):
    """How nodes and the switch are asked. Every call raises NoAnswer."""

    def node(
        self, node: str, method: str, path: str, body: Mapping[str, Any] | None = None, *, limit_s: float
    ) -> dict[str, Any]: ...

    def switch(self, target: str | None, *, cut: bool) -> None: ...

    def kill(self, state: Mapping[str, Any]) -> int:
        """End a server by its pid; 0 when it is no process that can be seen from here."""
        ...


class NetworkReach:
    """The real one: HTTP to nodes and switch, signals to servers of this machine."""

    def __init__(self, settings: SupervisorSettings) -> None:
        self._settings = settings
        self._machine = processes.machine()

    def node(
        self, node: str, method: str, path: str, body: Mapping[str, Any] | None = None, *, limit_s: float
    ) -> dict[str, Any]:
        return ask(self._settings.nodes[node], method, path, body, limit_s=limit_s)

    def switch(self, target: str | None, *, cut: bool) -> None:
        if self._settings.switch is not None:
            ask(self._settings.switch, "PUT", "/target", {"node": target, "cut": cut}, limit_s=ASK_LIMIT_S)

    def kill(self, state: Mapping[str, Any]) -> int:
        pid = state.get("postmaster")
        if not pid or state.get("machine") != self._machine:
            return 0
        return processes.kill_tree(int(pid), float(state.get("postmaster_born_s") or 0.0))
