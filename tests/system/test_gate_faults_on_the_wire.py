"""The gate's own faults hit the requests they are meant for, each by itself, and nothing else."""

from __future__ import annotations

import socket
import time

import pytest
from gate_rig import GateRig, receive, receive_all

from harness.links.gate_client import GateClient, GateError

pytestmark = pytest.mark.system

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = {"kind": "status", "status": 503, "body": "busy"}


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    rig = GateRig(tmp_path_factory.mktemp("gate"), links=20)
    yield rig
    assert rig.close() == 0
    assert rig.said() == ""


def get(number):
    return b"GET /%d HTTP/1.1\r\n\r\n" % number


def post(path=b"/p", body=b"body"):
    return b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (path, len(body), body)


def read_answer(client):
    """One answer with a Content-Length: (status, body)."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        assert byte, f"the connection ended after {head!r}"
        head += byte
    lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
    return int(lines[0].split()[1]), receive(client, length)


def serve(upstream, request):
    assert receive(upstream, len(request)) == request
    upstream.sendall(OK)


def assert_silent(connection):
    connection.settimeout(0.1)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    connection.settimeout(5)


def test_a_status_for_the_first_two_keeps_the_connection(rig):
    """The first two requests are answered by the gate, bodies swallowed; the third passes on the same connection."""
    link = rig.take()
    link.fault({**BUSY, "first": 2})
    client, upstream = link.connect()
    answers = []
    for _ in range(2):
        client.sendall(post())
        answers.append(read_answer(client))
    client.sendall(get(3))
    serve(upstream, get(3))
    answers.append(read_answer(client))

    assert answers == [(503, b"busy"), (503, b"busy"), (200, b"ok")]

    rows = link.wire(3)

    assert [row["faults"] for row in rows] == ["fault", "fault", ""]
    assert [row["forwarded_ns"] is None for row in rows] == [True, True, False]
    assert [row["ending"] for row in rows] == ["answered"] * 3
    assert link.heal() | {"t_ns": 0} == {"was_on": True, "matched": 3, "hits": 2, "t_ns": 0}


def test_own_answers_keep_their_place_among_pipelined_ones(rig):
    """Answers leave in the order of the requests, also when the upstream's come in one piece."""
    link = rig.take()
    link.fault({**BUSY, "methods": ["POST"]})
    client, upstream = link.connect()
    client.sendall(get(1) + post() + get(2) + post() + post())

    assert receive(upstream, len(get(1)) * 2) == get(1) + get(2)
    assert_silent(client)

    upstream.sendall(OK + OK)

    assert [read_answer(client)[0] for _ in range(5)] == [200, 503, 200, 503, 503]
    assert [row["status"] for row in link.wire(5)] == [200, 503, 200, 503, 503]


def test_a_body_that_comes_late_is_still_swallowed(rig):
    """The gate's answer comes after the whole request, chunked or not, and none of it reaches the upstream."""
    link = rig.take()
    link.fault({**BUSY, "first": 1})
    client, upstream = link.connect()
    request = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    client.sendall(request[:-3])

    assert_silent(client)

    client.sendall(request[-3:] + get(2))

    assert read_answer(client) == (503, b"busy")

    serve(upstream, get(2))

    assert read_answer(client) == (200, b"ok")


