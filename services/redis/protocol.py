"""
As much of Redis's protocol (RESP 2) as a launcher needs to ask one question: a command, and its answer as plain data.

Clients of the shop use redis-py; a launcher starts before anything is installed beside the standard library.
"""

from __future__ import annotations

import socket
from typing import IO, Any

_LIMIT_S = 1.0


class RedisError(ValueError):
    """Redis answered with an error."""


def ask(place: tuple[str, int], *words: str) -> Any:
    """One command on a connection of its own. Raises OSError, ValueError."""
    with socket.create_connection(place, timeout=_LIMIT_S) as connection:
        connection.sendall(encoded(*words))
        with connection.makefile("rb") as answer:
            return decoded(answer)


def encoded(*words: str) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        content = word.encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(content), content))
    return b"".join(parts)


def decoded(answer: IO[bytes]) -> Any:
    """The next value of an answer: text, number, list or None. Raises RedisError, ValueError, EOFError as OSError."""
    line = answer.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the answer ended early")
    kind, rest = line[:1], line[1:-2].decode("utf-8", "replace")
    if kind == b"+":
        return rest
    if kind == b"-":
        raise RedisError(rest)
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if int(rest) < 0 else answer.read(int(rest) + 2)[:-2].decode("utf-8", "replace")
    if kind == b"*":
        return None if int(rest) < 0 else [decoded(answer) for _ in range(int(rest))]
    raise ValueError(f"{line[:40]!r} is no answer of Redis")


def sections(text: str) -> dict[str, str]:
    """The keys and values of an answer to INFO."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line and not line.startswith("#"))
    return {key: value for key, _, value in pairs}
