"""
One case: files to lay out, an environment, command lines to type, and what would be right.

A case is plain data, so that one that failed can be written to a file and played again.
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

MEGABYTE = 1_000_000
TEXT, FOLDER, FIFO, LINK, REPEATED = "bytes", "folder", "fifo", "link", "repeated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something that lies at a path: bytes, a folder, a fifo, a link to a target, or a piece repeated `times` times."""

    make: str = TEXT
    data: bytes = b""
    target: str = ""
    times: int = 1

    def lay(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.make == FOLDER:
            path.mkdir(exist_ok=True)
        elif self.make == FIFO:
            os.mkfifo(path)
        elif self.make == LINK:
            path.symlink_to(self.target)
        else:
            path.write_bytes(self.data * self.times)
            if self.data.startswith(b"#!"):
                path.chmod(0o700)

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "data": base64.b64encode(zlib.compress(self.data)).decode()}

    @classmethod
    def of(cls, found: dict) -> Item:
        return cls(**{**found, "data": zlib.decompress(base64.b64decode(found["data"]))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    commands: each is typed in the case's folder, where `files` lie. codes: the exit codes that are right.
    names: files of which one has to be named by a message of exit code 2. lines: a mistake in one of `names` has to
    have a line.
    """

    kind: str
    label: str  # what was done to it, for the table of failures
    commands: tuple[tuple[str, ...], ...]
    files: dict[str, Item] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    codes: tuple[int, ...] = (0, 2)
    names: tuple[str, ...] = ()
    lines: bool = False

    def lay_out(self, folder: Path) -> None:
        for name, item in self.files.items():
            item.lay(folder / name)

    def dump(self, path: Path) -> None:
        found = asdict(self) | {"files": {name: item.to_json() for name, item in self.files.items()}}
        path.write_text(json.dumps(found, indent=1), "ascii")

    @classmethod
    def load(cls, path: Path) -> Case:
        found = json.loads(path.read_text("ascii"))
        found["files"] = {name: Item.of(item) for name, item in found["files"].items()}
        found["commands"] = tuple(tuple(command) for command in found["commands"])
        return cls(**{**found, "codes": tuple(found["codes"]), "names": tuple(found["names"])})