def test_a_client_that_asks_first_is_told_to_send(rig):
    """Expect: 100-continue is honoured by the gate when it answers itself."""
    link = rig.take()
    link.fault(BUSY)
    client, _ = link.connect()
    client.sendall(b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")

    assert read_answer(client) == (100, b"")

    client.sendall(b"abc")

    assert read_answer(client) == (503, b"busy")


def test_a_client_that_wants_to_close_is_closed(rig):
    """After its own answer to Connection: close the gate closes, and the upstream sees the end."""
    link = rig.take()
    link.fault(BUSY)
    client, upstream = link.connect()
    client.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    answer = receive_all(client)

    assert answer.endswith(b"\r\n\r\nbusy")
    assert b"connection: close" in answer
    assert receive_all(upstream) == b""


def test_head_is_answered_without_a_body(rig):
    """HEAD gets the head alone, and the connection goes on."""
    link = rig.take()
    link.fault({**BUSY, "methods": ["HEAD"]})
    client, upstream = link.connect()
    client.sendall(b"HEAD / HTTP/1.1\r\n\r\n" + get(1))
    serve(upstream, get(1))
    answers = receive(client, 1 << 10) if client.shutdown(socket.SHUT_WR) else b""
    upstream.close()
    answers += receive_all(client)

    assert answers.startswith(b"HTTP/1.1 503 ")
    assert answers.endswith(b"\r\n\r\n" + OK)
    assert b"busy" not in answers


def test_a_delay_holds_the_request_and_then_passes_it(rig):
    """The upstream gets the request delay_ms later and unchanged, with what came after it; others are not held."""
    link = rig.take()
    link.fault({"kind": "delay", "delay_ms": 150, "methods": ["POST"]})
    client, upstream = link.connect()
    client.sendall(post(body=b"x" * 200_000) + get(2))

    assert receive(upstream, len(post(body=b"x" * 200_000)) + len(get(2))) == post(body=b"x" * 200_000) + get(2)

    upstream.sendall(OK + OK)

    assert [read_answer(client), read_answer(client)] == [(200, b"ok")] * 2

    slow, quick = link.wire(2)

    assert slow["forwarded_ns"] - slow["arrived_ns"] >= 149e6
    assert (slow["faults"], quick["faults"]) == ("fault", "")


def test_an_own_answer_is_held_by_a_delay_too(rig):
    """A request that is both delayed and answered by the gate is answered late, also when answers before it come."""
    link = rig.take()
    link.fault({"kind": "delay", "delay_ms": 60_000, "methods": ["POST"]}, "slow")
    link.fault({**BUSY, "methods": ["POST"]}, "busy")
    client, upstream = link.connect()
    client.sendall(get(1) + post())
    serve(upstream, get(1))

    assert read_answer(client) == (200, b"ok")
    assert_silent(client)

    link.heal("slow")

    assert read_answer(client) == (503, b"busy")
    assert link.wire(2)[1]["faults"] == "slow,busy"


def test_switching_off_lets_go_what_is_held(rig):
    """A request held by a long delay goes on as soon as the fault is switched off."""
    link = rig.take()
    link.fault({"kind": "delay", "delay_ms": 60_000})
    client, upstream = link.connect()
    client.sendall(get(1))

    assert_silent(upstream)

    link.heal()
    serve(upstream, get(1))

    assert read_answer(client) == (200, b"ok")


def test_an_expired_lease_lets_go_what_is_held(rig):
    """When nobody renews a fault it goes by itself, with what it holds."""
    link = rig.take()
    link.fault({"kind": "delay", "delay_ms": 60_000, "expires_ns": time.monotonic_ns() + 200_000_000})
    client, upstream = link.connect()
    client.sendall(get(1))
    serve(upstream, get(1))

    assert read_answer(client) == (200, b"ok")
    assert link.heal()["was_on"] is False


def test_a_client_may_go_while_its_request_is_held(rig):
    """The exchange of a client that resets while held is client_gone, and the upstream never sees the request."""
    link = rig.take()
    link.fault({"kind": "delay", "delay_ms": 60_000})
    client, upstream = link.connect()
    client.sendall(get(1))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()

    with pytest.raises(ConnectionResetError):
        receive_all(upstream)
    assert [(row["ending"], row["forwarded_ns"]) for row in link.wire(1)] == [("client_gone", None)]


def test_an_abort_comes_after_the_answers_before_it(rig):
    """An aborted request resets the connection, but only once the requests before it were answered."""
    link = rig.take()
    link.fault({"kind": "abort", "path": "/2"})
    client, upstream = link.connect()
    client.sendall(get(1) + get(2) + get(3))

    assert receive(upstream, len(get(1))) == get(1)
    assert_silent(upstream)

    upstream.sendall(OK)

    with pytest.raises(ConnectionResetError):
        receive_all(client)
    first, second = link.wire(2)

    assert (first["ending"], second["ending"], second["faults"]) == ("answered", "reset", "fault")
    assert [row["ending"] for row in link.connections()] == ["aborted"]


def test_a_fault_acts_from_the_next_request_on(rig):
    """A request of which part has gone on already passes; the next one on the connection is hit."""
    link = rig.take()
    client, upstream = link.connect()
    client.sendall(post()[:10])

    assert receive(upstream, 10) == post()[:10]

    link.fault(BUSY)
    client.sendall(post()[10:] + post())

    serve(upstream, post()[10:])

    assert [read_answer(client), read_answer(client)] == [(200, b"ok"), (503, b"busy")]


def test_every_nth_over_several_connections(rig):
    """`every` counts the requests of the link, not of the connection."""
    link = rig.take()
    link.fault({**BUSY, "every": 2})
    statuses = []
    for number in range(4):
        client, upstream = link.connect()
        client.sendall(get(number))
        if number % 2 == 0:
            serve(upstream, get(number))
        statuses.append(read_answer(client)[0])
        client.close()
        upstream.close()

    assert statuses == [200, 503, 200, 503]


def test_a_fault_for_one_trace_hits_that_trace_alone(rig):
    """A fault may name the traces it is meant for."""
    link = rig.take()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    link.fault({**BUSY, "trace": [trace]})
    client, upstream = link.connect()
    client.sendall(b"GET / HTTP/1.1\r\ntraceparent: 00-%s-00f067aa0ba902b7-01\r\n\r\n" % trace.encode())

    assert read_answer(client)[0] == 503

    client.sendall(get(1))
    serve(upstream, get(1))

    assert read_answer(client)[0] == 200


def test_streams_that_are_no_http_pass_while_faults_are_on(rig):
    """A fault on a link does not hold a stream that is no HTTP, not even one that begins like it."""
    link = rig.take()
    link.fault(BUSY)
    client, upstream = link.connect()
    client.sendall(b"P")
    client.sendall(b"ING\r\n")

    assert receive(upstream, 6) == b"PING\r\n"

    upstream.sendall(b"+PONG\r\n")

    assert receive(client, 7) == b"+PONG\r\n"


def test_the_control_says_what_is_wrong(rig):
    """A wrong token, an unknown link and a senseless spec are each refused with their reason."""
    link = rig.take()
    stranger = GateClient(*rig.control, token="wrong")
    with pytest.raises(GateError, match="closed the connection on 'status'"):
        stranger.status()
    with pytest.raises(GateError, match="unknown link 'a->z'"):
        rig.client.fault_on("f", "a->z", BUSY)
    with pytest.raises(GateError, match="status is 42"):
        link.fault({"kind": "status", "status": 42})

    assert link.heal()["was_on"] is False
