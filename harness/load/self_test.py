"""
Proof, at the start of every load, that the client sends one request for one request.

A little server counts what reaches it while it resets and closes connections in
the ways that make clients try again behind their callers' backs. Runs in the
load child only.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import gevent
from gevent.server import StreamServer

LIMIT_S = 5.0
CALLS = 2  # for each case and method, one after the other
CASES = ("reset", "close", "reset-second", "close-second")
METHODS = ("GET", "POST")

Send = Callable[[str, str, str], object]
"""Sends one request: method, base address, path. What comes of it is ignored, exceptions included."""


def self_test(clients: dict[str, Callable[[], Send]]) -> dict[str, Any]:
    """
    Compare calls with requests that arrived. `clients` makes a fresh sender for each case.

    Returns {"ok", "calls", "upstream", "wrong"}: wrong lists each case in which the two differ, as text.
    """
    counts: Counter[str] = Counter()
    server = StreamServer(("127.0.0.1", 0), lambda connection, _: _serve(connection, counts))
    server.start()
    try:
        with gevent.Timeout(LIMIT_S):
            calls = _call(clients, f"http://127.0.0.1:{server.server_port}")
    except gevent.Timeout:
        return {"ok": False, "calls": 0, "upstream": counts.total(), "wrong": [f"did not end within {LIMIT_S:g} s"]}
    finally:
        server.stop(timeout=0.1)
    wrong = [f"{path}: {calls[path]} calls, {counts[path]} requests" for path in calls if calls[path] != counts[path]]
    return {"ok": not wrong, "calls": calls.total(), "upstream": counts.total(), "wrong": wrong}


def _call(clients: dict[str, Callable[[], Send]], base: str) -> Counter[str]:
    calls: Counter[str] = Counter()
    for client, make in clients.items():
        for case in CASES:
            for method in METHODS:
                path = f"/{client}/{method}/{case}"
                send = make()
                for _ in range(CALLS):
                    calls[path] += 1
                    try:
                        send(method, base, path)
                    except Exception:  # the server sees to it that calls fail; only their number counts
                        pass
    return calls


def _serve(connection: Any, counts: Counter[str]) -> None:
    """Serve one connection until its case says to break it."""
    with connection:
        answered = 0
        while path := _path_of_request(connection):
            counts[path] += 1
            case = path.rpartition("/")[2]
            if answered or not case.endswith("second"):
                if case.startswith("reset"):
                    connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
                return
            answered += 1
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def _path_of_request(connection: Any) -> str | None:
    """Read one request, its body included; None when the client has gone."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        data = connection.recv(4096)
        if not data:
            return None
        seen += data
    head, _, body = seen.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    lengths = [int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:")]
    missing = sum(lengths) - len(body)
    while missing > 0 and (data := connection.recv(4096)):
        missing -= len(data)
    return lines[0].split(" ")[1]
