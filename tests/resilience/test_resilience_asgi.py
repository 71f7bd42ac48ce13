"""The Actuator over HTTP: what each path answers, what is refused, and the stream of events."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from services.resilience import CallNotPermitted, ManualClock, Registry
from services.resilience.asgi import HEALTH_TIMEOUT_S, actuator_app
from services.resilience.event_stream import EventStreams

CONFIG = {
    "resilience4j": {
        "circuitbreaker": {"instances": {"payment": {"slidingWindowSize": 2, "minimumNumberOfCalls": 2}, "user": {}}},
        "retry": {"instances": {"payment": {"maxAttempts": 2, "waitDuration": 0}}},
        "bulkhead": {"instances": {"payment": {}}},
        "timelimiter": {"instances": {"payment": {}}},
        "ratelimiter": {"instances": {"payment": {}}},
    }
}
JSON = "application/vnd.spring-boot.actuator.v3+json"


def registry():
    return Registry.from_mapping(CONFIG, clock=ManualClock(1_795_366_757_000_000_000))


def opened(one):
    """A registry whose breaker `payment` has opened and refused once."""

    def failing():
        raise ConnectionError("down")

    pipeline = one.pipeline("payment")
    for kind in (ConnectionError, CallNotPermitted):
        with pytest.raises(kind):
            pipeline.call_sync(failing)
    return one


def scope(method, path, headers=(), root=""):
    raw = [(name.encode(), value.encode()) for name, value in [("host", "orders:8080"), *headers]]
    return {"type": "http", "method": method, "path": path, "headers": raw, "scheme": "http", "root_path": root}


def ask(app, path, method="GET", body=None, *, headers=(("content-type", "application/json"),), root=""):
    """Status, headers, and the body: an object where it is JSON."""
    sent = []
    text = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def receive():
        return {"type": "http.request", "body": text, "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope(method, path, headers, root), receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], found, json.loads(content) if "json" in found["content-type"] and content else content


@pytest.mark.parametrize(
    "path",
    [
        "circuitbreakers",
        "circuitbreakerevents",
        "circuitbreakerevents/payment",
        "circuitbreakerevents/payment/STATE_TRANSITION",
        "retries",
        "retryevents",
        "bulkheads",
        "bulkheadevents",
        "ratelimiters",
        "ratelimiterevents",
        "timelimiters",
        "timelimiterevents",
    ],
)
def test_each_endpoint_answers_what_the_registry_tells(path):
    """HTTP adds the status and the media type of Spring Boot, nothing else."""
    one = opened(registry())

    assert ask(actuator_app(one), f"/actuator/{path}")[0::2] == (200, one.actuator(path))
    assert ask(actuator_app(one), f"/actuator/{path}")[1]["content-type"] == JSON


def test_metrics_are_prometheus_text():
    """The registry's and, after them, the service's own."""
    one = registry()
    status, headers, body = ask(actuator_app(one, more_metrics=lambda: "own 1\n"), "/actuator/prometheus")

    assert (status, headers["content-type"]) == (200, "text/plain;version=0.0.4;charset=utf-8")
    assert body.decode() == one.metrics_text() + "own 1\n"


def test_the_index_links_what_is_exposed():
    """As GET /actuator does it, with the host by which it was asked."""
    links = ask(actuator_app(registry(), exposed="circuitbreakers, prometheus"), "/actuator")[2]["_links"]

    assert links == {
        name: {"href": f"http://orders:8080/actuator/{name}"} for name in ("health", "circuitbreakers", "prometheus")
    }


@pytest.mark.parametrize("path", ["/actuator/x", "/", "/actuators", "/actuator/circuitbreakerevents/nobody",
                                  "/actuator/circuitbreakerevents/payment/NO", "/actuator/prometheus/x",
                                  "/actuator/degradation", "/actuator/health/nobody",
                                  "/actuator/streamcircuitbreakerevents/nobody",
                                  "/actuator/streamcircuitbreakerevents/payment/NO",
                                  "/actuator/streamcircuitbreakerevents/payment/ERROR/x"])  # fmt: skip
def test_what_does_not_exist_is_not_found(path):
    """With the path, as Spring answers it."""
    assert ask(actuator_app(registry()), path)[0::2] == (404, {"status": 404, "error": "Not Found", "path": path})


def test_what_is_not_exposed_is_not_found_but_health():
    """management.endpoints.web.exposure.include."""
    app = actuator_app(registry(), exposed="retries")
    found = {path: ask(app, f"/actuator/{path}")[0] for path in ("retries", "retryevents", "prometheus", "health")}

    assert found == {"retries": 200, "retryevents": 404, "prometheus": 404, "health": 200}
    assert ask(app, "/actuator/circuitbreakers/payment", "POST", {"updateState": "CLOSE"})[0] == 404


def test_it_can_be_mounted_anywhere():
    """By a prefix of its own, below a root path that is or is not part of the path, and with none."""
    app = actuator_app(registry(), prefix="/manage/")

    assert ask(app, "/manage/retries")[0] == 200
    assert ask(app, "/orders/manage/retries", root="/orders")[0] == 200
    assert ask(actuator_app(registry(), prefix=""), "/actuator/retries", root="/actuator")[0] == 200


def test_other_methods_are_refused_with_those_allowed():
    """HEAD is a GET without a body."""
    app = actuator_app(registry())
    status, headers, body = ask(app, "/actuator/retries", "HEAD")

    assert (status, body, int(headers["content-length"]) > 2) == (200, b"", True)
    assert ask(app, "/actuator/retries", "DELETE")[:2] == (
        405,
        {**ask(app, "/actuator/retries", "DELETE")[1], "allow": "GET, HEAD"},
    )
    assert ask(app, "/actuator/circuitbreakers", "POST", {})[0] == 405
    assert ask(app, "/actuator/streamcircuitbreakerevents", "POST", {})[0] == 405


@pytest.mark.parametrize(
    ("wish", "state"), [("FORCE_OPEN", "FORCED_OPEN"), ("DISABLE", "DISABLED"), ("CLOSE", "CLOSED")]
)
def test_a_breaker_is_moved_by_a_post(wish, state):
    """The answer has Spring's three keys."""
    one = registry()
    answer = ask(actuator_app(one), "/actuator/circuitbreakers/payment", "POST", {"updateState": wish})

    assert answer[0::2] == (
        200,
        {
            "circuitBreakerName": "payment",
            "currentState": state,
            "message": "payment state has been changed successfully",
        },
    )
    assert one.circuit_breaker("payment").state == state


