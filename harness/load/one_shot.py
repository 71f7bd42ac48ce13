"""
The load's HTTP client: one request on the wire for every request asked for, never a second one.

Runs in the load child only (gevent sockets). Connections are kept alive and used
again, latest first. There is no limit to them: the load counts what is in flight.
Redirects are answers like any other, and nothing is ever sent again.
"""

from __future__ import annotations

import socket as plain_socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from gevent import socket
from geventhttpclient.response import HTTPResponse

from harness.errors import InputError
from harness.load.outcome import FALLBACK_HEADER, SOURCE_HEADER, Answer, ClosedEarly, Phase, error_class, made_of
from harness.load.requests import Request

READ_BYTES = 64 * 1024
# Younger than any usual keep-alive limit of a server (uvicorn's is 5 s), so that a connection which the server is
# just closing is not taken for the system's fault.
IDLE_LIMIT_S = 2.0
SELF_TEST_TIMEOUT_S = 1.0


class OneShotClient:
    """Sends requests to one base address, such as http://127.77.2.1:18082. Raises InputError for any other scheme."""

    def __init__(self, base: str, *, timeout_s: float) -> None:
        parts = urlsplit(base)
        if parts.scheme != "http" or not parts.hostname:
            raise InputError(f"the load cannot send to {base!r}", hint="give an address such as http://127.0.0.1:8080")
        self._address = (parts.hostname, parts.port or 80)
        self._host = parts.netloc
        self._timeout_s = timeout_s
        self._idle: list[tuple[float, socket.socket]] = []

    def send(self, request: Request) -> Answer:
        """Send it and read the whole answer, in timeout_s altogether. Trouble becomes the answer's error."""
        deadline_s = time.monotonic() + self._timeout_s
        phase: Phase = "connect"
        connection = self._idle_connection()
        reader = HTTPResponse(request.method)
        try:
            if connection is None:
                connection = self._connect(deadline_s)
            phase = "exchange"
            connection.settimeout(_left_s(deadline_s))
            connection.sendall(self._on_the_wire(request))
            _read(connection, reader, deadline_s)
        except Exception as error:  # every way of failing is an outcome to write down
            _close(connection)
            return _answer(reader, error_class(error, phase))
        if reader.should_close():
            _close(connection)
        else:
            self._idle.append((time.monotonic(), connection))
        return _answer(reader, None)

    def close(self) -> None:
        """Close the idle connections; may be called twice."""
        while self._idle:
            _close(self._idle.pop()[1])

    def _idle_connection(self) -> socket.socket | None:
        while self._idle:
            since_s, connection = self._idle.pop()
            if time.monotonic() - since_s <= IDLE_LIMIT_S and _is_quiet(connection):
                return connection
            _close(connection)
        return None

    def _connect(self, deadline_s: float) -> socket.socket:
        connection = socket.create_connection(self._address, timeout=_left_s(deadline_s))
        connection.setsockopt(plain_socket.IPPROTO_TCP, plain_socket.TCP_NODELAY, 1)
        return connection

    def _on_the_wire(self, request: Request) -> bytes:
        lines = [f"{request.method} {request.target} HTTP/1.1"]
        if not any(name.lower() == "host" for name, _ in request.headers):
            lines.append(f"Host: {self._host}")
        lines += [f"{name}: {value}" for name, value in request.headers]
        if request.body or request.method in {"POST", "PUT", "PATCH"}:
            lines.append(f"Content-Length: {len(request.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body


def one_shot_sender() -> Callable[[str, str, str], Answer]:
    """A sender for the self-test, with a client of its own: method, base address, path."""
    clients: dict[str, OneShotClient] = {}

    def send(method: str, base: str, path: str) -> Answer:
        client = clients.setdefault(base, OneShotClient(base, timeout_s=SELF_TEST_TIMEOUT_S))
        return client.send(
            Request(name=path, to="", method=method, target=path, headers=(), body=b"", key=None, trace="", ok=())
        )

    return send


def _read(connection: socket.socket, reader: HTTPResponse, deadline_s: float) -> None:
    """Feed the reader until the final answer is complete. Raises ClosedEarly, OSError, HTTPParseError."""
    while not (reader.message_complete and reader.get_code() >= 200):
        connection.settimeout(_left_s(deadline_s))
        data = connection.recv(READ_BYTES)
        if data:
            reader.feed(data)
        elif reader.headers_complete and "content-length" not in reader and "transfer-encoding" not in reader:
            return  # such a body ends where the connection does
        else:
            raise ClosedEarly


def _answer(reader: HTTPResponse, error: str | None) -> Answer:
    if not reader.headers_complete:
        return Answer(error=error)
    told = [reader.get(name) for name in (FALLBACK_HEADER, SOURCE_HEADER)]
    return Answer(
        status=int(reader.get_code()),
        body_bytes=len(reader._body_buffer),  # noqa: SLF001  # reading it out would copy it
        error=error,
        fallback=made_of(*(",".join(one) if isinstance(one, list) else one for one in told)),
    )


def _is_quiet(connection: socket.socket) -> bool:
    """Whether an idle connection is still open and has nothing to say; whatever came unasked makes it unfit."""
    try:
        connection.settimeout(0.0)
        connection.recv(1, plain_socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _left_s(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _close(connection: socket.socket | None) -> None:
    if connection is not None:
        try:
            connection.close()
        except OSError:
            pass
