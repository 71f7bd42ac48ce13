"""Bytes through the gate arrive as they were sent, and what one side does to its connection is done to the other."""

from __future__ import annotations

import hashlib
import socket
import time

import psutil
import pytest
from gate_rig import GateRig, receive, receive_all, reset

pytestmark = pytest.mark.system

UP, DOWN = "up", "down"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
INERT = {"kind": "status", "status": 503, "path": "/never/asked"}  # makes the gate hold and decide each request

CONVERSATIONS = {
    "keep_alive": (
        [(UP, b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"), (DOWN, OK), (UP, b"GET /2 HTTP/1.1\r\n\r\n"), (DOWN, OK)],
        [("/1", 200), ("/2", 200)],
    ),
    "pipelining": (
        [(UP, b"GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\n\r\n"),
         (DOWN, OK + b"HTTP/1.1 204 None\r\n\r\n" + OK)],
        [("/1", 200), ("/2", 204), ("/3", 200)],
    ),
    "chunked": (
        [(UP, b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nA;x=y\r\n0123456789\r\n0\r\nT: 1\r\n\r\n"),
         (DOWN, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\r\n\r\r\n0\r\n\r\n")],
        [("/c", 200)],
    ),
    "expect_continue": (
        [(UP, b"PUT /e HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
         (DOWN, b"HTTP/1.1 100 Continue\r\n\r\n"), (UP, b"body"), (DOWN, OK)],
        [("/e", 200)],
    ),
    "upgrade": (
        [(UP, b"GET /u HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
         (DOWN, b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi"),
         (UP, b"\x81\x85\x00\x00GET / HTTP/1.1\r\n\r\n"), (DOWN, b"\x00\xff\r\n\r\n")],
        [("/u", 101)],
    ),
    "connect": (
        [(UP, b"CONNECT host:443 HTTP/1.1\r\n\r\n"), (DOWN, b"HTTP/1.1 200 Yes\r\n\r\n"), (UP, b"\x16\x03\x01"),
         (DOWN, b"\x16\x03\x03")],
        [("host:443", 200)],
    ),
    "head": (
        [(UP, b"HEAD /h HTTP/1.1\r\n\r\n"), (DOWN, b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"),
         (UP, b"GET /g HTTP/1.1\r\n\r\n"), (DOWN, OK)],
        [("/h", 200), ("/g", 200)],
    ),
    "without_body": (
        [(UP, b"GET /1 HTTP/1.1\r\n\r\n"), (DOWN, b"HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n"),
         (UP, b"\r\nGET /2 HTTP/1.1\r\n\r\n"), (DOWN, b"HTTP/1.1 204 None\r\n\r\n")],
        [("/1", 304), ("/2", 204)],
    ),
    "huge_header": (
        [(UP, b"GET /1 HTTP/1.1\r\nX: " + b"v" * 5000 + b"\r\n\r\n"), (DOWN, OK)],
        [("/1", 200)],
    ),
    "server_first": (
        [(DOWN, b"J\x00\x00\x00\x0a8.0.36\x00"), (UP, b"\x20\x00\x00\x01GET / HTTP/1.1\r\n\r\n"), (DOWN, b"\x07\x00")],
        [],
    ),
    "binary": ([(UP, bytes(range(256))), (DOWN, bytes(reversed(range(256)))), (UP, b"\r\n\r\n")], []),
    "bare_line_feeds": ([(UP, b"GET / HTTP/1.1\nHost: x\n\n"), (DOWN, OK)], []),
    "bad_chunks": (
        [(UP, b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nno size at all\r\n"),
         (DOWN, b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")],
        [("/b", 400)],
    ),
    "answer_is_no_http": ([(UP, b"GET /old HTTP/1.1\r\n\r\n"), (DOWN, b"<html>hello"), (UP, b"more"), (DOWN, b"more")], [("/old", 0)]),
}  # fmt: skip


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    rig = GateRig(tmp_path_factory.mktemp("gate"), links=len(CONVERSATIONS) * 4 + 20)
    yield rig
    assert rig.close() == 0
    assert rig.said() == ""


def play(client, upstream, steps, cut):
    for direction, data in steps:
        sender, receiver = (client, upstream) if direction is UP else (upstream, client)
        for start in range(0, len(data), cut):
            sender.sendall(data[start : start + cut])

        assert data == receive(receiver, len(data))


@pytest.mark.parametrize("held", [False, True], ids=["passing", "deciding"])
@pytest.mark.parametrize("cut", [1 << 20, 1], ids=["whole", "byte_by_byte"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_every_byte_arrives_as_it_was_sent(rig, name, cut, held):
    """Whatever is spoken, whole or byte by byte, faults on or not: the other side receives exactly what was sent."""
    steps, expected = CONVERSATIONS[name]
    link = rig.take()
    if held:
        link.fault(INERT)
    client, upstream = link.connect()
    play(client, upstream, steps, cut)
    client.close()

    assert receive(upstream, 1) == b""

    upstream.close()
    (connection,) = link.connections()
    sent = {way: sum(len(data) for direction, data in steps if direction is way) for way in (UP, DOWN)}

    assert (connection["bytes_up"], connection["bytes_down"]) == (sent[UP], sent[DOWN])
    assert connection["protocol"] == ("http" if expected else "raw")
    assert expected == [(row["path"], row["status"]) for row in link.wire(len(expected))]


def test_a_half_closed_client_still_gets_its_answer(rig):
    """A client may close its sending half and wait: the upstream sees the end and its answer arrives."""
    link = rig.take()
    client, upstream = link.connect()
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    client.shutdown(socket.SHUT_WR)
    request = receive_all(upstream)
    upstream.sendall(OK)
    upstream.close()

    assert request == b"GET / HTTP/1.0\r\n\r\n"
    assert receive_all(client) == OK
    assert [row["ending"] for row in link.wire(1)] == ["answered"]


def test_a_half_closed_upstream_still_reads(rig):
    """An upstream may close its sending half: the client sees the end, and what it sends still arrives."""
    link = rig.take()
    client, upstream = link.connect()
    upstream.shutdown(socket.SHUT_WR)

    assert receive_all(client) == b""

    client.sendall(b"still here")
    client.close()

    assert receive_all(upstream) == b"still here"


def test_an_answer_that_lasts_until_the_close_is_answered(rig):
    """An answer without a length is complete when the upstream closes."""
    link = rig.take()
    client, upstream = link.connect()
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    receive(upstream, 18)
    upstream.sendall(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    upstream.close()

    assert receive_all(client) == b"HTTP/1.1 200 OK\r\n\r\nall of it"

    client.close()
    (row,) = link.wire(1)
    (connection,) = link.connections()

    assert (row["ending"], row["status"]) == ("answered", 200)
    assert (connection["closed_by"], connection["ending"]) == ("upstream", "closed")


def test_an_upstream_that_closes_without_an_answer(rig):
    """The client sees an orderly end, and the exchange is closed_early."""
    link = rig.take()
    client, upstream = link.connect()
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    receive(upstream, 18)
    upstream.close()

    assert receive_all(client) == b""
    assert [row["ending"] for row in link.wire(1)] == ["closed_early"]


def test_a_reset_by_the_upstream_reaches_the_client(rig):
    """The client sees a reset, after the bytes that came before it, and the exchange is reset."""
    link = rig.take()
    client, upstream = link.connect()
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    receive(upstream, 18)
    upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    reset(upstream)

    with pytest.raises(ConnectionResetError):
        receive_all(client)
    (row,) = link.wire(1)
    (connection,) = link.connections()

    assert (row["ending"], row["status"], row["response_bytes"]) == ("reset", 200, 42)
    assert (connection["closed_by"], connection["ending"]) == ("upstream", "reset")


def test_a_reset_by_the_client_reaches_the_upstream(rig):
    """The upstream sees a reset, and the exchange is client_gone."""
    link = rig.take()
    client, upstream = link.connect()
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    receive(upstream, 18)
    reset(client)

    with pytest.raises(ConnectionResetError):
        receive_all(upstream)
    (row,) = link.wire(1)
    (connection,) = link.connections()

    assert row["ending"] == "client_gone"
    assert (connection["closed_by"], connection["ending"]) == ("client", "reset")


def test_an_answer_nobody_waits_for_is_client_gone(rig):
    """A client that gave up and closed is gone, also when the answer comes later; it counts as waiting no more."""
    link = rig.take()
    client, upstream = link.connect()
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    receive(upstream, 18)
    client.close()

    assert receive_all(upstream) == b""
    assert rig.client.status()["links"][link.name]["in_flight"] == 0

    upstream.sendall(OK)
    (row,) = link.wire(1)

    assert row["ending"] == "client_gone"
    assert row["arrived_ns"] < row["ended_ns"] < row["head_ns"]


def test_a_refused_upstream_resets_the_client(rig):
    """The client sees a reset, and one attempt and one connection are on record as refused."""
    link = rig.take()
    link.upstream.close()

    with pytest.raises(ConnectionResetError):  # so quick that it may come out of connect already
        receive(link.dial(), 1)
    (row,) = link.wire(1)
    (connection,) = link.connections()

    assert (row["ending"], row["method"], row["status"]) == ("refused", None, 0)
    assert (connection["ending"], connection["connected_ns"]) == ("refused", None)


def test_stamps_and_counts_of_one_exchange(rig):
    """A row says what was asked, when each step happened, and how many bytes went each way."""
    link = rig.take()
    client, upstream = link.connect()
    request = b"POST /pay?x=1 HTTP/1.1\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
    request += b"Content-Length: 2\r\n\r\nhi"
    before_ns = time.monotonic_ns()
    play(client, upstream, [(UP, request), (DOWN, OK)], 1 << 20)
    after_ns = time.monotonic_ns()
    (row,) = link.wire(1)

    assert before_ns < row["arrived_ns"] <= row["forwarded_ns"] < row["head_ns"] <= row["ended_ns"] < after_ns + 10**9
    assert (row["method"], row["path"], row["trace"]) == ("POST", "/pay?x=1", "4bf92f3577b34da6a3ce929d0e0e4736")
    assert (row["request_bytes"], row["response_bytes"], row["in_flight"]) == (len(request), len(OK), 1)


def send_until_blocked(sender, most_bytes, digest):
    """Send until the other side takes no more for a while; how many bytes went."""
    sender.settimeout(0.3)
    block = bytes(range(256)) * 256 + b"out of step"
    sent_bytes = 0
    try:
        while sent_bytes < most_bytes:
            step = sender.send(block[: most_bytes - sent_bytes])
            digest.update(block[:step])
            sent_bytes += step
    except TimeoutError:
        pass
    return sent_bytes


@pytest.mark.parametrize("direction", [UP, DOWN])
@pytest.mark.parametrize("held", [False, True], ids=["passing", "deciding"])
def test_a_slow_reader_slows_the_writer_down(rig, direction, held):
    """While one side does not read, the other is soon blocked, the gate's memory stays small, and nothing is lost."""
    link = rig.take()
    if held:
        link.fault(INERT)
    client, upstream = link.connect()
    size = 64 * 1024 * 1024
    head = (
        b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
        if direction is UP
        else b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    )
    if direction is DOWN:
        play(client, upstream, [(UP, b"GET / HTTP/1.1\r\n\r\n")], 1 << 20)
    sender, receiver = (client, upstream) if direction is UP else (upstream, client)
    before_bytes = psutil.Process(rig.process.pid).memory_info().rss
    sent, received = hashlib.sha256(), hashlib.sha256()
    sender.sendall(head % size)
    receive(receiver, len(head % size))
    sent_bytes = send_until_blocked(sender, size, sent)
    grown_bytes = psutil.Process(rig.process.pid).memory_info().rss - before_bytes
    received_bytes = 0
    while received_bytes < sent_bytes:
        data = receiver.recv(1 << 20)
        received.update(data)
        received_bytes += len(data)

    assert sent_bytes < size
    assert grown_bytes < 8 * 1024 * 1024
    assert sent.digest() == received.digest()
