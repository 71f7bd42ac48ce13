"""Ledgers are looked into before the load, and what they hold is written down once."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace

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


@pytest.mark.parametrize(
    ("come_after", "told"),
    [(0, {"entries": 2, "settling_s": 0.0, "owed": 0}), (3, {"entries": 2, "settling_s": 0.6, "owed": 0}),
     (99, {"entries": 1, "settling_s": 1.0, "owed": 1})],
    ids=["at once", "after three looks", "never"],
)  # fmt: skip
def test_effects_that_are_owed_are_waited_for_as_long_as_the_system_says(service, come_after, told):
    """The ledger is read again until nothing acknowledged is missing, or its time is over; what is missing then is told."""
    settles = replace(LEDGER, settled_within_s=1.0)
    looks, seen, rows = [], [], []

    def missing(keys: set[str]) -> int:
        looks.append(keys)
        held = ["a", "b"] if len(looks) >= come_after else ["a"]
        service.body = json.dumps([{"key": key} for key in held]).encode()
        return len({"a", "b"} - keys)

    service.body = json.dumps([{"key": key} for key in (["a", "b"] if not come_after else ["a"])]).encode()
    read_ledger(
        settles, {"payment": service.server_address}, add=lambda _, row: rows.append(row[1]),
        emit=lambda *event: seen.append(event), clock=HastyClock(), missing=missing,
    )  # fmt: skip

    assert seen == [("ledger.read", "orders", told)]
    assert len(rows) == told["entries"]


class HastyClock:
    """A clock on which every pause is over at once."""

    def __init__(self):
        self.t_ns = 0

    def now_ns(self):
        return self.t_ns

    def sleep_s(self, span_s):
        self.t_ns += round(span_s * 1e9)