@pytest.mark.parametrize(
    ("name", "body", "kind", "status", "message"),
    [
        ("payment", {"updateState": "OPEN"}, "application/json", 400, "is 'OPEN', must be one of CLOSE, FORCE_OPEN"),
        ("payment", {}, "application/json", 400, "updateState is 'None', must be one of"),
        ("payment", [], "application/json", 400, "the body is a JSON list, must be an object"),
        ("payment", b"{", "application/json; charset=utf-8", 400, "the body is no JSON: "),
        ("payment", b" " * 70_000, JSON, 413, "more than 65536 bytes"),
        ("payment", {"updateState": "CLOSE"}, "text/plain", 415, "is 'text/plain', must be application/json"),
        ("nobody", {"updateState": "CLOSE"}, "application/json", 404, "there is no 'nobody'"),
    ],
)
def test_a_wrong_post_changes_nothing_and_is_told_why(name, body, kind, status, message):
    """The breaker stays as it was."""
    one = registry()
    answer = ask(actuator_app(one), f"/actuator/circuitbreakers/{name}", "POST", body, headers=[("content-type", kind)])

    assert (answer[0], message in answer[2]["message"]) == (status, True), answer
    assert one.circuit_breaker("payment").state == "CLOSED"


def test_health_by_springs_rule_stays_up_with_an_open_breaker():
    """CIRCUIT_OPEN is no status that Spring's aggregation knows."""
    status, _, body = ask(actuator_app(opened(registry())), "/actuator/health")
    breakers = body["components"]["circuitBreakers"]

    assert (status, body["status"], breakers["status"]) == (200, "UP", "UP")
    assert {name: each["status"] for name, each in breakers["details"].items()} == {
        "payment": "CIRCUIT_OPEN",
        "user": "UP",
    }
    assert ask(actuator_app(opened(registry())), "/actuator/health/circuitBreakers")[2]["status"] == "UP"


