"""
Hostile HTTP streams: what a client sends, what the upstream answers, and how each of them ends it.

A stream begins with sound requests that carry an id, so that answers can be paired, and may go on to be anything at all.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

FAULTED, PASSED = "/fault/", "/pass/"  # paths of sound requests: those the gate's own fault answers, and the others
ENDS = ("eof", "eof", "eof", "close", "reset")
PLAIN, DECIDING, ANSWERING, ABORTING, RAW = "plain", "deciding", "answering", "aborting", "raw"
MODES = (PLAIN, PLAIN, DECIDING, ANSWERING, ANSWERING, ABORTING, RAW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """One request that is well formed, and the upstream's answer to it."""

    ident: str
    faulted: bool
    method: str
    request: bytes
    answer: bytes
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """
    One connection. pieces: what the client sends, with a pause in seconds before each. tail: what the upstream sends
    when it has answered every sound request. ends: how the client and the upstream end it; eof is a half-close.
    """

    label: str
    mode: str
    sound: tuple[Sound, ...]
    hostile: bytes
    pieces: tuple[tuple[float, bytes], ...]
    tail: bytes
    client_ends: str
    upstream_ends: str
    upstream_first: bool  # it ends as soon as it has answered
    answer_cuts: int  # the upstream sends its answers in pieces of at most so many bytes


def stream(seed: int, number: int) -> Stream:
    """The stream of a number, always the same for a seed."""
    chance = random.Random(f"{seed}/stream/{number}")
    mode = chance.choice(MODES)
    sound = tuple(_sound(chance, f"{number}-{place}", mode) for place in range(chance.choice((0, 1, 1, 2, 3, 8))))
    kind, make = chance.choice(list(HOSTILE.items()))
    hostile, tail_kind = make(chance), "none"
    if mode == ABORTING:
        hostile = b""
    tail = b""
    if mode not in {ABORTING, ANSWERING} and chance.random() < 0.5:  # there the client could not tell whose it is
        tail_kind, answer = chance.choice(list(ANSWERS.items()))
        tail = answer(chance)
    whole = b"".join(one.request for one in sound) + hostile
    return Stream(
        label=f"{mode}, {len(sound)} sound, {kind}, answered by {tail_kind}",
        mode=mode,
        sound=sound,
        hostile=hostile,
        pieces=tuple(_pieces(chance, whole)),
        tail=tail,
        client_ends=chance.choice(ENDS),
        upstream_ends=chance.choice(ENDS),
        upstream_first=chance.random() < 0.2 and mode not in {ABORTING, ANSWERING},  # after its end nobody answers
        answer_cuts=chance.choice((1 << 30, 1 << 30, 1 << 30, 7, 1)),
    )


def _pieces(chance: random.Random, whole: bytes) -> list[tuple[float, bytes]]:
    """In one go, cut anywhere, byte by byte, or drop by drop like somebody who wants to hold the server up."""
    way = chance.choice(("whole", "whole", "cut", "cut", "bytes", "loris"))
    if way == "bytes" and len(whole) <= 2000:
        return [(0.0, whole[n : n + 1]) for n in range(len(whole))]
    if way == "whole" or len(whole) < 2:
        return [(0.0, whole)]
    places = sorted({chance.randrange(1, len(whole)) for _ in range(chance.choice((1, 3, 9)))})
    slow_s = chance.choice((0.002, 0.02)) if way == "loris" else 0.0
    return [(slow_s, whole[low:high]) for low, high in zip([0, *places], [*places, len(whole)], strict=True)]


# -- sound ---------------------------------------------------------------------------------------------------------


def _sound(chance: random.Random, ident: str, mode: str) -> Sound:
    faulted = mode in {ANSWERING, ABORTING} and chance.random() < 0.5
    method = chance.choice(("GET", "GET", "POST", "PUT", "HEAD", "DELETE"))
    body = chance.randbytes(chance.choice((0, 1, 40, 3000, 100_000 if chance.random() < 0.05 else 10)))
    head = f"{method} {FAULTED if faulted else PASSED}{ident} HTTP/1.1\r\nHost: x\r\nX-Id: {ident}\r\n".encode()
    if method in {"POST", "PUT"}:
        chunked = chance.random() < 0.4
        framed = _chunked(chance, body) if chunked else body
        head += b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % len(body)
        request = head + b"\r\n" + framed
    else:
        request = head + b"\r\n"
    status = chance.choice((200, 201, 404, 500, 204, 304))
    return Sound(
        ident=ident, faulted=faulted, method=method, request=request, status=status,
        answer=_answer(chance, ident, method, status),
    )  # fmt: skip


