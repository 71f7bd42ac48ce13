"""
A Spring service's `application.yml`, read as it is: which keys it holds, and in which line each of them stands.

Needs PyYAML, imported when a file is read. Takes the parts under `resilience4j` and `hystrix` and looks at nothing else but
the profile of a document (`---`) and what a `${PLACEHOLDER:default}` names. Does not know what any key means.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.resilience.errors import ConfigError, Problem
from services.resilience.keys import canonical

ROOTS = ("resilience4j", "hystrix")

_MOST_KEYS = 100_000
"""Aliases can make a small file enormous; no service has that many keys."""
_PLACEHOLDER = re.compile(r"\$\{([^${}]*)\}")
_MOST_ROUNDS = 20
_PROFILE_KEYS = ("spring.config.activate.on-profile", "spring.config.activate.onprofile", "spring.profiles")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One value: the words of its key, the value as YAML reads it, and `FILE:LINE` (lines count from 1)."""

    path: tuple[str, ...]
    value: Any
    place: str

    @property
    def key(self) -> str:
        """The key in dotted form, spelled as in the file."""
        return ".".join(self.path)


@dataclass(slots=True)
class SpringFile:
    """What was found: the lines of `ROOTS`, in file order, a later document's over an earlier one's."""

    lines: list[Line] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read(
    path: str | Path, *, environment: Mapping[str, str] | None = None, profiles: Collection[str] = ()
) -> SpringFile:
    """Read one file.

    `environment` answers placeholders, before the file's own keys and the placeholder's default. Documents for a
    profile are taken if it is one of `profiles`.
    Raises ConfigError when there is no such file, no PyYAML, or the text is no YAML.
    """
    found = SpringFile()
    for every in _documents(Path(path), found.problems):
        if not _is_active(every, profiles, found.warnings):
            continue
        values = {line.key: line.value for line in every}
        for line in every:
            root = canonical(line.path[0])
            if root in ROOTS:
                found.lines.append(_resolved(line, values, environment or {}, found.problems))
            elif near := difflib.get_close_matches(root, ROOTS, cutoff=0.8):
                _complain(found.problems, line, f"unknown key {line.path[0]!r}", f"did you mean {near[0]!r}?")
    return found


