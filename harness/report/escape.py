"""
What came from outside, made harmless for a terminal, for Markdown and for XML; secrets in it are masked.

Paths, headers, error texts and log lines are written by the system under test. None of
them may move a cursor, open a table cell, close a tag or turn the reading direction.
"""

from __future__ import annotations

import json
import re
from typing import Any

from harness import secrets

CUT = "..."
_MARKDOWN = re.compile(r"([\\`*\[\]|~#!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
_LINE_START = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=[=>]|[-+](?:[-+\s]|$)))")
_BACKTICKS = re.compile(r"`+")


def one_line(text: object, longest: int | None = None) -> str:
    """Text with everything unprintable spelt out (`\\x1b`, `\\n`, `\\u202e`), cut to longest characters."""
    shown = secrets.text(str(text))
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else _spelt(c) for c in shown)
    if longest is not None and len(shown) > longest:
        shown = shown[: max(0, longest - len(CUT))] + CUT
    return shown


def lines(text: object) -> str:
    """Like one_line, but line ends and tabs stay what they are. Fit for XML 1.0 as well."""
    return "\n".join(
        "\t".join(one_line(part) for part in line.split("\t")) for line in secrets.text(str(text)).splitlines()
    )


def _spelt(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def markdown(text: object, longest: int | None = 1000) -> str:
    """One line of Markdown that reads as text and nothing else, in a table cell too."""
    escaped = _MARKDOWN.sub(r"\\\1", one_line(text, longest).strip())
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;")
    return _LINE_START.sub(r"\1\\", escaped)  # no list, quote or heading either


def markdown_block(text: object, language: str = "") -> str:
    """A fenced block whose fence is longer than any run of backticks inside."""
    body = lines(text)
    longest = max((len(run) for run in _BACKTICKS.findall(body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def value(item: Any) -> str:
    """A value of an evidence row or a number of a receipt as one line of text, not yet escaped."""
    if item is None:
        return "-"
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, float):
        return f"{item:.4g}" if abs(item) < 10_000 else f"{item:.0f}"
    if isinstance(item, list | tuple):
        return ", ".join(value(part) for part in item)
    if isinstance(item, dict):
        return json.dumps(item, ensure_ascii=False, default=str)
    return str(item)
