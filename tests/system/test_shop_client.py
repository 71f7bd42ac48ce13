"""The shop's HTTP client against a real server that misbehaves."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.shop.client import AnswerTooLate, ClientLimits, ConnectionFailed, DeadlinePassed, HttpClient, ServerFailed
from services.shop.scope import Scope, enter
from services.shop.trace import Trace

pytestmark = pytest.mark.system

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
TRACE = Trace(trace_id="4bf92f3577b34da6a3ce929d0e0e4736")


class Upstream:
    """Answers each request with the next of its answers; None closes the connection, `hang` waits for the client."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.heads = []

    async def serve(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head.decode().lower())
                answer = self.answers.pop(0) if self.answers else OK
                if answer is None:
                    break
                if answer == "hang":
                    await reader.read()
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def asking(upstream, *, times=1, remaining_s=30.0, limits=None):
    """Ask upstream so many times on one client; what the last answer was, or the exception it ended with."""

    async def scenario():
        server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = HttpClient(limits)
        await client.open()
        enter(Scope(trace=TRACE, deadline_s=time.monotonic() + remaining_s))
        outcome = None
        try:
            for _ in range(times):
                try:
                    outcome = await client.ask("GET", f"http://127.0.0.1:{port}/thing", attempt=2)
                except Exception as problem:
                    outcome = problem
            return outcome
        finally:
            await client.close()
            server.close()
            await asyncio.sleep(0)

    return asyncio.run(scenario())


def test_a_broken_connection_is_never_repeated_in_silence():
    """A request whose kept-alive connection is closed fails, and the upstream has seen it once."""
    upstream = Upstream(OK, None)

    outcome = asking(upstream, times=2)

    assert isinstance(outcome, ConnectionFailed)
    assert len(upstream.heads) == 2


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (None, ConnectionFailed),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{}", AnswerTooLate),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", ServerFailed),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", ServerFailed),
        (b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", ServerFailed),
        (b"HTTP/1.1 429 No\r\ncontent-length: 0\r\n\r\n", ServerFailed),
        (b"HTTP/1.1 302 No\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", ServerFailed),
        (b"not http at all\r\n\r\n", ConnectionFailed),
        ("hang", AnswerTooLate),
    ],
)
def test_each_way_of_failing_has_its_class(answer, kind):
    """Whatever an upstream does wrong becomes one of the client's own exceptions, within its time-outs."""
    outcome = asking(Upstream(answer), limits=ClientLimits(read_s=0.2))

    assert isinstance(outcome, kind), repr(outcome)


def test_a_verdict_on_the_request_is_an_answer():
    """404 is what the neighbour has to say, not a failure of it."""
    outcome = asking(Upstream(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n"))

    assert (outcome.status, outcome.body) == (404, None)


def test_nobody_is_asked_when_no_time_is_left():
    """A request past its deadline puts no load on its neighbours."""
    upstream = Upstream()

    outcome = asking(upstream, remaining_s=0.0)

    assert isinstance(outcome, DeadlinePassed)
    assert upstream.heads == []


def test_the_deadline_ends_a_call_before_its_time_outs_do():
    """A call has what its request has left, however generous its own limits are."""
    outcome = asking(Upstream("hang"), remaining_s=0.1, limits=ClientLimits(total_s=60, read_s=60))

    assert isinstance(outcome, AnswerTooLate)


def test_the_trace_and_the_attempt_travel_with_each_request():
    """The upstream sees the request's trace id and which attempt this is."""
    upstream = Upstream()

    asking(upstream)

    assert f"traceparent: 00-{TRACE.trace_id}-" in upstream.heads[0]
    assert "x-attempt: 2\r\n" in upstream.heads[0]
