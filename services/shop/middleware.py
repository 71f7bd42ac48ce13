"""
Around every request: a scope (trace, deadline, fallbacks), a worker, and the headers `x-fallback` and `x-source`.

Who asks may say in `x-remaining-time-ms` how long he waits. Nobody works for him after that: the request leaves the
queue for a worker, and is answered 504.

The actuator and the ledger go past it: whoever watches a service must get through when its workers are busy.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from services.resilience import deadline
from services.shop.scope import Scope, enter
from services.shop.trace import Trace
from services.shop.workers import Overloaded, Workers

FALLBACK_HEADER = "x-fallback"
SOURCE_HEADER = "x-source"  # product=cache@0.0: the part, where it is from, its age in seconds where it is stale
_UNLIMITED = ("/actuator", "/ledger")
_EARLY_S = 0.005  # a timer may go off a little before its time

TOO_LATE = 504
_TOO_LATE = JSONResponse({"error": "too late", "detail": "who asked does not wait any longer"}, TOO_LATE)


class RequestScope:
    """
    ASGI middleware. served counts how many answers each fallback had a part in, too_late the requests refused because
    their caller had given up. heeds: whether it reads from a request how long its caller waits.
    """

    def __init__(self, app: ASGIApp, *, workers: Workers, deadline_s: float, heeds: bool = True) -> None:
        self.app = app
        self.workers = workers
        self.deadline_s = deadline_s
        self.served: Counter[str] = Counter()
        self.turned_away = 0
        self.heeds = heeds
        self.too_late = 0

    async def __call__(self, asgi: AsgiScope, receive: Receive, send: Send) -> None:
        if asgi["type"] != "http" or asgi["path"].startswith(_UNLIMITED):
            await self.app(asgi, receive, send)
            return
        scope = self._scope(Headers(scope=asgi))
        enter(scope)
        marked = self._marking(scope, send)
        try:
            async with self.workers.one(wait_at_most_s=scope.remaining_s()):
                await (_TOO_LATE if scope.given_up else self.app)(asgi, receive, marked)
        except Overloaded as problem:
            if scope.given_up_s - time.monotonic() <= _EARLY_S:
                await _TOO_LATE(asgi, receive, marked)
                return
            self.turned_away += 1
            await JSONResponse({"error": "overloaded", "detail": str(problem)}, 503)(asgi, receive, send)

    def _scope(self, headers: Headers) -> Scope:
        told_s = deadline.read_remaining(headers) if self.heeds else None
        now_s, waits_s = time.monotonic(), math.inf if told_s is None else told_s
        return Scope(
            trace=Trace.read(headers.get("traceparent")),
            deadline_s=now_s + min(self.deadline_s, waits_s),
            given_up_s=now_s + waits_s,
        )

    def _marking(self, scope: Scope, send: Send) -> Send:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.too_late += message["status"] == TOO_LATE
                if scope.fallbacks:
                    self.served.update(scope.fallbacks)
                    MutableHeaders(scope=message)[FALLBACK_HEADER] = ",".join(scope.fallbacks)
                if scope.sources:
                    told = (f"{part}={source}" for part, source in scope.sources.items())
                    MutableHeaders(scope=message)[SOURCE_HEADER] = ",".join(told)
            await send(message)

        return marked

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """Name, labels and value of what this middleware counts."""
        rows: list[tuple[str, dict[str, str], Any]] = [
            ("shop_workers_busy", {}, self.workers.busy),
            ("shop_workers_waiting", {}, self.workers.waiting),
            ("shop_workers_max", {}, self.workers.count),
            ("shop_turned_away_total", {}, self.turned_away),
            ("shop_too_late_total", {}, self.too_late),
        ]
        rows += [("shop_fallbacks_served_total", {"name": n}, count) for n, count in sorted(self.served.items())]
        return [(name, labels, float(value)) for name, labels, value in rows]
