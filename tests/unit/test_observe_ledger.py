"""Ledgers are looked into before the load, and what they hold is written down once."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest
from journals import LEDGER

from harness.observe.ledger import look_into_ledger, read_ledger


@pytest.fixture
def service() -> Iterator[http.server.HTTPServer]:
    """A service that answers with its attribute `body`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.server.body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"entries": [{"key": "a"}, {"other": 1}]}, [{"entries": 2, "keys": ["a"]}]),
        ([], [{"entries": 0, "keys": []}]),
        ({"error": "no ledger"}, []),
    ],
)
def test_what_a_ledger_holds_before_the_load_is_told(service, answer, told):
    """The number of entries and their keys; nothing of what is no list of entries."""
    service.body = json.dumps(answer).encode()
    seen = []

    look_into_ledger(
        LEDGER, {"order": service.server_address}, emit=lambda kind, subject, data: seen.append((kind, subject, data))
    )

    assert seen == [("ledger.before", "orders", data) for data in told]


def test_a_ledger_that_does_not_answer_is_no_error(service):
    """It may come up later; reading it at the end is what counts."""
    service.body = b"not yet"
    seen = []

    look_into_ledger(LEDGER, {"order": service.server_address}, emit=lambda *event: seen.append(event))

    assert seen == []


def test_a_ledger_in_two_books_is_the_sum_of_both(service):
    """Each keeper holds a part; the whole is what all of them hold, and there is none when one of them has no answer."""
    service.body = json.dumps({"entries": [{"key": "a"}]}).encode()
    place = service.server_address
    seen, rows = [], []

    def read(keepers):
        read_ledger(
            LEDGER, keepers, add=lambda _, row: rows.append(row[1]), emit=lambda *event: seen.append(event),
            clock=HastyClock(),
        )  # fmt: skip

    read({"order-east": place, "order-west": place})
    read({"order-east": place, "order-west": ("127.0.0.1", 1)})

    assert [("ledger.read", {"entries": 2}), ("ledger.unread", "order-west")] == [
        (seen[0][0], seen[0][2]), (seen[1][0], seen[1][2]["error"].partition("/")[0])
    ]  # fmt: skip
    assert rows == ["a", "a"]


class HastyClock:
    """A clock on which every pause is over at once."""

    def __init__(self):
        self.t_ns = 0

    def now_ns(self):
        return self.t_ns

    def sleep_s(self, span_s):
        self.t_ns += round(span_s * 1e9)
