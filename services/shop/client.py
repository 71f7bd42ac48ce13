"""
The one HTTP client of the shop: aiohttp with its silent repeat off, four time-outs and bounded connections.

aiohttp sends an idempotent request a second time when its connection breaks, and has no public switch for it
(aio-libs/aiohttp issue 10790); retries belong to the retry of the neighbour, where they are counted.
It is imported when the client opens: only services that ask a neighbour pay for it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.resilience import deadline
from services.resilience.retry_after import retry_after_s
from services.shop.scope import current

if TYPE_CHECKING:
    import aiohttp


_TRY_LATER = (408, 425, 429)  # a 4xx that says "not now" is no verdict on what was asked


class NeighbourFailed(Exception):
    """A neighbour gave no usable answer."""


class ConnectionFailed(NeighbourFailed, ConnectionError):
    """Refused, reset, or closed before the answer was whole."""


class ServerFailed(NeighbourFailed):
    """Answered, but with a 5xx, a "not now" or something that cannot be read.

    retry_after_s: how long the neighbour asks to be left alone, where it says so; a retry may honour it.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class AnswerTooLate(NeighbourFailed, TimeoutError):
    """No answer within the client's time-outs or what the request had left."""


class DeadlinePassed(NeighbourFailed):
    """The request had no time left to ask at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """The last bounds of a call; the neighbours' time limits are tighter. Connections are counted per neighbour."""

    total_s: float = 2.0
    connection_s: float = 0.5  # wait for a free connection and make it
    connect_s: float = 0.3
    read_s: float = 1.5  # between two pieces of an answer
    connections: int = 64
    idle_s: float = 10.0  # below the server's keep-alive, so that the server is never first to close


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A usable answer: 2xx with a JSON object, or a 4xx that is a verdict on what was asked."""

    status: int
    body: Any


class HttpClient:
    """Asks neighbours. One per process, opened in the running event loop.

    tells: whether it says with each request, in `x-remaining-time-ms`, how long it will wait for the answer.
    """

    def __init__(self, limits: ClientLimits | None = None, *, neighbours: int = 4, tells: bool = True) -> None:
        self.limits = limits or ClientLimits()
        self.tells = tells
        self._neighbours = neighbours
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        import aiohttp

        connector = aiohttp.TCPConnector(
            limit=self.limits.connections * self._neighbours,
            limit_per_host=self.limits.connections,
            keepalive_timeout=self.limits.idle_s,
        )
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        assert hasattr(self._session, "_retry_connection"), "aiohttp no longer has the switch for its silent repeat"
        self._session._retry_connection = False  # noqa: SLF001  # there is no public one

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(
        self, method: str, url: str, *, attempt: int = 1, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """
        One request, sent once. attempt counts from 1 within one protected call and travels in `x-attempt`.
        Raises ConnectionFailed, ServerFailed, AnswerTooLate or DeadlinePassed.
        """
        import aiohttp

        assert self._session is not None, "the client is used before open()"
        scope = current()
        left_s = scope.remaining_s()
        if left_s <= 0:
            raise DeadlinePassed(f"{method} {url}: no time left")
        sent = {"traceparent": scope.trace.header(), "x-attempt": str(attempt), **(headers or {})}
        if self.tells:
            sent = deadline.outgoing_headers(sent)
        try:
            async with self._session.request(
                method, url, json=body, headers=sent, timeout=self._timeout(left_s), allow_redirects=False
            ) as response:
                return answer_of(
                    f"{method} {url}", response.status, await response.read(), response.headers.get("retry-after")
                )
        except TimeoutError as problem:
            raise AnswerTooLate(f"{method} {url}: {problem or 'no answer in time'}") from problem
        except (aiohttp.ClientError, OSError) as problem:
            raise ConnectionFailed(f"{method} {url}: {type(problem).__name__}: {problem}") from problem

    def _timeout(self, left_s: float) -> aiohttp.ClientTimeout:
        import aiohttp

        return aiohttp.ClientTimeout(
            total=min(self.limits.total_s, left_s),
            connect=self.limits.connection_s,
            sock_connect=self.limits.connect_s,
            sock_read=self.limits.read_s,
        )


def answer_of(what: str, status: int, content: bytes, retry_after: str | None = None) -> Answer:
    """The answer to a request, if it can be used; retry_after is that header. Raises ServerFailed with what was asked."""
    if not 200 <= status < 500 or 300 <= status < 400 or status in _TRY_LATER:
        wait_s = retry_after_s(retry_after, time.time()) if retry_after else None
        raise ServerFailed(f"{what}: status {status}", retry_after_s=wait_s)
    try:
        body = json.loads(content) if content else None
    except ValueError:
        body = None
    if status < 300 and not isinstance(body, dict):
        raise ServerFailed(f"{what}: status {status} without a JSON object")
    return Answer(status=status, body=body)