def test_health_is_down_where_a_breaker_may_make_it_so():
    """allowHealthIndicatorToFail, and registerHealthIndicator for one that is not to be seen."""
    keys = {"slidingWindowSize": 1, "allowHealthIndicatorToFail": True}
    config = {"a": keys, "b": {**keys, "registerHealthIndicator": False}}
    one = Registry.from_mapping({"resilience4j": {"circuitbreaker": {"instances": config}}})
    app = actuator_app(one)
    one.circuit_breaker("b").on_error(1, OSError())
    before = ask(app, "/actuator/health")
    one.circuit_breaker("a").on_error(1, OSError())
    after = ask(app, "/actuator/health")

    assert (before[0], before[2]["status"], [*before[2]["components"]["circuitBreakers"]["details"]]) == (
        200,
        "UP",
        ["a"],
    )
    assert (after[0], after[2]["status"]) == (503, "DOWN")
    assert ask(app, "/actuator/health/liveness")[0::2] == (200, {"status": "UP"})


class Whole:
    """A health report as an object."""

    async def to_json(self, group=None):
        return {None: {"status": "DEGRADED"}, "readiness": {"status": "OUT_OF_SERVICE"}}[group]


@pytest.mark.parametrize(
    ("health", "path", "expected"),
    [
        (Whole(), "", (200, {"status": "DEGRADED"})),
        (Whole(), "/readiness", (503, {"status": "OUT_OF_SERVICE"})),
        (Whole(), "/nobody", (404, None)),
        (lambda: {"status": "UP", "components": {"disk": {"status": "DOWN"}}}, "/disk", (503, {"status": "DOWN"})),
        (lambda: {"status": "UP", "components": {}}, "/disk", (404, None)),
        (lambda group=None: {"status": "UP", "of": group}, "/disk", (200, {"status": "UP", "of": "disk"})),
        (lambda: 1 / 0, "", (503, {"status": "DOWN", "details": {"error": "ZeroDivisionError: division by zero"}})),
    ],
)
def test_whatever_can_tell_itself_is_the_health(health, path, expected):
    """An object with to_json, a callable, plain or awaitable; one that fails is DOWN."""
    status, _, body = ask(actuator_app(registry(), health), f"/actuator/health{path}")

    assert expected == (status, None if status == 404 else body)


def test_a_health_report_that_never_comes_is_down(monkeypatch):
    """Whoever asks gets an answer in bounded time."""
    monkeypatch.setattr("services.resilience.asgi.HEALTH_TIMEOUT_S", 0.01)

    async def never():
        await asyncio.Event().wait()

    assert HEALTH_TIMEOUT_S <= 5
    assert ask(actuator_app(registry(), never), "/actuator/health")[0] == 503


class Flags:
    """A degradation manager as the application sees it."""

    def __init__(self):
        self.levels = {"recommendations": 0}

    def to_json(self):
        return {"flags": self.levels}

    def update(self, name, wish):
        if wish.get("level") not in (0, 1):
            raise ValueError(f"level is {wish.get('level')!r}, must be 0 or 1")
        self.levels[name], _ = wish["level"], self.levels[name]
        return self.to_json()

    def events_json(self):
        return {"degradationEvents": []}


def test_degradation_is_told_and_switched():
    """By whatever object was handed in; what it refuses is a 400, what it does not know a 404."""
    app = actuator_app(registry(), degradation=Flags())
    post = [
        ask(app, f"/actuator/degradation/{name}", "POST", {"level": level})[0]
        for name, level in (("recommendations", 1), ("recommendations", 7), ("nobody", 1))
    ]

    assert post == [200, 400, 404]
    assert ask(app, "/actuator/degradation")[2] == {"flags": {"recommendations": 1}}
    assert ask(app, "/actuator/degradationevents")[2] == {"degradationEvents": []}
    assert {"degradation", "degradationevents"} <= ask(app, "/actuator")[2]["_links"].keys()
    reads_only = actuator_app(registry(), degradation=lambda: {"flags": {}})
    assert ask(reads_only, "/actuator/degradation")[2] == {"flags": {}}
    assert ask(reads_only, "/actuator/degradationevents")[0] == 404
    assert ask(reads_only, "/actuator/degradation/a", "POST", {})[0] == 405


