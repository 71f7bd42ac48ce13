"""
How the runner talks to the gate: one short connection for each request, so any thread may ask at any time.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import HarnessError


class GateError(HarnessError):
    """The gate did not do what it was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """
    The gate's monotonic clock minus ours, and by how much that may be wrong: half of the time the question took.

    The same clock on both sides shows as an offset within the doubt.
    """

    offset_ns: int
    doubt_ns: int

    @property
    def shift_ns(self) -> int:
        """What the gate's stamps have to be put back by; 0 when the two may well be the same clock."""
        return self.offset_ns if abs(self.offset_ns) > self.doubt_ns else 0


class GateClient:
    """Asks the gate at host:port. Every call raises GateError after at most about timeout_s."""

    def __init__(self, host: str, port: int, token: str, timeout_s: float = 5.0) -> None:
        self._address = (host, port)
        self._token = token
        self._timeout_s = timeout_s

    def fault_on(self, name: str, link: str, spec: Mapping[str, Any]) -> int:
        """Switch a fault on (spec as in gate/faults.py), or renew it; returns the monotonic instant it held from."""
        answer = self._ask({"op": "fault.on", "name": name, "link": link, "spec": dict(spec)})
        return int(answer["t_ns"])

    def fault_off(self, name: str, link: str) -> dict[str, Any]:
        """Switch a fault off: {was_on, matched, hits, t_ns}. Safe to call twice."""
        return self._ask({"op": "fault.off", "name": name, "link": link})

    def status(self) -> dict[str, Any]:
        """{links: {name: {connections, connections_open, exchanges, in_flight, faults}}, rows_lost, spool_error}."""
        return self._ask({"op": "status"})

    def clock(self, tries: int = 15) -> ClockReading:
        """How the gate's clock stands to ours, by the quickest of some questions."""
        return min((self._clock_once() for _ in range(tries)), key=lambda reading: reading.doubt_ns)

    def _clock_once(self) -> ClockReading:
        asked_ns = time.monotonic_ns()
        theirs_ns = int(self._ask({"op": "clock"})["t_ns"])
        answered_ns = time.monotonic_ns()
        return ClockReading(
            offset_ns=theirs_ns - (asked_ns + answered_ns) // 2, doubt_ns=(answered_ns - asked_ns + 1) // 2
        )

    def stop(self) -> None:
        """Ask the gate to end; it writes its last rows and exits."""
        self._ask({"op": "stop"})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        words = " ".join(str(request[key]) for key in ("op", "name", "link") if key in request)
        lines = json.dumps({"token": self._token}) + "\n" + json.dumps(request) + "\n"
        try:
            with socket.create_connection(self._address, self._timeout_s) as connection:
                connection.sendall(lines.encode())
                with connection.makefile("rb") as reader:
                    line = reader.readline()
            answer = json.loads(line) if line else None
        except (OSError, ValueError) as error:
            raise GateError(f"the gate at {self._place()} did not answer {words!r}: {error}") from error
        if not isinstance(answer, dict):
            raise GateError(
                f"the gate at {self._place()} closed the connection on {words!r}", hint="is the token the run's own?"
            )
        if not answer.pop("ok", False):
            raise GateError(f"the gate refused {words!r}: {answer.get('error')}")
        return answer

    def _place(self) -> str:
        return f"{self._address[0]}:{self._address[1]}"