def _documents(path: Path, problems: list[Problem]) -> list[list[Line]]:
    try:
        import yaml
    except ImportError as error:
        message = "cannot be read without PyYAML"
        raise ConfigError([Problem(key=str(path), message=message, hint="pip install pyyaml")]) from error
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError([Problem(key=str(path), message=f"cannot be read: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        message = f"is no UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}"
        raise ConfigError([Problem(key=str(path), message=message)]) from error
    try:
        return [
            _flat(path.name, node, problems) for node in yaml.compose_all(text, yaml.SafeLoader) if node is not None
        ]
    except yaml.YAMLError as error:
        raise ConfigError([_no_yaml(path, error)]) from error


def _no_yaml(path: Path, error: Exception) -> Problem:
    mark = getattr(error, "problem_mark", None)
    message = f"is no YAML: {getattr(error, 'problem', None) or error}"
    if mark is None:
        return Problem(key=str(path), message=message)
    return Problem(key=f"column {mark.column + 1}", message=message, place=f"{path.name}:{mark.line + 1}")


def _flat(name: str, root: Any, problems: list[Problem]) -> list[Line]:
    """Every value of one document, in file order; merge keys (`<<`) and aliases followed."""
    import yaml

    if not isinstance(root, yaml.MappingNode):
        message = f"holds a {root.id}, must hold keys and values"
        problems.append(Problem(key="document", message=message, place=f"{name}:{root.start_mark.line + 1}"))
        return []
    loader = yaml.SafeLoader("")
    lines: list[Line] = []

    def scalar(node: Any) -> Any:
        try:
            return loader.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError):  # a tag of somebody's own, or a date that is none: the text, then
            return getattr(node, "value", None)

    def walk(node: Any, above: tuple[str, ...], open_nodes: frozenset[int]) -> Iterator[Line]:
        if id(node) in open_nodes:
            place = f"{name}:{node.start_mark.line + 1}"
            problems.append(Problem(key=".".join(above), message="is an alias that holds itself", place=place))
            return
        _tell_doubles(name, node, above, problems)
        loader.flatten_mapping(node)
        latest = {_words(key): (key, value) for key, value in node.value}
        for words, (key, value) in latest.items():
            path = (*above, *words)
            if isinstance(value, yaml.MappingNode) and value.value:
                yield from walk(value, path, open_nodes | {id(node)})
            else:
                yield Line(path=path, value=scalar(value), place=f"{name}:{key.start_mark.line + 1}")

    for line in walk(root, (), frozenset()):
        lines.append(line)
        if len(lines) > _MOST_KEYS:
            raise ConfigError([Problem(key=name, message=f"has more than {_MOST_KEYS} keys, aliases followed")])
    return lines


def _words(key: Any) -> tuple[str, ...]:
    """A key's words: parted at dots, but `[pay.v1]` is one word, as in Spring."""
    parts = re.findall(r"\[([^\]]*[^\]\d][^\]]*)\]|((?:[^.\[]|\[\d*\])+)", str(key.value))
    return tuple(bracketed or plain for bracketed, plain in parts) or ("",)


def _tell_doubles(name: str, node: Any, above: tuple[str, ...], problems: list[Problem]) -> None:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        written, line = str(key.value), key.start_mark.line + 1
        if written in seen and written != "<<":
            message = f"is there twice, first in line {seen[written]}"
            problems.append(Problem(key=".".join((*above, written)), message=message, place=f"{name}:{line}"))
        seen.setdefault(written, line)


def _is_active(lines: list[Line], profiles: Collection[str], warnings: list[str]) -> bool:
    """Whether a document holds for these profiles: `a`, `!a`, `a,b` (either). Anything else is left out, and told."""
    for line in lines:
        if line.key.lower() in _PROFILE_KEYS:
            wanted = line.value if isinstance(line.value, list) else str(line.value).split(",")
            terms = [str(term).strip() for term in wanted]
            if any(re.search(r"[&|()]", term) for term in terms):
                warnings.append(f"{line.place}: {line.key}: {line.value!r} is too involved, the document is left out")
                return False
            return any((term[1:] not in profiles) if term.startswith("!") else term in profiles for term in terms)
    return True


def _resolved(line: Line, values: Mapping[str, Any], environment: Mapping[str, str], problems: list[Problem]) -> Line:
    def text(value: str) -> str:
        for _ in range(_MOST_ROUNDS):
            replaced = _PLACEHOLDER.sub(one, value)
            if replaced == value:
                return value
            value = replaced
        raise ValueError("has placeholders that lead back to themselves")

    def one(match: re.Match[str]) -> str:
        name, colon, default = match[1].partition(":")
        relaxed = re.sub(r"[.\[]", "_", name).replace("-", "").replace("]", "").upper()
        for table, key in ((environment, name), (environment, relaxed), (values, name)):
            if key in table and not isinstance(table[key], (dict, list)):
                return str(table[key])
        if not colon:
            raise ValueError(f"names ${{{name}}}, which is neither set nor has a default (${{{name}:default}})")
        return default

    value = line.value
    try:
        if isinstance(value, str):
            value = text(value)
        elif isinstance(value, list):
            value = [text(item) if isinstance(item, str) else item for item in value]
    except ValueError as error:
        _complain(problems, line, str(error))
        value = None
    return Line(path=line.path, value=value, place=line.place)


def _complain(problems: list[Problem], line: Line, message: str, hint: str | None = None) -> None:
    problems.append(Problem(key=line.key, message=message, hint=hint, place=line.place))
