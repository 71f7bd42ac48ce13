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

    __slots__ = ("_chunked", "_content_length", "_head_bytes", "_is_chunked", "_left", "_parser", "_tail", "phase")

    def __init__(self) -> None:
        self.phase = Phase.START
        self._tail = b""
        self._head_bytes = 0
        self._left = 0
        self._content_length = -1
        self._is_chunked = False
        self._chunked: ChunkedBody | None = None

    def advance(self, data: bytes, start: int) -> tuple[int, int]:
        """
        Read data from start up to the next boundary. Returns (where it stopped, HEAD | END as bits). Stops at the
        end of each head and of each message, else at the end of data. Raises NotHttpError.
        """
        phase = self.phase
        if phase is Phase.START or phase is Phase.HEAD:
            return self._advance_head(data, start)
        if phase is Phase.LENGTH:
            stop = min(len(data), start + self._left)
            self._left -= stop - start
            return stop, self._end() if not self._left else NOTHING
        if phase is Phase.CHUNKED:
            assert self._chunked is not None
            stop = self._chunked.advance(data, start)
            return stop, self._end() if self._chunked.complete else NOTHING
        return len(data), NOTHING

    def _advance_head(self, data: bytes, start: int) -> tuple[int, int]:
        search = start
        if self.phase is Phase.START:
            search = _after_blank_lines(data, start)
            if search == len(data):
                return search, NOTHING
            self._begin()
        stop = self._head_end(data, search)
        complete = stop > 0
        stop = stop if complete else len(data)
        self._head_bytes += stop - search
        if self._head_bytes > LONGEST_HEAD_BYTES:
            raise NotHttpError(f"a head of more than {LONGEST_HEAD_BYTES} bytes")
        try:
            self._parser.feed_data(data if search == 0 and stop == len(data) else data[search:stop])
        except httptools.HttpParserUpgrade:
            pass  # only an offer until the answer accepts it
        except httptools.HttpParserError as error:
            raise NotHttpError(str(error)) from error
        if not complete:
            return stop, NOTHING
        return stop, HEAD | self._after_head()

    def _head_end(self, data: bytes, start: int) -> int:
        """Just after the empty line that ends the head, which may have begun in earlier bytes; 0: not in data."""
        if self._tail:
            joined = self._tail + data[start : start + 3]
            found = joined.find(b"\r\n\r\n")
            if found >= 0:
                return start + found + 4 - len(self._tail)
        found = data.find(b"\r\n\r\n", start)
        if found >= 0:
            return found + 4
        self._tail = (self._tail + data[max(start, len(data) - 3) :])[-3:]
        return 0

    def _begin(self) -> None:
        self.phase = Phase.HEAD
        self._tail = b""
        self._head_bytes = 0
        self._content_length = -1
        self._is_chunked = False
        self._parser = self._new_parser()

    def _after_head(self) -> int:
        self.phase = self._body()
        if self.phase is Phase.CHUNKED:
            self._chunked = ChunkedBody()
        elif self.phase is Phase.LENGTH:
            self._left = self._content_length
        return END if self.phase is Phase.START else NOTHING

    def _end(self) -> int:
        self.phase = Phase.START
        return END

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools calls this for each header."""
        name = name.lower()
        if name == b"content-length":
            self._content_length = int(value)
        elif name == b"transfer-encoding":
            self._is_chunked = value.lower().rstrip().endswith(b"chunked")
            self._content_length = -1
        else:
            self._other_header(name, value)

    def on_headers_complete(self) -> None:
        """httptools calls this at the end of the head."""
        self._head_complete()

    def _new_parser(self) -> httptools.HttpRequestParser | httptools.HttpResponseParser:
        raise NotImplementedError

    def _other_header(self, name: bytes, value: bytes) -> None:
        raise NotImplementedError

    def _head_complete(self) -> None:
        raise NotImplementedError

    def _body(self) -> Phase:
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
        self.traceparent = b""
        self.expects_continue = False
        return httptools.HttpRequestParser(self)

    def on_url(self, url: bytes) -> None:
        """httptools calls this with the target, in pieces when it came in pieces."""
        self.path += url

    def _other_header(self, name: bytes, value: bytes) -> None:
        if name == b"traceparent":
            self.traceparent = value
        elif name == b"expect":
            self.expects_continue = value.strip().lower() == b"100-continue"

    def _head_complete(self) -> None:
        self.method = self._parser.get_method().decode("ascii")
        self.keep_alive = self._parser.should_keep_alive()

    def _body(self) -> Phase:
        if self._is_chunked:
            return Phase.CHUNKED
        return Phase.LENGTH if self._content_length > 0 else Phase.START


class ResponseFraming(Framing):
    """Upstream to client. Set `answers` to the method of the request that is answered before each message."""

    __slots__ = ("answers", "status")

    def __init__(self) -> None:
        super().__init__()
        self.answers = ""
        self.status = 0

    def _new_parser(self) -> httptools.HttpResponseParser:
        return httptools.HttpResponseParser(self)

    def _other_header(self, name: bytes, value: bytes) -> None:
        pass

    def _head_complete(self) -> None:
        self.status = self._parser.get_status_code()

    @property
    def interim(self) -> bool:
        """True for 100 to 199 without 101: the real answer is still to come."""
        return self.status < 200 and self.status != 101

    def _body(self) -> Phase:
        if self.answers == "HEAD" or self.status < 200 or self.status in (204, 304):
            return Phase.START
        if self.answers == "CONNECT" and self.status < 300:
            return Phase.START
        if self._is_chunked:
            return Phase.CHUNKED
        if self._content_length < 0:
            return Phase.UNTIL_CLOSE
        return Phase.LENGTH if self._content_length > 0 else Phase.START


def _after_blank_lines(data: bytes, start: int) -> int:
    """Past the line ends that some clients send after a body; servers pass over them, and so do we."""
    while start < len(data) and data[start] in b"\r\n":
        start += 1
    return start
