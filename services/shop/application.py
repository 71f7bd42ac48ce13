"""
What all five services have in common: one ASGI application around a service's own routes, and the server.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NoReturn

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from services.resilience import ConfigError, DegradationManager, Indicator
from services.resilience.asgi import Protections
from services.shop import logs
from services.shop.actuator import Actuator, Metric
from services.shop.ledger import LedgerUnavailable
from services.shop.middleware import RequestScope
from services.shop.scope import current
from services.shop.settings import Settings, SettingsError
from services.shop.workers import Workers

Part = tuple[Callable[[], Awaitable[Any]], Callable[[], Awaitable[Any]]]  # how to open it, how to close it

_KEEP_ALIVE_S = 30  # longer than the shop's own client keeps a connection


class Unavailable(Exception):
    """A neighbour could not be asked and no fallback stands in; answered with 503."""


class Refused(Exception):
    """The request cannot be served as it is; answered with a status of its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def application(
    settings: Settings,
    routes: Sequence[Route],
    *,
    protections: Protections,
    parts: Sequence[Part] = (),
    indicators: Sequence[Indicator] = (),
    flags: DegradationManager | None = None,
    own_metrics: Callable[[], list[Metric]] = list,
) -> ASGIApp:
    """
    One service. parts are opened in order when it starts, and closed in reverse when it stops. indicators are what its
    health is made of, flags what it can be degraded by, own_metrics what it counts besides.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as undo:
            for opening, closing in parts:
                undo.push_async_callback(closing)
                await opening()
            logs.say("started", host=settings.host, port=settings.port, pid=os.getpid())
            yield
        logs.say("stopped")

    def metrics() -> list[Metric]:
        return [*around.metrics(), *(flags.metrics() if flags is not None else []), *own_metrics()]

    actuator = Actuator(protections, metrics=metrics, indicators=indicators, flags=flags, exposed=settings.exposed)
    inner = Starlette(
        routes=[*routes, *actuator.routes()],
        exception_handlers={Unavailable: _unavailable, LedgerUnavailable: _unavailable, Refused: _refused},
        lifespan=lifespan,
    )
    workers = Workers(count=settings.workers, queue=settings.queue)
    around = RequestScope(inner, workers=workers, deadline_s=settings.deadline_s, heeds=settings.deadline_travels)
    return around


async def _unavailable(_: Request, problem: Exception) -> Response:
    return JSONResponse({"error": str(problem), "detail": repr(problem.__cause__)}, 503)


async def _refused(_: Request, problem: Exception) -> Response:
    return JSONResponse({"error": str(problem)}, problem.status if isinstance(problem, Refused) else 400)


async def json_body(request: Request) -> dict[str, Any]:
    """The request's JSON object. Raises Refused when it is no object or does not arrive in time."""
    try:
        async with asyncio.timeout(current().remaining_s()):
            body = await request.json()
    except TimeoutError:
        raise Refused(408, "the body did not arrive in time") from None
    except ValueError:
        raise Refused(400, "the body is no JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, f"the body is {type(body).__name__}, it must be an object")
    return body


def number_in_path(request: Request, name: str) -> int:
    """A whole number of 1 or more from the path. Raises Refused."""
    text = str(request.path_params[name])
    if not (text.isascii() and text.isdigit() and len(text) <= 15 and int(text) >= 1):
        raise Refused(400, f"{name} is {text!r}, it must be a whole number from 1")
    return int(text)


def run(service: str, build: Callable[[Mapping[str, str]], tuple[Settings, ASGIApp]]) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then exit 0; exit 2 when the environment is wrong, 1 or 3 when it cannot start."""
    logs.configure(service)
    try:
        settings, app = build(os.environ)
    except (SettingsError, ConfigError) as problem:
        logs.LOG.error("%s", problem)
        sys.exit(2)
    _serve(settings, app)
    sys.exit(0)


def _serve(settings: Settings, app: ASGIApp) -> None:
    import uvicorn

    # uvicorn raises the signal that ended it once more when it is done; an orderly end is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )
