"""
A scenario file read: checked against the model and its system, every mistake with the line it stands in.

The scenario and its Compose file are read together, so a person hears of the mistakes of both at once.
"""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import InputError, Mistake
from harness.scenario.cross_check import Parts, cross_check
from harness.scenario.model import AnyExpectation, Load, Scenario, Step
from harness.scenario.overrides import apply
from harness.scenario.promises import Promise
from harness.scenario.unnamed import unnamed
from harness.system.compose_file import read_system
from harness.system.document import Document, Where, read_document
from harness.system.mistakes import Finding, findings
from harness.system.model import System
from harness.system.text import read_raw, read_text
from harness.units import duration_s

_EXPECTATION: TypeAdapter[Any] = TypeAdapter(AnyExpectation)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedScenario:
    """A scenario that can be run. text is the file as it was written, before any override."""

    path: Path
    text: str
    scenario: Scenario
    system: System
    overrides: tuple[str, ...] = ()
    lines: Mapping[Where, int] = field(default_factory=dict)

    def line(self, *where: str | int) -> int | None:
        """The line of a place such as ("expect", 2), or of the nearest one around it."""
        for end in range(len(where), -1, -1):
            if where[:end] in self.lines:
                return self.lines[where[:end]]
        return None


def load_scenario(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    system: System | None = None,
    environment: Mapping[str, str] | None = None,
) -> LoadedScenario:
    """
    Read a scenario file and the Compose file it names.

    overrides: `timeline[1].fault.latency=800ms`. system: use this one and read no Compose file.
    environment: fills in the Compose file's variables; absent: the process's own.
    Raises InputError with every mistake of both files.
    """
    path = Path(path)
    return _load(read_text(path), path, overrides, system, environment)


def parse_scenario(
    text: str,
    name: str,
    overrides: Sequence[str] = (),
    *,
    system: System | None = None,
    environment: Mapping[str, str] | None = None,
) -> LoadedScenario:
    """
    The same for a text in hand; name is the path that messages show and that `system:` is relative to.

    Raises InputError.
    """
    return _load(text, Path(name), overrides, system, environment)


