"""Where the gate sees HTTP messages begin and end."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.links.gate.chunked import NotHttpError
from harness.links.gate.framing import END, HEAD, LONGEST_HEAD_BYTES, Phase, RequestFraming, ResponseFraming


def boundaries(framing, pieces):
    """Offsets in the whole stream at which a head or a message was complete."""
    found, offset = [], 0
    for piece in pieces:
        start = 0
        while start < len(piece):
            stop, event = framing.advance(piece, start)
            assert stop > start
            if event & HEAD:
                found.append(("head", offset + stop))
            if event & END:
                found.append(("end", offset + stop))
            start = stop
        offset += len(piece)
    return found


def split(data, cuts):
    edges = [0, *sorted(cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a < b]


bodies = st.one_of(
    st.just((b"", b"")),
    st.binary(min_size=1, max_size=40).map(lambda body: (b"Content-Length: %d\r\n" % len(body), body)),
    st.lists(st.binary(min_size=1, max_size=20), max_size=3).map(
        lambda chunks: (
            b"Transfer-Encoding: chunked\r\n",
            b"".join(b"%x;note=1\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\nTrailer: yes\r\n\r\n",
        )
    ),
)


@given(st.lists(bodies, min_size=1, max_size=4), st.data())
def test_boundaries_of_requests_do_not_depend_on_how_the_bytes_were_cut(messages, data):
    """However a stream of requests is cut, each head and each end is found at its own byte."""
    stream, expected = b"", []
    for headers, body in messages:
        stream += b"POST /things HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n"
        expected.append(("head", len(stream)))
        stream += body
        expected.append(("end", len(stream)))
    cuts = data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=12))

    assert expected == boundaries(RequestFraming(), split(stream, cuts))


@given(st.lists(bodies, min_size=1, max_size=4), st.data())
def test_boundaries_of_answers_do_not_depend_on_how_the_bytes_were_cut(messages, data):
    """However a stream of answers is cut, each head and each end is found at its own byte."""
    stream, expected = b"", []
    for headers, body in messages:
        stream += b"HTTP/1.1 200 OK\r\n" + (headers or b"Content-Length: 0\r\n") + b"\r\n"
        expected.append(("head", len(stream)))
        stream += body
        expected.append(("end", len(stream)))
    cuts = data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=12))

    assert expected == boundaries(ResponseFraming(), split(stream, cuts))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    """No sequence of bytes does worse than to be called no HTTP."""
    for framing in (RequestFraming(), ResponseFraming()):
        try:
            boundaries(framing, [data])
        except NotHttpError:
            pass


@pytest.mark.parametrize(
    ("method", "head", "phase"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Phase.LENGTH),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Phase.START),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Phase.START),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", Phase.START),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Phase.START),
        ("GET", b"HTTP/1.1 100 Continue\r\n\r\n", Phase.START),
        ("GET", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", Phase.START),
        ("CONNECT", b"HTTP/1.1 200 OK\r\n\r\n", Phase.START),
        ("CONNECT", b"HTTP/1.1 407 Who\r\nContent-Length: 5\r\n\r\n", Phase.LENGTH),
        ("GET", b"HTTP/1.0 200 OK\r\n\r\n", Phase.UNTIL_CLOSE),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Phase.CHUNKED),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", Phase.UNTIL_CLOSE),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Phase.START),
    ],
)
def test_what_follows_an_answers_head(method, head, phase):
    """The body of an answer depends on the request's method, the status and the headers (RFC 9112, section 6.3)."""
    framing = ResponseFraming()
    framing.answers = method
    framing.advance(head, 0)

    assert framing.phase is phase


def test_a_request_tells_what_it_asks_for():
    """Method, target, trace and expectation are there once the head is."""
    framing = RequestFraming()
    framing.advance(b"PUT /a/b?c=d HTTP/1.1\r\nTraceparent: 00-aa-bb-01\r\nExpect: 100-Continue\r\n\r\n", 0)

    assert (framing.method, framing.path, framing.traceparent) == ("PUT", b"/a/b?c=d", b"00-aa-bb-01")
    assert framing.expects_continue
    assert framing.keep_alive


def test_an_offer_to_upgrade_does_not_end_the_reading():
    """A request that offers an upgrade is read to its end, body included, and the next one too."""
    request = b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok"

    assert boundaries(RequestFraming(), [request * 2]) == [("head", 73), ("end", 75), ("head", 148), ("end", 150)]


@pytest.mark.parametrize(
    "stream",
    [
        b"\x16\x03\x01\x02\x00",
        b"PING\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * LONGEST_HEAD_BYTES + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_is_called_so(stream):
    """Other protocols and broken framing are refused, so that they pass without being read along."""
    with pytest.raises(NotHttpError):
        boundaries(RequestFraming(), [stream])
