"""
The Actuator as a small ASGI application of its own: health, breakers, events, metrics, and a stream of events.

    app = actuator_app(registry)  # serve it by itself, or mount it beside the service's own routes

No framework. What the answers hold is said by `actuator.py`, here is HTTP alone; the stream is in `event_stream.py`.
Paths, statuses and media types are Spring Boot 3.5's; /resilience-lint and /degradation are ours.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from services.resilience import spring_health
from services.resilience.event_stream import PATH as STREAM
from services.resilience.event_stream import EventStreams

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Told: TypeAlias = "Mapping[str, Any] | Awaitable[Mapping[str, Any]]"

MEDIA_TYPE = "application/vnd.spring-boot.actuator.v3+json"
METRICS_TYPE = "text/plain;version=0.0.4;charset=utf-8"
HEALTH_TIMEOUT_S = 5.0
"""A health report that takes longer than this many seconds is answered with DOWN."""
MOST_BODY_BYTES = 65_536

_LISTED = (
    "health", "circuitbreakers", "circuitbreakerevents", STREAM, "retries", "retryevents", "bulkheads", "bulkheadevents",
    "ratelimiters", "ratelimiterevents", "timelimiters", "timelimiterevents", "resilience-lint",
)  # fmt: skip
_ILL = ("DOWN", "OUT_OF_SERVICE")


class Protections(Protocol):
    """What the application needs of a registry; `services.resilience.Registry` has it. The stream also needs `all_of`."""

    def actuator(self, path: str) -> dict[str, Any]:
        """The answer at /actuator/PATH. Raises LookupError for what does not exist."""

    def metrics_text(self) -> str:
        """The Prometheus text format."""


class Report(Protocol):
    """What `health` has to be, unless it is a callable: an object that tells itself as JSON, plain or awaitable.

    `to_json()` is /health, `to_json("readiness")` /health/readiness: a mapping with a `status` of UP, DEGRADED, DOWN,
    OUT_OF_SERVICE or UNKNOWN. Raises LookupError for a group that does not exist. A callable is called the same way;
    one without a parameter is asked for the whole, and a group is found in its `components`.
    """

    def to_json(self, group: str | None = None) -> Told:
        """The whole, or one group."""


class Switches(Protocol):
    """What `degradation` has to be, unless it is a callable without parameters.

    `to_json()` is GET /degradation. An `update(name, wish)`, if there is one, is POST /degradation/NAME: it gets the body's
    object, answers with one, and raises LookupError for an unknown name, ValueError for a wish that cannot be granted.
    An `events_json()`, if there is one, is GET /degradationevents. `DegradationManager` has all three.
    """

    def to_json(self) -> Told:
        """The whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer before it is sent."""

    status: int
    body: bytes
    media_type: str = MEDIA_TYPE
    headers: tuple[tuple[str, str], ...] = ()


class _Refusal(Exception):
    def __init__(
        self, status: int, error: str, detail: str | None = None, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(status, error)
        self.status = status
        self.error = error
        self.detail = detail
        self.headers = headers


def actuator_app(
    registry: Protections,
    health: Report | Callable[..., Told] | None = None,
    degradation: Switches | Callable[[], Told] | None = None,
    prefix: str = "/actuator",
    *,
    exposed: str = "*",
    more_metrics: Callable[[], str] | None = None,
) -> ActuatorApp:
    """The application. Paths outside of `prefix` answer 404.

    `health` and `degradation`: see Report and Switches; without a `health` the breakers' and limiters' own is told, by Spring's
    rule. `exposed` is management.endpoints.web.exposure.include: `*`, or names parted by commas; what is not exposed answers
    404, health is always there. `more_metrics` is text for the end of /prometheus. (Shapes: Spring Boot 3.5 with Resilience4j 2.4.0.)
    """
    return ActuatorApp(registry, health, degradation, prefix, exposed=exposed, more_metrics=more_metrics)


class ActuatorApp:
    """ASGI 3: http, and lifespan when it is served by itself. Made by actuator_app; safe for many requests at once."""

    def __init__(
        self,
        registry: Protections,
        health: Report | Callable[..., Told] | None,
        degradation: Switches | Callable[[], Told] | None,
        prefix: str,
        *,
        exposed: str,
        more_metrics: Callable[[], str] | None,
    ) -> None:
        self.prefix = prefix.rstrip("/")
        self.streams = EventStreams(registry)
        self._registry = registry
        self._health = health
        self._degradation = degradation
        self._exposed = frozenset(name.strip() for name in exposed.split(","))
        self._more_metrics = more_metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, as ASGI hands it over."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        path = self._path(scope)
        try:
            if path is not None and path.partition("/")[0] == STREAM and self._shows(STREAM):
                await self._stream(path, scope, receive, send)
                return
            answer = await self._answer(path, scope, receive)
        except _Refusal as refusal:
            answer = _refused(refusal, scope)
        await _send(answer, send, with_body=scope["method"] != "HEAD")

    def _path(self, scope: Scope) -> str | None:
        """What follows the prefix, without slashes at its ends; None where the prefix is not there."""
        path, root = scope["path"], scope.get("root_path", "")
        if root and path.startswith(root + "/"):  # where it is mounted belongs to the path by the newer ASGI text
            path = path[len(root) :]
        if path != self.prefix and not path.startswith(self.prefix + "/"):
            return None
        rest: str = path[len(self.prefix) :]
        return rest.strip("/")

    def _shows(self, endpoint: str) -> bool:
        return endpoint == "health" or bool(self._exposed & {"*", endpoint})

    async def _answer(self, path: str | None, scope: Scope, receive: Receive) -> Answer:
        endpoint, _, rest = (path or "").partition("/")
        if path is None or (endpoint and not self._shows(endpoint)):
            raise _Refusal(404, "Not Found")
        writes = bool(rest) and endpoint in {"circuitbreakers", "degradation"}
        if scope["method"] == "POST" and writes:
            return await self._update(endpoint, rest, await _json_body(scope, receive))
        if scope["method"] not in {"GET", "HEAD"}:
            allowed = "GET, HEAD, POST" if writes else "GET, HEAD"
            raise _Refusal(405, "Method Not Allowed", headers=(("allow", allowed),))
        return await self._look(endpoint, rest, scope)

    async def _look(self, endpoint: str, rest: str, scope: Scope) -> Answer:
        if not endpoint:
            return _json(self._index(scope))
        if endpoint == "health":
            report = await self._report(rest or None)
            return _json(report, 503 if report.get("status") in _ILL else 200)
        if endpoint == "prometheus" and not rest:
            more = self._more_metrics() if self._more_metrics is not None else ""
            return Answer(status=200, body=(self._registry.metrics_text() + more).encode(), media_type=METRICS_TYPE)
        if endpoint == "degradation" and self._degradation is not None and not rest:
            told = _question(self._degradation)()
            return _json(await told if inspect.isawaitable(told) else told)
        if endpoint == "degradationevents" and not rest and (events := self._degradation_events()) is not None:
            return _json(events())
        try:
            return _json(self._registry.actuator(f"{endpoint}/{rest}" if rest else endpoint))
        except LookupError:
            raise _Refusal(404, "Not Found") from None

    def _index(self, scope: Scope) -> dict[str, Any]:
        ours = ["degradation"] if self._degradation is not None else []
        ours += ["degradationevents"] if self._degradation_events() is not None else []
        names = [*_LISTED, *ours, "prometheus"]
        host = next((v.decode("latin-1") for k, v in scope.get("headers", ()) if k == b"host"), "localhost")
        base = f"{scope.get('scheme', 'http')}://{host}{scope['path']}".rstrip("/")
        return {"_links": {name: {"href": f"{base}/{name}"} for name in names if self._shows(name)}}

    def _degradation_events(self) -> Callable[[], Mapping[str, Any]] | None:
        return getattr(self._degradation, "events_json", None)

    async def _report(self, group: str | None) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                return await self._ask_health(group)
        except LookupError:
            raise _Refusal(404, "Not Found") from None
        except TimeoutError:
            return {"status": "DOWN", "details": {"error": f"no health report within {HEALTH_TIMEOUT_S:g} s"}}
        except Exception as error:  # whoever cannot say how it is is not well
            return {"status": "DOWN", "details": {"error": f"{type(error).__name__}: {error}"}}

    async def _ask_health(self, group: str | None) -> Mapping[str, Any]:
        if self._health is None:
            return spring_health.health(self._registry, group)
        ask = _question(self._health)
        takes_group = bool(inspect.signature(ask).parameters)
        told = ask(group) if takes_group and group is not None else ask()
        report: Mapping[str, Any] = await told if inspect.isawaitable(told) else told
        if takes_group or group is None:
            return report
        component: Mapping[str, Any] = report["components"][group]
        return component

    async def _update(self, endpoint: str, name: str, wish: dict[str, Any]) -> Answer:
        if endpoint == "circuitbreakers":
            update = getattr(self._registry, "update_circuit_breaker", None)
            wanted: Any = str(wish.get("updateState"))
        else:
            update, wanted = getattr(self._degradation, "update", None), wish
        if update is None:
            raise _Refusal(405, "Method Not Allowed", headers=(("allow", "GET, HEAD"),))
        try:
            told = update(name, wanted)
            return _json(await told if inspect.isawaitable(told) else told)
        except LookupError:
            raise _Refusal(404, "Not Found", f"there is no {name!r}") from None
        except ValueError as error:
            raise _Refusal(400, "Bad Request", str(error)) from None

    async def _stream(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            raise _Refusal(405, "Method Not Allowed", headers=(("allow", "GET"),))
        if self.streams.is_full:
            raise _Refusal(503, "Service Unavailable", f"{self.streams.readers} readers are as many as there may be")
        try:
            reader = self.streams.open(*path.split("/")[1:])
        except (LookupError, TypeError):
            raise _Refusal(404, "Not Found") from None
        await reader.serve(receive, send)


def _question(teller: Any) -> Callable[..., Told]:
    ask: Callable[..., Told] = getattr(teller, "to_json", teller)
    return ask


def _refused(refusal: _Refusal, scope: Scope) -> Answer:
    body: dict[str, Any] = {"status": refusal.status, "error": refusal.error, "path": scope["path"]}
    if refusal.detail is not None:
        body["message"] = refusal.detail
    return _json(body, refusal.status, refusal.headers)


def _json(body: Mapping[str, Any], status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Answer(status=status, body=text.encode("utf-8", "backslashreplace"), headers=headers)


async def _json_body(scope: Scope, receive: Receive) -> dict[str, Any]:
    """The request's JSON object. Raises _Refusal; a page in a browser cannot send this type without being allowed to."""
    kind = next((v.decode("latin-1") for k, v in scope.get("headers", ()) if k == b"content-type"), "")
    bare = kind.partition(";")[0].strip().lower()
    if bare != "application/json" and not (bare.startswith("application/") and bare.endswith("+json")):
        raise _Refusal(415, "Unsupported Media Type", f"content-type is {kind!r}, must be application/json")
    text = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Refusal(400, "Bad Request", "the body did not arrive")
        text += message.get("body", b"")
        more = message.get("more_body", False)
        if len(text) > MOST_BODY_BYTES:
            raise _Refusal(413, "Content Too Large", f"the body has more than {MOST_BODY_BYTES} bytes")
    try:
        body = json.loads(text)
    except ValueError as error:
        raise _Refusal(400, "Bad Request", f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise _Refusal(400, "Bad Request", f"the body is a JSON {type(body).__name__}, must be an object")
    return body


async def _send(answer: Answer, send: Send, *, with_body: bool) -> None:
    headers = [("content-type", answer.media_type), ("content-length", str(len(answer.body))), *answer.headers]
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": answer.body if with_body else b""})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