def test_it_can_be_served_by_itself():
    """It answers a server's start and stop, and no websocket."""
    sent = []

    async def send(message):
        sent.append(message["type"])

    def saying(*kinds):
        messages = iter(kinds)

        async def receive():
            return {"type": next(messages)}

        return receive

    app = actuator_app(registry())
    asyncio.run(app({"type": "lifespan"}, saying("lifespan.startup", "lifespan.shutdown"), send))
    asyncio.run(app({"type": "websocket", "path": "/actuator"}, saying("websocket.connect"), send))

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]


class Connection:
    """A reader's end of a stream: what came, and the way out."""

    def __init__(self):
        self.came = asyncio.Queue()
        self.gone = asyncio.Event()

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        await self.came.put(message)

    async def next_body(self):
        async with asyncio.timeout(10):
            return (await self.came.get())["body"].decode()


def parsed(text):
    """Server-sent events as (id, event, data)."""
    for block in filter(None, text.split("\n\n")):
        fields = dict(line.split(":", 1) for line in block.splitlines())
        yield fields.get("id"), fields["event"], json.loads(fields.get("data", "null"))


def test_events_are_streamed_as_they_happen_from_any_thread():
    """Id, type and data as upstream's stream has them; when the reader goes the breaker forgets it."""
    one = registry()
    app = actuator_app(one)

    async def run():
        end = Connection()
        stream = asyncio.create_task(
            app(scope("GET", "/actuator/streamcircuitbreakerevents/payment"), end.receive, end.send)
        )
        start = await end.came.get()
        assert (start["status"], dict(start["headers"])[b"content-type"]) == (200, b"text/event-stream;charset=UTF-8")
        assert await end.next_body() == ":\n\n"
        thread = threading.Thread(target=one.circuit_breaker("payment").on_error, args=(1_000_000, OSError("x")))
        thread.start()
        thread.join()
        one.circuit_breaker("user").on_success(1)
        text = await end.next_body()
        readers = app.streams.readers
        end.gone.set()
        async with asyncio.timeout(10):
            await stream
        return list(parsed(text)), readers

    events, readers = asyncio.run(run())
    (expected,) = one.actuator("circuitbreakerevents/payment")["circuitBreakerEvents"]

    assert events == [("payment", "ERROR", expected)]
    assert (readers, app.streams.readers) == (1, 0)
    one.circuit_breaker("payment").on_success(1)
    assert not one.circuit_breaker("payment").events.outbox


def test_a_quiet_stream_gives_signs_of_life():
    """And a breaker that is made while somebody reads is heard too."""
    one = registry()

    async def run():
        end = Connection()
        reader = EventStreams(one).open()
        stream = asyncio.create_task(reader.serve(end.receive, end.send, ping_s=0.01))
        await end.came.get()
        assert await end.next_body() == ":\n\n"
        one.circuit_breaker("late")
        assert await end.next_body() == "event:ping\n\n"
        one.circuit_breaker("late").on_success(1)
        text = "event:ping\n\n"
        while text == "event:ping\n\n":
            text = await end.next_body()
        end.gone.set()
        await stream
        return [(name, kind) for name, kind, _ in parsed(text)]

    assert asyncio.run(run()) == [("late", "SUCCESS")]


def test_what_a_slow_reader_missed_is_counted_and_told():
    """The oldest go; the reader is told how many, before what came after them."""
    one = registry()
    reader = EventStreams(one, queue_size=3).open("payment", "success")
    reader._subscribe()
    for _ in range(5):
        one.circuit_breaker("payment").on_success(1)
    first = list(parsed(reader.take().decode()))
    one.circuit_breaker("payment").on_success(1)
    second = list(parsed(reader.take().decode()))
    reader.close()

    assert first[0] == (None, "overflow", {"missed": 2, "missedTotal": 2})
    assert [data["sequence"] for _, _, data in first[1:]] == [3, 4, 5]
    assert [(kind, data["sequence"]) for _, kind, data in second] == [("SUCCESS", 6)]
    assert reader.missed == 2


def test_there_are_only_so_many_readers():
    """One more is refused with 503: each costs something in every protected call."""
    app = actuator_app(registry())
    app.streams.readers = 16

    assert ask(app, "/actuator/streamcircuitbreakerevents")[0] == 503