def _answer(chance: random.Random, ident: str, method: str, status: int) -> bytes:
    """What a sound upstream answers; the id of the request stands in its head."""
    body = chance.randbytes(chance.choice((0, 2, 500, 5000)))
    interim = b"HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n" if chance.random() < 0.1 else b""
    head = f"HTTP/1.1 {status} So\r\nX-Id: {ident}\r\n".encode()
    if status in {204, 304}:
        return interim + head + b"\r\n"
    if chance.random() < 0.3:
        return (
            interim
            + head
            + b"Transfer-Encoding: chunked\r\n\r\n"
            + (b"" if method == "HEAD" else _chunked(chance, body))
        )
    return interim + head + b"Content-Length: %d\r\n\r\n" % len(body) + (b"" if method == "HEAD" else body)


def _chunked(chance: random.Random, body: bytes) -> bytes:
    framed = b""
    while body:
        size = chance.randrange(1, len(body) + 1)
        extension = b";a=b" if chance.random() < 0.1 else b""
        framed += b"%x%s\r\n%s\r\n" % (size, extension, body[:size])
        body = body[size:]
    return framed + b"0\r\n" + (b"T: 1\r\n" if chance.random() < 0.1 else b"") + b"\r\n"


# -- hostile -------------------------------------------------------------------------------------------------------

GET = b"GET /hostile HTTP/1.1\r\nHost: x\r\n\r\n"


def _head(*lines: bytes, method: bytes = b"POST", body: bytes = b"") -> bytes:
    return method + b" /hostile HTTP/1.1\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked"


def _bad_chunks(chance: random.Random) -> bytes:
    body = chance.choice((
        b"no size\r\n", b"5\r\nabcdefgh\r\n0\r\n\r\n", b"-1\r\nx\r\n", b"0x5\r\nabcde\r\n0\r\n\r\n", b"5\nabcde\n0\n\n", b"f" * 40 + b"\r\n",
        b"5;" + b"x" * 100_000, b"5\r\nabc", b"0\r\n" + b"T: v\r\n" * 3000, b" 5\r\nabcde\r\n0\r\n\r\n", b"5\r\nabcde0\r\n\r\n", b"\r\n\r\n",
        b"7fffffffffffffff\r\n" + b"x" * 100, b"ffffffffffffffff\r\n" + b"x" * 100, b"5 \r\nabcde\r\n0\r\n\r\n" + GET, b"0\r\n\r\n" + b"0\r\n\r\n" + GET,
    ))  # fmt: skip
    return _head(CHUNKED, body=body)


def _smuggling(chance: random.Random) -> bytes:
    encoding = chance.choice((
        CHUNKED, b"Transfer-Encoding : chunked", b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: xchunked", b"transfer-encoding:chunked",
        b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", b"X: x\r\n Transfer-Encoding: chunked",
        b"Transfer-Encoding\r\n : chunked", b'Transfer-Encoding: "chunked"', b"Transfer_Encoding: chunked", b"X: x\nTransfer-Encoding: chunked",
    ))  # fmt: skip
    length = chance.choice((
        b"Content-Length: 6", b"Content-Length: 6\r\nContent-Length: 5", b"Content-Length: 6, 6", b"Content-Length: +6", b"Content-Length: -6",
        b"Content-Length: 0x6", b"Content-Length: 6 ", b"Content-Length:\t6", b"Content-Length: ", b"Content-Length: 99999999999999999999",
        b"Content-Length: 1e1", b"Content_Length: 6", b"Content-Length : 6", b"Content-Length: 6\r\n 0", b"Content-Length: \xb26", b"Content-Length: 06",
    ))  # fmt: skip
    both = chance.choice(((encoding, length), (length, encoding), (length,), (length, length), (encoding, encoding)))
    return _head(*both, body=chance.choice((b"0\r\n\r\nG" + GET, b"0\r\n\r\n" + GET, b"6\r\nabcdef\r\n0\r\n\r\n", GET)))


def _odd_heads(chance: random.Random) -> bytes:
    return chance.choice((
        _head(b"X: a", b" folded", b"\tand again", method=b"GET"), b"GET /hostile HTTP/1.1\nHost: x\n\n", b"GET /hostile\r\n\r\n",
        b"GET  /hostile  HTTP/1.1\r\n\r\n", b"GET /hostile HTTP/1.10\r\n\r\n", b"GET /hostile HTTP/9.9\r\n\r\n", b"get /hostile http/1.1\r\n\r\n",
        b"GET http://x/hostile HTTP/1.1\r\n\r\n", b"OPTIONS * HTTP/1.1\r\n\r\n", b"GET /hos\0tile HTTP/1.1\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
        _head(b"X\0: a", method=b"GET"), _head(b": nameless", method=b"GET"), _head(b"no colon", method=b"GET"), _head(b"X: a\rb", method=b"GET"),
        b"\r\n" * 3000 + GET, b"\n\n\n" + GET, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04", b"\x16\x03\x01\x02\0\x01", b"GET /hostile HTTP/1.1\r\r\n\r\r\n",
        b"GET /hostile HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + GET, b"A" * 5000, b"GET " + b"/x" * 40_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /hostile HTTP/1.1\r\nHost: x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"TRACE /hostile HTTP/1.1\r\n\r\n",
    ))  # fmt: skip


