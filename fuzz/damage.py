"""
Ways to spoil something that was well: bytes, the lines of a text, the values of a tree of data.

Every function takes the source of chance first and gives back what is spoilt and a word for how.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

Spoilt = tuple[bytes, str]

PIECES = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\t", b"\r", b"\r\n", b"\x0b", b"\x85", b"\xc2\x85", b"\xe2\x80\xa8",
    b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\x1b[31m", b"- ", b": ", b"{", b"}", b"[", b"]", b"&a ", b"*a",
    b"<<: *a\n", b"!!python/object:os.system x", b"!<x> ", b"%YAML 9.9\n", b"---\n", b"...\n", b"# ", b"'", b'"',
    b"\\x", b"|\n", b">9\n", b"? ", b"@", b"`", b"$", b"${", b"${A:?no}", b"$$", b"\xf0\x9f\x92\xa5", b"\xe2\x80\xae", b"~",
    b"''", b'""', b"\n\n", b"name: x\n", b"timeline:\n", b"\xc3", "\N{ZERO WIDTH SPACE}".encode(), b"\x7f",
]  # fmt: skip

WORDS = [
    "", " ", "null", "true", "yes", "latency", "latncy", "order->payment", "order -> ", "->", "a->b->c", "payment", "5s", "-5s",
    "0s", "1e400s", "9" * 400 + "s", "0.0000001ms", "99%", "101%", "-1%", "NaN", "nan%", "inf", ".inf", "-.inf", "1e999",
    "40/s", "0/s", "1e9/s", "40/0s", "64KB", "0B", "-1KB", "999999999GB", "٣s", "５s", "½", "0x10", "0o7", "1_000", "2001-01-01",
    "<script>", "{}", "[]", "../../etc/passwd", "/dev/zero", "/", "\0", "\ud800", "a\nb", "x" * 5000, "💥", "\u202e", "%s%n",
    "${HOME}", "${", "$(id)", "__class__", "{0.__class__}", "POST /orders", "POST", "load->order", "load",
]  # fmt: skip
NUMBERS = [0, -1, 1, 2, 3.5, -0.0, 1e308, 10**30, -(10**30), 2**31, 2**63, 2**64, 65536, 1e-320, 0.999999999]
VALUES: list[Any] = [
    None, True, False, [], {}, [[]], [None], {"": None}, {"a": {"a": {"a": 1}}}, [1, "a", None], *NUMBERS, *WORDS,
]  # fmt: skip


# -- bytes -----------------------------------------------------------------------------------------------------


def flip(chance: random.Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        if found:
            found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def insert(chance: random.Random, data: bytes) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.choice(PIECES) * chance.choice((1, 1, 1, 2, 50)) + data[place:]


def cut(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def remove(chance: random.Random, data: bytes) -> bytes:
    start = chance.randrange(len(data) + 1)
    return data[:start] + data[start + chance.randrange(1, 40) :]


def noise(chance: random.Random, data: bytes) -> bytes:
    start = chance.randrange(len(data) + 1)
    fresh = chance.randbytes(chance.randrange(1, 64))
    return data[:start] + fresh + data[start + len(fresh) :]


def encode(chance: random.Random, data: bytes) -> bytes:
    encodings = ("utf-16", "utf-16-be", "utf-32", "utf-7", "cp500", "utf-8-sig", "shift_jis", "cp437")
    return data.decode("utf-8", "replace").encode(chance.choice(encodings), "replace")


# -- lines -----------------------------------------------------------------------------------------------------


def _lines(change: Callable[[random.Random, list[bytes]], None]) -> Callable[[random.Random, bytes], bytes]:
    def spoil(chance: random.Random, data: bytes) -> bytes:
        lines = data.splitlines(keepends=True) or [b"\n"]
        change(chance, lines)
        return b"".join(lines)

    spoil.__name__ = change.__name__.strip("_")
    return spoil


def _swap(chance: random.Random, lines: list[bytes]) -> None:
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def _double(chance: random.Random, lines: list[bytes]) -> None:
    lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))


def _drop(chance: random.Random, lines: list[bytes]) -> None:
    del lines[chance.randrange(len(lines))]


def _indent(chance: random.Random, lines: list[bytes]) -> None:
    place = chance.randrange(len(lines))
    lines[place] = chance.choice((b" ", b"  ", b"\t", b"    ", b"")) + lines[place].lstrip(b" ")


def _carriage_returns(chance: random.Random, lines: list[bytes]) -> None:
    end = chance.choice((b"\r\n", b"\r", b"\n\r", b"\x0c"))
    lines[:] = [line.rstrip(b"\n") + end for line in lines]


def _long_line(chance: random.Random, lines: list[bytes]) -> None:
    place = chance.randrange(len(lines))
    fill = chance.choice((b"x", b" ", b"[", b"- ", b"a: ", b"{a: ", b"\xf0\x9f\x92\xa5", b"'", b"9", b"&a "))
    lines[place] = lines[place].rstrip(b"\n") + fill * chance.choice((200, 20_000, 300_000)) + b"\n"


def _replace_word(chance: random.Random, lines: list[bytes]) -> None:
    place = chance.randrange(len(lines))
    words = lines[place].split(b" ")
    fresh = chance.choice((*WORDS, *map(str, NUMBERS)))
    words[chance.randrange(len(words))] = fresh.encode("utf-8", "surrogatepass")
    lines[place] = b" ".join(words).rstrip(b"\n") + b"\n"


BYTE_WISE = (flip, insert, cut, remove, noise, encode)
LINE_WISE = tuple(map(_lines, (_swap, _double, _drop, _indent, _carriage_returns, _long_line, _replace_word)))


def spoil_text(chance: random.Random, data: bytes) -> Spoilt:
    """One to three kinds of damage."""
    done = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        way = chance.choice(BYTE_WISE + LINE_WISE * 2)
        data = way(chance, data)
        done.append(way.__name__)
    return data[:4_000_000], "+".join(done)


# -- trees -----------------------------------------------------------------------------------------------------


def spoil_tree(chance: random.Random, tree: Any) -> tuple[Any, str]:
    """The same data with one to four of its values, keys or entries wrong."""
    tree = copy.deepcopy(tree)
    done = []
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        place = _somewhere(chance, tree)
        if place is None:
            return chance.choice(VALUES), "replaced"
        holder, key = place
        done.append(_spoil_at(chance, holder, key))
    return tree, "+".join(done)


def _somewhere(chance: random.Random, tree: Any) -> tuple[Any, Any] | None:
    """A holder and a key in it, anywhere below."""
    places = []
    left = [tree]
    while left:
        holder = left.pop()
        inside = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for key, value in inside:
            places.append((holder, key))
            if isinstance(value, dict | list):
                left.append(value)
        if len(places) > 5000:
            break
    return chance.choice(places) if places else None


def _spoil_at(chance: random.Random, holder: Any, key: Any) -> str:
    way = chance.choice(("value", "value", "value", "drop", "rename", "double", "wrap", "near", "exchange"))
    if way == "drop":
        del holder[key]
    elif way == "rename" and isinstance(holder, dict):
        holder[chance.choice((f"{key}x", str(key)[:-1], chance.choice(WORDS), str(key).upper()))] = holder.pop(key)
    elif way == "double" and isinstance(holder, list):
        holder.extend([copy.deepcopy(holder[key])] * chance.choice((1, 3, 300)))
    elif way == "wrap":
        holder[key] = chance.choice(([holder[key]], {"value": holder[key]}, [[holder[key]]], {str(key): holder[key]}))
    elif way == "near" and isinstance(holder[key], str) and holder[key]:
        text = holder[key]
        place = chance.randrange(len(text))
        holder[key] = text[:place] + chance.choice(("", "-", "é", text[place] * 2, "0", "\0")) + text[place + 1 :]
    elif way == "exchange" and isinstance(holder, dict):
        other = chance.choice(list(holder))
        holder[key], holder[other] = holder[other], holder[key]
    else:
        way = "value"
        holder[key] = copy.deepcopy(chance.choice(VALUES))
    return way
