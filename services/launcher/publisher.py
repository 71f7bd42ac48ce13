"""
A program's state for whoever observes it: looked at again and again, its changes kept, published as JSON over HTTP.

`GET /state` answers `{"nodes": {name: {...}}, "changes": [{"t_ns", "node", "from", "to", ...}]}`; stamps are the
machine's monotonic clock in nanoseconds. A state that cannot be read is answered with 503.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATH = "/state"
LOOK_EVERY_S = 0.05
_MOST_CHANGES = 500

Nodes = Mapping[str, Mapping[str, Any]]
"""By name; each has at least `state`, a word whose changes are kept."""


class Watch:
    """What was seen last, and every change of a node's `state`; safe under threads."""

    def __init__(self, read: Callable[[], Nodes], now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._read, self._now_ns = read, now_ns
        self._nodes: Nodes = {}
        self._problem: str | None = "nothing was seen yet"
        self._changes: deque[dict[str, Any]] = deque(maxlen=_MOST_CHANGES)
        self._lock = threading.Lock()

    def look(self) -> None:
        """Read the state once. A node seen for the first time is no change."""
        try:
            nodes = self._read()
        except (OSError, ValueError, KeyError) as problem:
            with self._lock:
                self._problem = f"{type(problem).__name__}: {problem}"
            return
        at_ns = self._now_ns()
        with self._lock:
            for name, node in nodes.items():
                before = self._nodes.get(name)
                if before is not None and before["state"] != node["state"]:
                    self._changes.append({
                        "t_ns": at_ns, "node": name, "from": before["state"], "to": node["state"], **node,
                    })  # fmt: skip
            self._nodes, self._problem = nodes, None

    def shown(self) -> tuple[int, dict[str, Any]]:
        """Status and body of an answer."""
        with self._lock:
            if self._problem is not None:
                return 503, {"error": self._problem}
            return 200, {"nodes": dict(self._nodes), "changes": list(self._changes)}


class Publisher:
    """Looks every 50 ms and answers on host:port, in threads that end with the process. Raises OSError."""

    def __init__(self, watch: Watch, host: str, port: int) -> None:
        self._watch = watch
        self._server = ThreadingHTTPServer((host, port), _handler(watch))
        self._server.daemon_threads = True
        self._stopping = threading.Event()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        threading.Thread(target=self._look, daemon=True, name="look").start()
        threading.Thread(target=self._server.serve_forever, daemon=True, name="publish").start()

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def _look(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            self._watch.look()


def _handler(watch: Watch) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = watch.shown() if self.path == PATH else (404, {"error": f"only {PATH} is here"})
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """An observer asks five times a second: nobody wants to read that."""

    return Handler
