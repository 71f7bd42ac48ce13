"""Reads the commands and files out of the documentation, so that tests and CI can run them as they are written."""

from __future__ import annotations

import re
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^# file: (\S+)\n")


def blocks(document: Path) -> list[tuple[str, str]]:
    """Fenced blocks as (language, text), in order."""
    return _BLOCK.findall(document.read_text("utf-8"))


def command_blocks(document: Path) -> list[list[str]]:
    """The commands of each console block; what stands behind ` #` is for people."""
    found = []
    for language, text in blocks(document):
        if language == "console":
            found.append([line.split(" #")[0].strip() for line in text.splitlines() if line.strip()])
    return found


def files(document: Path) -> dict[str, str]:
    """Files the document asks the reader to write: blocks that open with `# file: PATH`."""
    found = {}
    for _, text in blocks(document):
        if opening := _FILE.match(text):
            found[opening[1]] = text[opening.end() :]
    return found
