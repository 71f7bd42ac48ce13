"""
Where HTTP/1.x messages begin and end in one direction of a connection.

An observer: it is shown bytes and says where the next boundary is; it never changes, keeps or delays one. httptools
reads each head (and refuses what is no HTTP), the bodies are only measured here, because httptools does not tell
at which byte a message ended and cannot know that an answer belongs to HEAD or CONNECT.
"""

from __future__ import annotations

from enum import Enum

import httptools

from harness.links.gate.chunked import ChunkedBody, NotHttpError

LONGEST_HEAD_BYTES = 1024 * 1024  # more than any server takes; beyond it we stop reading along

NOTHING = 0
HEAD = 1  # the head of a message is complete
END = 2  # the message is complete


class Phase(Enum):
    """What the next byte belongs to."""

    START = "start"
    HEAD = "head"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until_close"


class Framing:
    """One direction. Feed it with advance(); the attributes hold what the last complete head said."""

    __slots__ = ("_chunked", "_head", "_left", "_parser", "phase")

    def __init__(self) -> None:
        self.phase = Phase.START
        self._head = bytearray()  # of a head that came in pieces
        self._left = 0
        self._chunked: ChunkedBody | None = None

    def advance(self, data: bytes, start: int) -> tuple[int, int]:
        """
        Read data from start up to the next boundary. Returns (where it stopped, HEAD | END as bits). Stops at the
        end of each head and of each message, else at the end of data. Raises NotHttpError.
        """
        phase = self.phase
        if phase is Phase.START:
            return self._begin(data, start)
        if phase is Phase.HEAD:
            return self._go_on(data, start)
        if phase is Phase.LENGTH:
            stop = min(len(data), start + self._left)
            self._left -= stop - start
            return stop, self._end() if not self._left else NOTHING
        if phase is Phase.CHUNKED:
            assert self._chunked is not None
            stop = self._chunked.advance(data, start)
            return stop, self._end() if self._chunked.complete else NOTHING
        return len(data), NOTHING

    def _begin(self, data: bytes, start: int) -> tuple[int, int]:
        if data[start] in b"\r\n":
            start = _after_blank_lines(data, start)
            if start == len(data):
                return start, NOTHING
        self._parser = self._new_parser()
        stop = data.find(b"\r\n\r\n", start) + 4
        if stop >= 4:  # nearly always a head comes in one piece
            head = data if start == 0 and stop == len(data) else data[start:stop]
            _check_length(head)
            self._parse(head)
            return stop, HEAD | self._after_head(head)
        self.phase = Phase.HEAD
        self._head = bytearray(data[start:])
        self._parse(data[start:])
        return len(data), NOTHING

    def _go_on(self, data: bytes, start: int) -> tuple[int, int]:
        """More of a head; the empty line that ends it may have begun in earlier bytes."""
        earlier = len(self._head)
        self._head += data[start:]
        found = self._head.find(b"\r\n\r\n", max(0, earlier - 3))
        if found < 0:
            _check_length(self._head)
            self._parse(data[start:])
            return len(data), NOTHING
        stop = start + found + 4 - earlier
        self._parse(data[start:stop])
        head = bytes(self._head[: found + 4])
        self._head = bytearray()
        return stop, HEAD | self._after_head(head)

    def _parse(self, piece: bytes) -> None:
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            pass  # only an offer until the answer accepts it
        except httptools.HttpParserError as error:
            raise NotHttpError(str(error)) from error

    def _after_head(self, head: bytes) -> int:
        lowered = head.lower()
        self._head_complete(lowered)
        self.phase = phase = self._body(lowered)
        if phase is Phase.START:
            return END
        if phase is Phase.CHUNKED:
            self._chunked = ChunkedBody()
        return NOTHING

    def _by_headers(self, lowered: bytes, otherwise: Phase) -> Phase:
        """What follows a head whose headers say so."""
        encoding = lowered.rfind(b"\r\ntransfer-encoding:")
        if encoding >= 0:
            return Phase.CHUNKED if _value(lowered, encoding).endswith(b"chunked") else otherwise
        length = lowered.find(b"\r\ncontent-length:")
        if length < 0:
            return otherwise
        self._left = int(_value(lowered, length))
        return Phase.LENGTH if self._left else Phase.START

    def _end(self) -> int:
        self.phase = Phase.START
        return END

    def _new_parser(self) -> httptools.HttpRequestParser | httptools.HttpResponseParser:
        raise NotImplementedError

    def _head_complete(self, lowered: bytes) -> None:
        raise NotImplementedError

    def _body(self, lowered: bytes) -> Phase:
        """What follows the head just read; START when nothing does."""
        raise NotImplementedError


class RequestFraming(Framing):
    """Client to upstream."""

    __slots__ = ("expects_continue", "keep_alive", "method", "path", "traceparent")

    def __init__(self) -> None:
        super().__init__()
        self.method = ""
        self.path = b""
        self.traceparent = b""
        self.expects_continue = False
        self.keep_alive = True

    def _new_parser(self) -> httptools.HttpRequestParser:
        self.path = b""
        return httptools.HttpRequestParser(self)

    def on_url(self, url: bytes) -> None:
        """httptools calls this with the target, in pieces when it came in pieces."""
        self.path += url

    def on_headers_complete(self) -> None:
        """httptools calls this at the end of the head, the only moment at which it knows the answer."""
        self.keep_alive = self._parser.should_keep_alive()

    def _head_complete(self, lowered: bytes) -> None:
        self.method = self._parser.get_method().decode("ascii")
        trace = lowered.find(b"\r\ntraceparent:")
        self.traceparent = _value(lowered, trace) if trace >= 0 else b""
        expect = lowered.find(b"\r\nexpect:")
        self.expects_continue = expect >= 0 and _value(lowered, expect) == b"100-continue"

    def _body(self, lowered: bytes) -> Phase:
        return self._by_headers(lowered, Phase.START)


class ResponseFraming(Framing):
    """Upstream to client. Set `answers` to the method of the request that is answered before each message."""

    __slots__ = ("answers", "status")

    def __init__(self) -> None:
        super().__init__()
        self.answers = ""
        self.status = 0

    @property
    def interim(self) -> bool:
        """True for 100 to 199 without 101: the real answer is still to come."""
        return self.status < 200 and self.status != 101

    def _new_parser(self) -> httptools.HttpResponseParser:
        return httptools.HttpResponseParser(self)

    def _head_complete(self, lowered: bytes) -> None:  # noqa: ARG002  the status line is enough
        self.status = self._parser.get_status_code()

    def _body(self, lowered: bytes) -> Phase:
        status = self.status
        if status < 200 or status in (204, 304) or self.answers == "HEAD":
            return Phase.START
        if self.answers == "CONNECT" and status < 300:
            return Phase.START
        return self._by_headers(lowered, Phase.UNTIL_CLOSE)


def _value(lowered: bytes, at: int) -> bytes:
    """The value of the header whose line begins after the line end at `at`."""
    return lowered[lowered.index(b":", at) + 1 : lowered.index(b"\r\n", at + 2)].strip()


def _check_length(head: bytes | bytearray) -> None:
    if len(head) > LONGEST_HEAD_BYTES:
        raise NotHttpError(f"a head of more than {LONGEST_HEAD_BYTES} bytes")


def _after_blank_lines(data: bytes, start: int) -> int:
    """Past the line ends that some clients send after a body; servers pass over them, and so do we."""
    while start < len(data) and data[start] in b"\r\n":
        start += 1
    return start
