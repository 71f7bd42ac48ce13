"""
The text of a file a person names, or one message that says why there is none.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from harness.errors import InputError, Mistake

LARGEST_BYTES = 256_000  # a hundred times a scenario, forty times a Compose file; more takes seconds to parse


def read_text(path: Path) -> str:
    """The text of a file a person names. Raises InputError when it is no readable text of at most LARGEST_BYTES."""
    return decode(read_raw(path), path)


def read_raw(path: Path) -> bytes:
    """The bytes of a file a person names. Raises InputError when it is no readable file of at most LARGEST_BYTES."""
    try:
        if path.is_dir():
            raise InputError.of([Mistake(path, None, "this is a folder; a file is needed", _inside(path))])
        if not path.is_file():
            if path.exists():
                raise InputError.of([Mistake(path, None, "this is no ordinary file; a file of text is needed")])
            raise InputError.of([Mistake(path, None, "no such file", _similar_file(path))])
        size = path.stat().st_size
        raw = b"" if size > LARGEST_BYTES else _first_bytes(path, LARGEST_BYTES + 1)
        if max(size, len(raw)) > LARGEST_BYTES:
            shown = f"{size} bytes are" if size > LARGEST_BYTES else "more than it says is"
            raise InputError.of([Mistake(path, None, f"{shown} too large; the limit is {LARGEST_BYTES}")])
    except (OSError, ValueError) as error:  # ValueError: a NUL inside the path
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError.of([Mistake(path, None, f"cannot be read: {reason}")]) from None
    return raw


def _first_bytes(path: Path, most: int) -> bytes:
    """At most so many bytes, without waiting: some files of a machine never end, or wait for what happens next."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        raw = b""
        while len(raw) < most and (piece := os.read(file, most - len(raw))):
            raw += piece
        return raw
    finally:
        os.close(file)


def decode(raw: bytes, file: Path | str) -> str:
    """UTF-8 text, a byte order mark taken off. Raises InputError for anything else."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        message = f"is not UTF-8 text: byte 0x{raw[error.start]:02x} at offset {error.start}"
        raise InputError.of([Mistake(file, line, message, "a scenario or Compose file is YAML text")]) from None


def _inside(folder: Path) -> str | None:
    files = sorted(str(p) for p in folder.glob("*.yaml"))
    return f"it holds {', '.join(files[:5])}{', ...' if len(files) > 5 else ''}" if files else None


def _similar_file(path: Path) -> str | None:
    try:
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    except OSError:
        beside = []
    near = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.6)
    if near:
        return f"did you mean {path.parent / near[0]}?"
    return None if path.parent.is_dir() else f"the folder {path.parent} does not exist either"
