"""The blocking client gives the same answers, and raises the same exceptions, as the asynchronous one."""

from __future__ import annotations

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from services.resilience import deadline_scope
from services.shop.blocking import BlockingClient
from services.shop.client import Answer, AnswerTooLate, ConnectionFailed, DeadlinePassed, ServerFailed
from services.shop.scope import Scope, enter
from services.shop.trace import Trace


class Neighbour(BaseHTTPRequestHandler):
    """Answers with the status that the path names; /hang answers when the test is over."""

    over: threading.Event
    heard: list[tuple[dict[str, str], object]]

    def do_GET(self):
        length = int(self.headers.get("content-length", 0))
        self.heard.append((dict(self.headers), json.loads(self.rfile.read(length)) if length else None))
        if self.path == "/hang":
            self.over.wait(10)
            return
        self.send_response(int(self.path[1:]))
        self.send_header("retry-after", "7")
        self.end_headers()
        self.wfile.write(b'{"id": 7}')

    def log_message(self, *_):
        """Nothing: a test is quiet."""


@pytest.fixture
def url():
    """A neighbour on a port of its own."""
    Neighbour.over, Neighbour.heard = threading.Event(), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Neighbour)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    enter(Scope(trace=Trace.start(), deadline_s=time.monotonic() + 60))
    yield f"http://127.0.0.1:{server.server_address[1]}"
    Neighbour.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("status", [200, 404])
def test_an_answer_is_read(url, status):
    """Also a no is an answer."""
    assert BlockingClient().ask("GET", f"{url}/{status}") == Answer(status=status, body={"id": 7})


def test_a_request_says_who_asks_and_for_how_long(url):
    """Trace, attempt, body and the time that is left travel with it, the latter only where it is to be told."""
    for tells in (True, False):
        BlockingClient(tells=tells).ask("GET", f"{url}/200", attempt=2, body={"a": 1}, headers={"x-own": "1"})

    (told, body), (untold, _) = Neighbour.heard
    assert (told["x-attempt"], told["x-own"], body) == ("2", "1", {"a": 1})
    assert "traceparent" in told
    assert ("x-remaining-time-ms" in told, "x-remaining-time-ms" in untold) == (True, False)


@pytest.mark.parametrize("status", [503, 429])
def test_a_server_that_fails_is_told(url, status):
    """A status that says "not now" is a failure of the server, and says when to come again."""
    with pytest.raises(ServerFailed, match=str(status)) as caught:
        BlockingClient().ask("GET", f"{url}/{status}")
    assert caught.value.retry_after_s == 7


def test_an_answer_that_does_not_come_is_too_late(url):
    """The time limit around the call holds in the thread, too, which nobody can cancel."""
    with deadline_scope(0.05), pytest.raises(AnswerTooLate):
        BlockingClient().ask("GET", f"{url}/hang")


def test_nobody_is_asked_when_no_time_is_left(url):
    """A question whose answer comes too late in any case is not asked."""
    with deadline_scope(0.0), pytest.raises(DeadlinePassed):
        BlockingClient().ask("GET", f"{url}/200")
    assert Neighbour.heard == []


@pytest.mark.usefixtures("url")
def test_a_refused_connection_is_a_failed_one():
    """Nobody listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionFailed):
            BlockingClient().ask("GET", f"http://127.0.0.1:{taken.getsockname()[1]}/200")
