"""
What the gate writes down: rows of `wire`, `connections`, `probes` and `events`, into its spool.

Rows are collected as they come and turned into text when they are flushed, so a request does not wait for it.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from harness.journal.spool import SpoolWriter

if TYPE_CHECKING:
    from harness.links.gate.exchanges import Exchange
    from harness.links.gate.relay import Relay


class WireLog:
    """Collects rows; flush() hands them to the spool. A full disk loses rows, is said once, and stops no traffic."""

    def __init__(self, spool: SpoolWriter) -> None:
        self._spool = spool
        self._rows: list[tuple[str, tuple[object, ...]]] = []
        self.rows_lost = 0
        self.error: str | None = None

    def exchange(self, link: str, connection: int, e: Exchange) -> None:
        """One HTTP exchange that ended."""
        values = (
            link, connection, e.number, e.method, e.path, e.trace, e.arrived_ns, e.forwarded_ns, e.head_ns,
            e.ended_ns, e.status, e.request_bytes, e.response_bytes, e.ending, ",".join(e.faults), e.in_flight,
        )  # fmt: skip
        self._rows.append(("wire", values))

    def connection(self, link: str, relay: Relay) -> None:
        """One connection that is over."""
        protocol = "unknown"
        if relay.bytes_up or relay.bytes_down:
            protocol = "http" if relay.exchanges.count else "raw"
        values = (
            link, relay.number, protocol, relay.opened_ns, relay.connected_ns, relay.closed_ns, relay.closed_by,
            relay.ending, relay.bytes_up, relay.bytes_down,
        )  # fmt: skip
        self._rows.append(("connections", values))

    def probe(self, now_ns: int, link: str, data: dict[str, Any]) -> None:
        """How much is going on on a link."""
        self._rows.append(("probes", (now_ns, "gate", link, 1, json.dumps(data))))

    def event(self, now_ns: int, kind: str, data: dict[str, Any]) -> None:
        """One event whose subject is the gate."""
        self._rows.append(("events", (now_ns, kind, "gate", json.dumps(data))))

    def flush(self) -> None:
        """Hand all rows to the operating system."""
        rows, self._rows = self._rows, []
        try:
            for table, values in rows:
                self._spool.append(table, values)
            self._spool.flush()
        except OSError as error:
            self.rows_lost += len(rows)
            if self.error is None:
                self.error = str(error)
                print(json.dumps({"event": "spool_failed", "error": self.error}), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Flush and close; may be called twice."""
        self.flush()
        try:
            self._spool.close()
        except OSError as error:
            self.error = self.error or str(error)
