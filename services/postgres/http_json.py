"""
The launchers' way of talking: small JSON over HTTP, asked with a limit and answered from threads. Standard library only.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from services.postgres.problems import StartError
from services.postgres.settings import Address

Answer = tuple[int, Mapping[str, Any]]
Handler = Callable[[Mapping[str, Any]], Answer]
Routes = Mapping[tuple[str, str], Handler]
"""(method, path) -> what answers it: a status and a JSON object."""

_LARGEST_BODY = 64 * 1024


class NoAnswer(Exception):
    """Nobody answered in time, or not with 200 to 299; the text says what came instead."""


class Caller:
    """Asks one address over one kept connection. Not for several threads at once."""

    def __init__(self, where: Address) -> None:
        self._where = where
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, limit_s: float) -> dict[str, Any]:
        """The answer's JSON object. The whole exchange ends within limit_s. Raises NoAnswer."""
        ends_s = time.monotonic() + limit_s
        connection = self._connection or http.client.HTTPConnection(*self._where)
        self._connection = connection
        connection.timeout = limit_s
        try:
            if connection.sock is None:
                connection.connect()
            assert connection.sock is not None
            connection.sock.settimeout(max(0.001, ends_s - time.monotonic()))
            connection.request(method, path, json.dumps(body or {}), {"Content-Type": "application/json"})
            connection.sock.settimeout(max(0.001, ends_s - time.monotonic()))
            answer = connection.getresponse()
            text = answer.read()
            found = json.loads(text)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise NoAnswer(f"{type(error).__name__}: {error}") from error
        if not 200 <= answer.status < 300 or not isinstance(found, dict):
            raise NoAnswer(f"status {answer.status}: {text[:300].decode(errors='replace')}")
        return found

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def ask(
    where: Address, method: str, path: str, body: Mapping[str, Any] | None = None, *, limit_s: float
) -> dict[str, Any]:
    """One question on a connection of its own. Raises NoAnswer."""
    caller = Caller(where)
    try:
        return caller.ask(method, path, body, limit_s=limit_s)
    finally:
        caller.close()


class Server:
    """Answers routes from threads until closed."""

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        """Raises StartError when the port cannot be listened on."""
        try:
            self._server = _Listener((host, port), _handler(routes))
        except OSError as error:
            raise StartError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="http", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def _handler(routes: Routes) -> type[BaseHTTPRequestHandler]:
    class Handling(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60  # an idle connection is let go
        disable_nagle_algorithm = True
        wbufsize = -1  # head and body in one packet

        def _answer(self) -> None:
            length = min(int(self.headers.get("Content-Length") or 0), _LARGEST_BODY)
            try:
                body = json.loads(self.rfile.read(length) or b"{}")
                handler = routes.get((self.command, self.path))
                if not isinstance(body, dict):
                    status, answer = 400, {"error": "the body must be a JSON object"}
                elif handler is None:
                    status, answer = 404, {"error": f"there is no {self.command} {self.path}"}
                else:
                    status, answer = handler(body)  # type: ignore[assignment]
            except Exception as problem:  # a handler that fails must still answer: silence means something else here
                status, answer = 500, {"error": f"{type(problem).__name__}: {problem}"}
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            self.wfile.flush()

        do_GET = do_POST = do_PUT = _answer  # noqa: N815  # the names http.server calls

        def log_message(self, *_: object) -> None:
            """Said elsewhere, and ten times a second."""

    return Handling