def peek(path: Path) -> tuple[str, tuple[str, ...]]:
    """A scenario's name and tags, for choosing among files; what cannot be read has the file's name and no tags."""
    data = _data(path)
    name, tags = data.get("name"), data.get("tags")
    return (
        name if isinstance(name, str) else path.stem,
        tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a run will ask of the machine, as far as its file says so at a glance."""

    alone: bool
    timeline_s: float


def claim_of(path: Path) -> Claim:
    """For who runs beside whom, and who first; what cannot be read claims nothing, and is over at once."""
    data = _data(path)
    written = data.get("timeline")
    steps = [step for step in written if isinstance(step, dict)] if isinstance(written, list) else []
    end_s = cursor_s = 0.0
    for step in steps:
        length_s = sum(_seconds(step.get(key)) for key in ("steady", "recovery", "wait", "for"))
        start_s = _seconds(step["at"]) if "at" in step else cursor_s
        if "at" not in step:
            cursor_s += length_s
        end_s = max(end_s, start_s + length_s)
    return Claim(alone=data.get("alone") is True, timeline_s=end_s)


def _seconds(written: Any) -> float:
    try:
        return 0.0 if written is None else duration_s(written)
    except ValueError:
        return 0.0


def _data(path: Path) -> dict[str, Any]:
    """What a file says, unchecked; nothing when it cannot be read."""
    try:
        document, _ = read_document(read_text(path), path)
    except InputError:
        return {}
    found: dict[str, Any] = document.data
    return found


def _load(
    text: str,
    path: Path,
    overrides: Sequence[str],
    system: System | None,
    environment: Mapping[str, str] | None,
) -> LoadedScenario:
    document, mistakes = read_document(text, path)
    changed, wrong = apply(overrides, document.data)
    mistakes += wrong
    place = _Place(document=document, changed=changed)
    found: list[Finding] = []
    if system is None:
        system, more = _system(document.data.get("system"), path, environment, found)
        mistakes += more
    scenario, parts = _parts(document.data, system, found)
    found += cross_check(parts)
    if scenario is not None and scenario.load.locustfile is not None:
        mistakes += _locustfile(path.parent, scenario.load.locustfile, found)
    mistakes += [place.mistake(finding) for finding in found]
    if mistakes or scenario is None or system is None:
        raise InputError.of(list(dict.fromkeys(mistakes)))
    return LoadedScenario(
        path=path,
        text=text,
        scenario=scenario,
        system=system,
        overrides=tuple(overrides),
        lines=document.lines,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a finding stands: in a line of the file, or in an override."""

    document: Document
    changed: Mapping[Where, str]

    def mistake(self, finding: Finding) -> Mistake:
        for where, label in self.changed.items():
            if finding.where[: len(where)] == where:
                return Mistake(label, None, finding.message, finding.hint)
        return Mistake(self.document.file, self.document.line(finding.where), finding.message, finding.hint)


def _system(
    written: Any, path: Path, environment: Mapping[str, str] | None, found: list[Finding]
) -> tuple[System | None, list[Mistake]]:
    """The system a scenario names. A path that leads nowhere is a mistake of the scenario's own line."""
    if not isinstance(written, str) or not written.strip() or "\0" in written:
        return None, []
    file = Path(os.path.normpath(path.parent / written))
    try:
        return read_system(file, os.environ if environment is None else environment), []
    except InputError as error:
        if not _exists(file):
            mistake = error.mistakes[0]
            message = f"system is {written!r}: {mistake.message}"
            found.append(Finding(where=("system",), message=message, hint=mistake.hint))
            return None, []
        return None, list(error.mistakes)


def _exists(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:
        return False


def _locustfile(folder: Path, name: str, found: list[Finding]) -> list[Mistake]:
    """What Python has against a locustfile. One that is not there is a mistake of the scenario's own line."""
    file = Path(os.path.normpath(folder / name))
    if not _exists(file):
        found.append(Finding(where=("load", "locustfile"), message=f"locustfile is {name!r}: no such file"))
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(read_raw(file))
    except SyntaxError as error:
        return [Mistake(file, error.lineno or 1, f"is not Python: {error.msg}")]
    except (ValueError, RecursionError, MemoryError) as error:  # a NUL; what is nested too deeply
        return [Mistake(file, 1, f"is not Python: {str(error) or 'nested too deeply'}")]
    except InputError as error:
        return list(error.mistakes)
    return []


def _parts(data: dict[str, Any], system: System | None, found: list[Finding]) -> tuple[Scenario | None, Parts]:
    """The scenario, if all of it is well written, and in any case the parts of it that are."""
    scenario = _valid(Scenario, data, (), found)
    load = _valid(Load, data.get("load"), ("load",), None)
    written = data.get("timeline")
    steps = [_valid(Step, one, (), None) for one in written] if isinstance(written, list) else []
    expected = data.get("expect")
    promises = [_promise(one) for one in expected] if isinstance(expected, list) else []
    with_ = data.get("with")
    because, outcome = data.get("because"), data.get("outcome", "pass")
    return scenario, Parts(
        load=load,
        steps=steps,
        promises=promises,
        with_=with_ if isinstance(with_, dict) else {},
        outcome=outcome if isinstance(outcome, str) else "pass",
        because=because if isinstance(because, str) else None,
        system=system,
        names_unsure=not steps or None in steps,
    )


def _valid(model: type[Any], data: Any, where: Where, found: list[Finding] | None) -> Any:
    try:
        return model.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        if found is not None:
            found += findings(error, data, model, where, unnamed)
        return None


def _promise(data: Any) -> Promise | None:
    try:
        expectation = _EXPECTATION.validate_python(data, by_alias=True, by_name=False)
    except ValidationError:
        return None
    promise: Promise = expectation.promise
    return promise
