"""
A drill file read: checked against the model, its system and itself, every mistake with the line it stands in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.drill.cross_check import cross_check
from harness.drill.model import Drill
from harness.errors import InputError, Mistake
from harness.live.header import Header
from harness.scenario.unnamed import unnamed
from harness.system.compose_file import read_system
from harness.system.document import Document, read_document
from harness.system.mistakes import Finding, findings
from harness.system.model import System
from harness.system.text import LARGEST_BYTES, read_text


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedDrill:
    """A drill that can be run. text is the file as it was written."""

    path: Path
    text: str
    drill: Drill
    system: System

    @property
    def header(self) -> Header:
        """What the run of it is about."""
        drill = self.drill
        profile = drill.load.profile
        if profile is None and drill.load.locustfile is None and len(self.system.profiles) == 1:
            profile = next(iter(self.system.profiles))
        return Header(
            name=drill.name, system=self.system, load=drill.load, profile=profile, seed=drill.seed, with_=drill.with_,
            expect=tuple(one.model_dump(mode="json", exclude_none=True) for one in drill.expect),
        )  # fmt: skip


def looks_like_drill(path: Path) -> bool:
    """Whether a YAML file has a `script` at its top."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return any(line.startswith(b"script:") for line in file.read(LARGEST_BYTES).splitlines())
    except (OSError, ValueError):
        return False


def load_drill(path: Path, system: System | None = None) -> LoadedDrill:
    """Read a drill file and the Compose file it names, or check it against another system. Raises InputError."""
    return parse_drill(read_text(path), path, system)


def parse_drill(text: str, path: Path, system: System | None = None) -> LoadedDrill:
    """The same for a text in hand; path is what messages show and what `system:` is relative to. Raises InputError."""
    document, mistakes = read_document(text, path)
    found: list[Finding] = []
    if system is None:
        system, more = _system(document.data, path, found)
        mistakes += more
    drill = _valid(document.data, found)
    if drill is not None:
        found += cross_check(drill, system)
    mistakes += [_mistake(document, finding) for finding in found]
    if mistakes or drill is None or system is None:
        raise InputError.of(list(dict.fromkeys(mistakes)))
    return LoadedDrill(path=path, text=text, drill=drill, system=system)


def _mistake(document: Document, finding: Finding) -> Mistake:
    return Mistake(document.file, document.line(finding.where), finding.message, finding.hint)


def _valid(data: Mapping[str, Any], found: list[Finding]) -> Drill | None:
    try:
        return Drill.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        found += findings(error, data, Drill, (), unnamed)
        return None


def _system(data: Mapping[str, Any], path: Path, found: list[Finding]) -> tuple[System | None, list[Mistake]]:
    written = data.get("system")
    if not isinstance(written, str) or not written.strip() or "\0" in written:
        return None, []  # the model says what is wrong with it
    file = Path(os.path.normpath(path.parent / written))
    try:
        return read_system(file), []
    except InputError as error:
        if file.exists():
            return None, list(error.mistakes)
        found.append(Finding(where=("system",), message=f"system is {written!r}: no such file"))
        return None, []
