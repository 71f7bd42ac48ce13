"""
Where a chunked body ends (RFC 9112, section 7.1). Measures only: what the chunks hold is nobody's business here.
"""

from __future__ import annotations

LONGEST_LINE_BYTES = 64 * 1024  # a chunk's size with its extensions, or one trailer line
_HEX_DIGITS = frozenset(b"0123456789abcdefABCDEF")


class NotHttpError(ValueError):
    """The bytes are no HTTP/1.x, or none that can be measured: from here on they are passed without being read."""


class ChunkedBody:
    """One chunked body; give it bytes until `complete`."""

    __slots__ = ("_in_trailer", "_left", "_line", "_wants_line_end", "complete")

    def __init__(self) -> None:
        self.complete = False
        self._left = 0  # bytes of the present chunk still to come
        self._line = b""  # a line that came in pieces
        self._wants_line_end = False  # the line end that closes a chunk's data comes next
        self._in_trailer = False

    def advance(self, data: bytes, start: int) -> int:
        """Read data from start; returns where the body ended, or the end of data. Raises NotHttpError."""
        length = len(data)
        while start < length and not self.complete:
            if self._left:
                step = min(self._left, length - start)
                self._left -= step
                start += step
                continue
            end = data.find(b"\n", start)
            self._line += data[start:] if end < 0 else data[start:end]
            if len(self._line) > LONGEST_LINE_BYTES:
                raise NotHttpError(f"a chunk line of more than {LONGEST_LINE_BYTES} bytes")
            if end < 0:
                return length
            start = end + 1
            line, self._line = self._line, b""
            self._take_line(line.removesuffix(b"\r"))
        return start

    def _take_line(self, line: bytes) -> None:
        if self._in_trailer:
            self.complete = not line
        elif self._wants_line_end:
            if line:
                raise NotHttpError(f"a chunk runs on past its size: {line[:40]!r}")
            self._wants_line_end = False
        else:
            self._left = _chunk_size(line)
            self._wants_line_end = self._left > 0
            self._in_trailer = self._left == 0


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].rstrip(b" \t")
    if not digits or len(digits) > 16 or not _HEX_DIGITS.issuperset(digits):
        raise NotHttpError(f"no chunk size: {line[:40]!r}")
    return int(digits, 16)
