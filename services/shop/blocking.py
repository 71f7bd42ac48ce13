"""
The blocking HTTP client: the same question and the same answers as `client.py`, for code that runs in a thread.

Standard library, one connection a request. Its caller holds a thread of a pool as long as the neighbour takes.
"""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

from services.resilience import deadline
from services.shop.client import (
    Answer,
    AnswerTooLate,
    ClientLimits,
    ConnectionFailed,
    DeadlinePassed,
    answer_of,
)
from services.shop.scope import current


class BlockingClient:
    """Asks neighbours from threads; safe in any number of them. tells: as of HttpClient."""

    def __init__(self, limits: ClientLimits | None = None, *, tells: bool = True) -> None:
        self.limits = limits or ClientLimits()
        self.tells = tells

    def ask(
        self, method: str, url: str, *, attempt: int = 1, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request, sent once. Raises ConnectionFailed, ServerFailed, AnswerTooLate or DeadlinePassed."""
        what = f"{method} {url}"
        ends_s = time.monotonic() + min(self.limits.total_s, _left_s(what))
        sent = {"traceparent": current().trace.header(), "x-attempt": str(attempt), **(headers or {})}
        if self.tells:
            sent = deadline.outgoing_headers(sent)
        content = None
        if body is not None:
            content, sent["content-type"] = json.dumps(body).encode(), "application/json"
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self.limits.connect_s)
        try:
            connection.connect()
            self._wait_until(connection, ends_s)
            connection.request(method, parts.path, content, sent)
            response = connection.getresponse()
            self._wait_until(connection, ends_s)
            return answer_of(what, response.status, response.read(), response.headers.get("retry-after"))
        except TimeoutError as problem:
            raise AnswerTooLate(f"{what}: {problem or 'no answer in time'}") from problem
        except (http.client.HTTPException, OSError) as problem:
            raise ConnectionFailed(f"{what}: {type(problem).__name__}: {problem}") from problem
        finally:
            connection.close()

    def _wait_until(self, connection: http.client.HTTPConnection, ends_s: float) -> None:
        left_s = ends_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("no answer in time")
        if connection.sock is not None:  # None: the answer came with the connection's end, and is here
            connection.sock.settimeout(min(self.limits.read_s, left_s))


def _left_s(what: str) -> float:
    """What the request, and the time limit around this call, have left. Raises DeadlinePassed."""
    limit_s = deadline.remaining()
    left_s = current().remaining_s() if limit_s is None else min(limit_s, current().remaining_s())
    if left_s <= 0:
        raise DeadlinePassed(f"{what}: no time left")
    return left_s
