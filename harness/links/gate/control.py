"""
How the runner talks to the gate: TCP on loopback, one JSON object a line.

The first line is {"token": ...}; a wrong one closes the connection without a word. Then each of
`fault.on` (name, link, spec), `fault.off` (name, link), `status`, `clock` and `stop` is answered by one line,
{"ok": true, ...} or {"ok": false, "error": ...}. Answers to fault.on and fault.off carry `t_ns`, the instant it held.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from typing import Any, Protocol

from harness.errors import HarnessError
from harness.links.gate.faults import FaultSpec, FaultSpecError
from harness.links.gate.link import Link

LONGEST_LINE_BYTES = 1024 * 1024
TOKEN_LIMIT_S = 5.0  # who has not shown the token by then has no business here


class Controlled(Protocol):
    """What is controlled: the gate."""

    links: dict[str, Link]

    def status(self) -> dict[str, Any]: ...

    def stop(self) -> None: ...


class ControlServer:
    """Answers the runner."""

    def __init__(self, gate: Controlled, token: str) -> None:
        self._gate = gate
        self._token = token.encode()
        self._server: asyncio.Server | None = None
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "fault.on": self._fault_on,
            "fault.off": self._fault_off,
            "status": lambda _: self._gate.status(),
            "clock": lambda _: {"t_ns": time.monotonic_ns()},
            "stop": self._stop,
        }

    async def listen(self, host: str, port: int) -> None:
        """Bind. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._talk, host, port, limit=LONGEST_LINE_BYTES)

    def close(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._token_is_right(await asyncio.wait_for(reader.readline(), TOKEN_LIMIT_S)):
                while line := await reader.readline():
                    writer.write(json.dumps(self._answer(line)).encode() + b"\n")
                    await writer.drain()
        except (OSError, ValueError):
            pass  # the other end is gone or says nothing, or its line has no end: nobody to tell
        finally:
            writer.close()

    def _token_is_right(self, line: bytes) -> bool:
        try:
            token = json.loads(line)["token"]
        except (ValueError, KeyError, TypeError):
            return False
        return isinstance(token, str) and hmac.compare_digest(token.encode(), self._token)

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict) or request.get("op") not in self._operations:
                raise FaultSpecError(f"unknown request {line[:200]!r}", hint=f"known: {', '.join(self._operations)}")
            return {"ok": True, **self._operations[request["op"]](request)}
        except HarnessError as error:
            return {"ok": False, "error": f"{error}; {error.hint}" if error.hint else str(error)}
        except (ValueError, TypeError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}

    def _link(self, request: dict[str, Any]) -> Link:
        link = self._gate.links.get(str(request.get("link")))
        if link is None:
            raise FaultSpecError(
                f"unknown link {request.get('link')!r}", hint=f"known: {', '.join(sorted(self._gate.links))}"
            )
        return link

    def _fault_on(self, request: dict[str, Any]) -> dict[str, Any]:
        name, spec = request.get("name"), request.get("spec")
        if not isinstance(name, str) or not name or "," in name:
            raise FaultSpecError(f"{name!r} is no name of a fault; a text without commas is")
        if not isinstance(spec, dict):
            raise FaultSpecError(f"spec of fault {name!r} is {spec!r}, must be an object")
        self._link(request).fault_on(name, FaultSpec.of(spec))
        return {"t_ns": time.monotonic_ns()}

    def _fault_off(self, request: dict[str, Any]) -> dict[str, Any]:
        counts = self._link(request).fault_off(str(request.get("name")))
        return {"was_on": counts is not None, **(counts or {}), "t_ns": time.monotonic_ns()}

    def _stop(self, _: dict[str, Any]) -> dict[str, Any]:
        self._gate.stop()
        return {}
