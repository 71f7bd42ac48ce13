"""The actuator observer reads what a Resilience4j service answers, and notices what it missed."""

from __future__ import annotations

import http.server
import json
import threading

import pytest

from harness.clock import NS_PER_S, FakeClock
from harness.observe.actuator import ActuatorObserver, creation_time_ns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01.287794131Z[Etc/UTC]", 1_287_794_131),
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T01:00:01.5+01:00[Europe/Berlin]", 1_500_000_000),
    ],
)
def test_java_times_are_read_to_the_nanosecond(text, expected):
    """Zero to nine digits of a second, with a zone in brackets or without."""
    assert expected == creation_time_ns(text)


def test_what_is_no_java_time_is_refused():
    """A text that is no time raises ValueError instead of becoming some instant."""
    with pytest.raises(ValueError):
        creation_time_ns("yesterday")


class Service:
    """A small real HTTP server that answers as an actuator does."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append(self.path.rpartition("/")[2])
                found = outer.answers.get(self.path)
                body = json.dumps(found).encode()
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def transitions(self, *names: str) -> None:
        self.answers["/actuator/circuitbreakers"] = {
            "circuitBreakers": {"payment": {"state": names[-1].split("_TO_")[1], "notPermittedCalls": 2}}
        }
        self.answers["/actuator/circuitbreakerevents/payment/STATE_TRANSITION"] = {
            "circuitBreakerEvents": [
                {
                    "circuitBreakerName": "payment",
                    "type": "STATE_TRANSITION",
                    "creationTime": f"1970-01-01T00:00:{second:02d}Z[Etc/UTC]",
                    "stateTransition": name,
                }
                for second, name in enumerate(names)
            ]
        }


@pytest.fixture
def service():
    started = Service()
    yield started
    started.server.shutdown()
    started.server.server_close()
    started.thread.join(5)


def looked_at(service: Service, *looks: tuple[str, ...], apart_s: float = 0.2) -> tuple[list, list]:
    rows, events, clock = [], [], FakeClock()
    observer = ActuatorObserver(
        "order",
        service.server.server_address[:2],
        "/actuator",
        add=lambda table, values: rows.append((table, values)),
        emit=lambda kind, subject, data: events.append((kind, subject, data)),
        clock=clock,
        wall_offset_ns=0,
    )
    for look in looks:
        clock.t_ns += round(apart_s * NS_PER_S)
        if look:
            service.transitions(*look)
        observer._look()
    observer._client.close()
    return rows, events


def test_each_transition_is_written_once(service):
    """A transition seen in two looks is one row, stamped with the service's own time on our clock."""
    rows, events = looked_at(service, ("CLOSED_TO_OPEN",), ("CLOSED_TO_OPEN", "OPEN_TO_HALF_OPEN"))

    written = [values for table, values in rows if table == "app_events"]
    assert [0, 1_000_000_000] == [values[0] for values in written]
    assert [] == events


def test_a_broken_chain_is_a_gap(service):
    """Transitions that do not join mean that the ring has lapped: that is written down, not passed over."""
    _, events = looked_at(service, ("CLOSED_TO_OPEN",), ("HALF_OPEN_TO_CLOSED",))

    assert [("observer.gap", "actuator/order")] == [event[:2] for event in events]


def test_silence_is_evidence(service):
    """A service that does not answer leaves a probe that says so."""
    rows, _ = looked_at(service, ())

    assert [("probes", 0)] == [(table, values[3]) for table, values in rows]


@pytest.mark.parametrize(
    ("looks", "apart_s", "expected"),
    [
        ([("CLOSED_TO_OPEN",)] * 4, 0.2, 1),
        (
            [("CLOSED_TO_OPEN",), ("CLOSED_TO_OPEN", "OPEN_TO_HALF_OPEN"), ("CLOSED_TO_OPEN", "OPEN_TO_HALF_OPEN")],
            0.2,
            2,
        ),
        ([("CLOSED_TO_OPEN",)] * 4, 1.0, 4),
    ],
)
def test_a_breaker_that_stands_still_is_asked_for_its_transitions_once_a_second(service, looks, apart_s, expected):
    """One whose figures moved is asked at once, so that nothing is pushed out of the ring unseen."""
    looked_at(service, *looks, apart_s=apart_s)

    assert expected == service.asked.count("STATE_TRANSITION")


def test_a_round_trip_between_two_looks_is_found_although_the_figures_are_the_same(service):
    """A breaker that opened and closed again while nobody looked has it in its ring."""
    there, back = "CLOSED_TO_OPEN", ("OPEN_TO_HALF_OPEN", "HALF_OPEN_TO_CLOSED")
    rows, _ = looked_at(service, (*back,), *[(*back, there, *back)] * 5)

    assert 5 == sum(table == "app_events" for table, _ in rows)
