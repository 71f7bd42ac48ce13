"""
Around every request: a scope (trace, deadline, fallbacks), a worker, and the `x-fallback` header.

The actuator and the ledger go past it: whoever watches a service must get through when its workers are busy.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from services.shop.scope import Scope, enter
from services.shop.trace import Trace
from services.shop.workers import Overloaded, Workers

FALLBACK_HEADER = "x-fallback"
_UNLIMITED = ("/actuator", "/ledger")


class RequestScope:
    """ASGI middleware; served counts how many answers each fallback had a part in."""

    def __init__(self, app: ASGIApp, *, workers: Workers, deadline_s: float) -> None:
        self.app = app
        self.workers = workers
        self.deadline_s = deadline_s
        self.served: Counter[str] = Counter()
        self.turned_away = 0

    async def __call__(self, asgi: AsgiScope, receive: Receive, send: Send) -> None:
        if asgi["type"] != "http" or asgi["path"].startswith(_UNLIMITED):
            await self.app(asgi, receive, send)
            return
        scope = Scope(
            trace=Trace.read(Headers(scope=asgi).get("traceparent")),
            deadline_s=time.monotonic() + self.deadline_s,
        )
        enter(scope)
        try:
            async with self.workers.one(wait_at_most_s=scope.remaining_s()):
                await self.app(asgi, receive, self._marking(scope, send))
        except Overloaded as problem:
            self.turned_away += 1
            await JSONResponse({"error": "overloaded", "detail": str(problem)}, 503)(asgi, receive, send)

    def _marking(self, scope: Scope, send: Send) -> Send:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start" and scope.fallbacks:
                self.served.update(scope.fallbacks)
                MutableHeaders(scope=message)[FALLBACK_HEADER] = ",".join(scope.fallbacks)
            await send(message)

        return marked

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """Name, labels and value of what this middleware counts."""
        rows: list[tuple[str, dict[str, str], Any]] = [
            ("shop_workers_busy", {}, self.workers.busy),
            ("shop_workers_waiting", {}, self.workers.waiting),
            ("shop_workers_max", {}, self.workers.count),
            ("shop_turned_away_total", {}, self.turned_away),
        ]
        rows += [("shop_fallbacks_served_total", {"name": n}, count) for n, count in sorted(self.served.items())]
        return [(name, labels, float(value)) for name, labels, value in rows]
