"""
What a launcher is told by its environment, with every mistake said at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s)")
_SWITCH = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}


class EnvironmentProblem(Exception):
    """The environment does not say what a launcher needs, or says it wrongly."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Reads values and collects mistakes; `finish` raises them together."""

    values: Mapping[str, str]
    mistakes: list[str] = field(default_factory=list)

    def read(self, name: str, default: str | None, convert: Callable[[str], T], instead: T) -> T:
        """The value of a variable; instead, and a mistake noted, when it is missing (no default) or wrong."""
        text = self.values.get(name, default)
        if text is None or not text.strip():
            self.mistakes.append(f"{name} is not set")
            return instead
        try:
            return convert(text.strip())
        except ValueError as problem:
            self.mistakes.append(f"{name} is {text!r}: {problem}")
            return instead

    def text(self, name: str, default: str | None = None) -> str:
        return self.read(name, default, str, "")

    def port(self, name: str, default: str | None = None) -> int:
        return self.read(name, default, whole(1, 65535), 0)

    def number(self, name: str, default: str, least: int = 0, most: int = 1_000_000) -> int:
        return self.read(name, default, whole(least, most), 0)

    def span_ms(self, name: str, default: str) -> int:
        return self.read(name, default, span_ms, 0)

    def switch(self, name: str, default: str) -> bool:
        return self.read(name, default, switch, False)

    def finish(self, who: str) -> None:
        """Raise EnvironmentProblem when anything was wrong."""
        if self.mistakes:
            raise EnvironmentProblem(f"environment of {who}: " + "; ".join(self.mistakes))


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number between two."""

    def convert(text: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() else -1
        if not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return value

    return convert


def span_ms(text: str) -> int:
    """Milliseconds of `250ms` or `2s`."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError("write a number and a unit: 250ms, 2s")
    return round(float(found[1]) * (1 if found[2] == "ms" else 1000))


def switch(text: str) -> bool:
    try:
        return _SWITCH[text.lower()]
    except KeyError:
        raise ValueError("write on or off") from None


def address(text: str) -> tuple[str, int]:
    """`host:port`, with or without a scheme in front."""
    host, _, port = text.rpartition("//")[2].rstrip("/").rpartition(":")
    if not host:
        raise ValueError("write host:port")
    return host, whole(1, 65535)(port)


def loopback(host: str) -> str:
    """Where only this machine or container gets in: the host itself when it is such an address, else 127.0.0.1."""
    return host if host.startswith("127.") else "127.0.0.1"
