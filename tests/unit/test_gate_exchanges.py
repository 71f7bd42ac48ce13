"""How the gate pairs requests with answers, and how it says each exchange ended."""

from __future__ import annotations

from harness.links.gate.exchanges import CLIENT_GONE, RESET, Exchanges, LinkCounters
from harness.links.gate.lag import Lag

GET = b"GET /%d HTTP/1.1\r\n\r\n"
ANSWER = b"HTTP/1.1 %d OK\r\nContent-Length: 2\r\n\r\nok"


class Connection:
    """One connection's exchanges, fed without sockets."""

    def __init__(self):
        self.counters = LinkCounters()
        self.finished = []
        self.exchanges = Exchanges(self.counters, self.finished.append, http=True)

    def request(self, data, now_ns=1):
        start = 0
        while start < len(data):
            start, _ = self.exchanges.read_request(data, start, now_ns)

    def answer(self, data, now_ns=2):
        start = 0
        while start < len(data):
            start, _ = self.exchanges.read_answer(data, start, now_ns, now_ns)

    def endings(self):
        return [(exchange.path, exchange.status, exchange.ending) for exchange in self.finished]


def test_pipelined_answers_go_to_their_requests_in_order():
    """Answers are paired with requests in order, and each gets its own bytes."""
    connection = Connection()
    connection.request(GET % 1 + GET % 2 + GET % 3)
    connection.answer(ANSWER % 201 + ANSWER % 202 + ANSWER % 203)

    assert connection.endings() == [("/1", 201, "answered"), ("/2", 202, "answered"), ("/3", 203, "answered")]
    assert {exchange.request_bytes for exchange in connection.finished} == {len(GET % 1)}
    assert {exchange.response_bytes for exchange in connection.finished} == {len(ANSWER % 200)}


def test_in_flight_counts_those_that_wait():
    """in_flight is the number of open exchanges at arrival, itself included, over all connections of the link."""
    connection = Connection()
    connection.request(GET % 1 + GET % 2)
    connection.answer(ANSWER % 200)
    connection.request(GET % 3)
    connection.exchanges.end_all(RESET, 5)

    assert [exchange.in_flight for exchange in connection.finished] == [1, 2, 2]
    assert connection.counters.in_flight == 0


def test_an_interim_answer_is_not_the_answer():
    """100 Continue belongs to the exchange but does not end it."""
    connection = Connection()
    connection.request(GET % 1)
    connection.answer(b"HTTP/1.1 100 Continue\r\n\r\n", now_ns=2)

    assert connection.finished == []

    connection.answer(ANSWER % 200, now_ns=7)

    assert connection.endings() == [("/1", 200, "answered")]
    assert connection.finished[0].head_ns == 7


def test_an_answer_may_end_before_its_request():
    """An answer that comes before the whole request has is written down when both are complete."""
    connection = Connection()
    head = b"POST /1 HTTP/1.1\r\nContent-Length: 4\r\n\r\n"
    connection.request(head + b"ab")
    connection.answer(ANSWER % 413)

    assert connection.finished == []
    assert connection.counters.in_flight == 0

    connection.request(b"cd")

    assert connection.endings() == [("/1", 413, "answered")]
    assert connection.finished[0].request_bytes == len(head) + 4


def test_an_answer_without_length_is_ended_by_the_close():
    """When the upstream closes, an answer without a length is complete, and others are cut off."""
    connection = Connection()
    connection.request(GET % 1 + GET % 2)
    connection.answer(b"HTTP/1.1 200 OK\r\n\r\nsome")
    connection.exchanges.upstream_closed(9)

    assert connection.endings() == [("/1", 200, "answered"), ("/2", 0, "closed_early")]


def test_who_closed_its_side_no_longer_waits():
    """A client that closed its side counts no more as waiting, and without an answer its exchange is client_gone."""
    connection = Connection()
    connection.request(GET % 1)
    connection.exchanges.client_left(4)
    waiting = connection.counters.in_flight
    connection.exchanges.upstream_closed(9)

    assert waiting == 0
    assert connection.endings() == [("/1", 0, CLIENT_GONE)]
    assert connection.finished[0].ended_ns == 4


def test_an_answer_after_the_client_left_waits_to_be_settled():
    """An answer to a client that closed its side counts as answered only when it was reached."""
    for reached, expected in ((True, "answered"), (False, CLIENT_GONE)):
        connection = Connection()
        connection.request(GET % 1)
        connection.exchanges.client_left(4)
        connection.answer(ANSWER % 200)

        assert connection.finished == []

        connection.exchanges.settle(reached=reached)

        assert [exchange.ending for exchange in connection.finished] == [expected]


def test_a_refused_connection_is_one_attempt():
    """A refused connection leaves one row even when no request was seen, and no second one when it was."""
    silent, spoken = Connection(), Connection()
    silent.exchanges.refused(1, 5, count_it=True)
    spoken.request(GET % 1)
    spoken.exchanges.refused(1, 5, count_it=True)

    assert silent.endings() == [(None, 0, "refused")]
    assert spoken.endings() == [("/1", 0, "refused")]


def test_the_trace_is_read_from_traceparent():
    """The trace id is the 32 digits of a well-formed traceparent, else there is none."""
    connection = Connection()
    trace = b"4bf92f3577b34da6a3ce929d0e0e4736"
    for value in (b"00-" + trace + b"-00f067aa0ba902b7-01", b"nonsense"):
        connection.request(b"GET / HTTP/1.1\r\ntraceparent: " + value + b"\r\n\r\n")
    connection.exchanges.end_all(RESET, 1)

    assert [exchange.trace for exchange in connection.finished] == [trace.decode(), None]


def test_a_refused_tunnel_goes_on_as_http():
    """After CONNECT was declined the connection carries requests again; after it was granted nothing is read."""
    declined, granted = Connection(), Connection()
    for connection, status in ((declined, 407), (granted, 200)):
        connection.request(b"CONNECT x:1 HTTP/1.1\r\n\r\n")
        connection.answer(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)

    assert declined.exchanges.requests is not None
    assert granted.exchanges.requests is None


def test_lag_tells_the_worst_and_the_99th_percentile():
    """The lag of a second is told exactly, and the total remembers what was told before."""
    lag = Lag()
    for late_ms in range(1, 101):
        lag.note(late_ms * 1_000_000)

    assert lag.summary() == {"p99_ms": 99.0, "max_ms": 100.0, "samples": 100}
    assert lag.summary()["samples"] == 0
    assert lag.total() == {"p99_ms": 99.0, "max_ms": 100.0, "samples": 100}