def _huge(chance: random.Random) -> bytes:
    return chance.choice((
        lambda: _head(b"X: " + b"v" * 70_000, method=b"GET"), lambda: _head(*[b"X%d: y" % n for n in range(3000)], method=b"GET"),
        lambda: b"GET /hostile HTTP/1.1\r\nX: " + b"v" * 1_100_000, lambda: _head(b"Content-Length: 300000", body=b"b" * 300_000),
        lambda: _head(CHUNKED, body=b"40000\r\n" + b"c" * 0x40000 + b"\r\n0\r\n\r\n"), lambda: b"X" * 200_000,
    ))()  # fmt: skip


def _upgrades(chance: random.Random) -> bytes:
    return chance.choice((
        _head(b"Connection: Upgrade", b"Upgrade: websocket", method=b"GET"), _head(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", method=b"GET"),
        b"CONNECT host:443 HTTP/1.1\r\n\r\n", b"CONNECT host:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", _head(b"Expect: 100-continue", b"Content-Length: 3"),
        _head(b"Upgrade: websocket", method=b"GET"), _head(b"Expect: 100-continue", b"Content-Length: 3", body=b"abc"),
    )) + chance.choice((b"", GET, b"\x81\x02hi", chance.randbytes(200)))  # fmt: skip


def _garbage(chance: random.Random) -> bytes:
    return chance.choice((b"", GET * 3, GET)) + chance.randbytes(chance.choice((1, 9, 300, 9000)))


def _spoilt(chance: random.Random) -> bytes:
    """A sound request with a few bytes of it wrong, cut anywhere."""
    sound = _sound(chance, "hostile", PLAIN).request.replace(PASSED.encode(), b"/hostile/")
    found = bytearray(sound)
    for _ in range(chance.choice((1, 2, 9))):
        found[chance.randrange(min(len(found), 120))] = chance.choice(
            (0, 9, 10, 13, 32, 34, 58, 127, 255, chance.randrange(256))
        )
    return bytes(found[: chance.choice((len(found), chance.randrange(1, len(found) + 1)))])


HOSTILE: dict[str, Callable[[random.Random], bytes]] = {
    "nothing": lambda _: b"", "bad chunks": _bad_chunks, "smuggling": _smuggling, "odd heads": _odd_heads, "huge": _huge,
    "upgrades": _upgrades, "garbage": _garbage, "spoilt": _spoilt,
}  # fmt: skip


# -- hostile answers -----------------------------------------------------------------------------------------------


def _odd_answers(chance: random.Random) -> bytes:
    ok = b"HTTP/1.1 200 OK\r\n"
    return chance.choice((
        ok + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", ok + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n\r\n0\r\n\r\n", ok + b"\r\nuntil close",
        ok + b"Content-Length: -1\r\n\r\n", ok + b"Content-Length: 99999999999999999999\r\n\r\nx", ok + CHUNKED + b"\r\n\r\nzz\r\n", b"HTTP/1.1 1 x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 500, b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n\0\1\2", b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nabcde", b"<html>",
        b"HTTP/1.1 99999 x\r\n\r\n", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ICY 200 OK\r\n\r\n", ok + b"X: " + b"v" * 100_000, ok * 3 + b"\r\n",
        ok + b"Content-Length: 2\r\n\r\nok" + ok + b"Content-Length: 2\r\n\r\nok", b"\r\n\r\n" + ok + b"Content-Length: 0\r\n\r\n", b"HTTP/1.1 200\r\n\r\n",
        ok + b"X: a\r\n b\r\nContent-Length: 1\r\n\r\nc", ok + b"Connection: close\r\n\r\n" + b"x" * 9000, b"HTTP/0.9 hello", b"H",
    ))  # fmt: skip


def _cut_answer(chance: random.Random) -> bytes:
    whole = _answer(chance, "hostile", "GET", 200)
    return whole[: chance.randrange(len(whole))]


ANSWERS: dict[str, Callable[[random.Random], bytes]] = {
    "an odd answer": _odd_answers, "an answer cut": _cut_answer, "noise": lambda chance: chance.randbytes(chance.choice((1, 50, 5000))),
    "a sound answer": lambda chance: _answer(chance, "hostile", "GET", 200),
}  # fmt: skip
