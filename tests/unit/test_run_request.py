"""An operator's request on its way to a service."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from harness.errors import HarnessError
from harness.run.world import send_json


class Service(BaseHTTPRequestHandler):
    """Answers with the status that the path names, and remembers what was asked."""

    asked: list[tuple[str, str, str, object]]

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append((self.command, self.path, self.headers["content-type"], body))
        self.send_response(int(self.path[1:]))
        self.end_headers()
        self.wfile.write(b'{"said": "something"}')

    def log_message(self, *_):
        """Nothing: a test is quiet."""


@pytest.fixture
def service():
    """A service on a port of its own: its address."""
    Service.asked = []
    server = HTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_address
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_request_arrives_as_json(service):
    """The service hears the method, the path and the body, and its yes comes back."""
    assert send_json(service, "POST", "/201", {"level": 1}) == 201
    assert Service.asked == [("POST", "/201", "application/json", {"level": 1})]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_any_answer_but_yes_is_an_error(service, status):
    """What the service said instead is told, with the request."""
    with pytest.raises(HarnessError, match=f"POST .*/{status} was answered with status {status}.*something"):
        send_json(service, "POST", f"/{status}", {})


def test_nobody_there_is_an_error(service):
    """A service that cannot be reached is told as such."""
    with pytest.raises(HarnessError, match="was not answered"):
        send_json((service[0], 1), "POST", "/200", {})
