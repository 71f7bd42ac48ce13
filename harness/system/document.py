"""
A person's YAML file as plain data, with the line of every value kept.

It reads what is safe to read and says where the rest stands: no Python objects,
no endless aliases, no twice-written keys. Words mean what YAML 1.2 lets them
mean: `on` and `no` are texts, only `true` and `false` are truth values.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from harness.errors import InputError, Mistake
from harness.system.text import LARGEST_BYTES

Where = tuple[str | int, ...]
"""A place inside the data: keys and positions, from the top."""

DEEPEST = 60
MOST_NODES = 20_000  # before and after aliases are filled in; a system of a hundred services has a third of it
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_INTEGER = re.compile(r"[-+]?[0-9]{1,31}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_CONSTANTS: dict[str, bool | None] = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "null": None, "Null": None, "NULL": None, "~": None, "": None,
}  # fmt: skip
_OWN_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file, read. `lines` counts from 1; `texts` holds each single value as it was written."""

    file: Path | str
    text: str
    data: Any
    lines: dict[Where, int] = field(default_factory=dict)
    texts: dict[Where, str] = field(default_factory=dict)

    def line(self, where: Where) -> int | None:
        """The line of a place, or of the nearest place around it that the file has."""
        for end in range(len(where), -1, -1):
            if where[:end] in self.lines:
                return self.lines[where[:end]]
        return None


def read_document(text: str, file: Path | str, *, foreign_tags: bool = False) -> tuple[Document, list[Mistake]]:
    """
    Parse YAML. Mistakes that leave the rest readable (a key written twice) are given back beside the document.

    foreign_tags: pass over tags that are not YAML's own, as Compose files have them.
    Raises InputError when there is nothing to go on with.
    """
    if len(text) > LARGEST_BYTES:
        raise InputError.of([Mistake(file, None, f"{len(text)} characters are too many; the limit is {LARGEST_BYTES}")])
    if found := _CONTROL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        message = f"is not text: character {ord(found.group()):#04x} in line {line}"
        raise InputError.of([Mistake(file, line, message, "save the file as plain UTF-8 text")])
    node = _composed(text, file)
    if node is None:
        raise InputError.of([Mistake(file, 1, "the file is empty")])
    builder = _Builder(file, foreign_tags=foreign_tags)
    data = builder.build(node, ())
    document = Document(file=file, text=text, data=data, lines=builder.lines, texts=builder.texts)
    if not isinstance(data, dict):
        shown = document.texts.get((), type(data).__name__)
        message = f"the file must hold keys and values (name: ...), not {shown[:60]!r}"
        raise InputError.of([*builder.mistakes, Mistake(file, document.line(()), message)])
    return document, builder.mistakes


def read_value(text: str) -> Any:
    """One value as it would be read from a file: `3` is a number, `[a, b]` a list. Raises InputError."""
    if not text.strip():
        return None
    if _CONTROL.search(text):
        raise InputError(f"{text!r} is not text")
    node = _composed(text, "value")
    builder = _Builder("value", foreign_tags=False)
    data = builder.build(node, ()) if node is not None else None
    if builder.mistakes:
        raise InputError(builder.mistakes[0].message)
    return data


def did_you_mean(word: str, known: Sequence[str]) -> str | None:
    """A hint: the nearest known word, or all of them when they are few."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    if not known:
        return None
    shown = ", ".join(known[:20])
    return f"known: {shown}{', ...' if len(known) > 20 else ''}"


class _DepthLimitedLoader(yaml.SafeLoader):
    """PyYAML's own loader, with bounds on nesting and on the number of values: no file can exhaust stack or patience."""

    depth = 0
    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        self.nodes += 1
        try:
            if self.depth > DEEPEST:
                self._too_much(f"values are nested deeper than {DEEPEST} levels")
            if self.nodes > 2 * MOST_NODES:  # keys are nodes too
                self._too_much(f"the file holds more than {MOST_NODES} values")
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def _too_much(self, problem: str) -> NoReturn:
        raise yaml.MarkedYAMLError(None, None, problem, self.peek_event().start_mark)  # type: ignore[no-untyped-call]


def _composed(text: str, file: Path | str) -> yaml.Node | None:
    loader = _DepthLimitedLoader(text)
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise InputError.of([_broken(error, text, file)]) from None
    except Exception as error:  # PyYAML lets ValueError and others through on malformed escapes and directives
        line = loader.line + 1
        raise InputError.of([Mistake(file, line, f"is not YAML: {type(error).__name__}: {error}")]) from None
    finally:
        loader.dispose()


def _broken(error: yaml.MarkedYAMLError, text: str, file: Path | str) -> Mistake:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Mistake(file, None, f"is not YAML: {error.problem or error.context}")
    line, column = mark.line + 1, mark.column + 1
    problem = error.problem or str(error.context)
    hint = None
    rows = text.splitlines()
    row = rows[mark.line] if mark.line < len(rows) else ""
    if "'\\t'" in problem or "\t" in row[: len(row) - len(row.lstrip())]:
        problem, hint = "a tab stands where YAML wants blanks", "indent with spaces"
    elif "expected a single document" in str(error.context):
        problem, hint = "a second document begins here", "one file holds one document; take the `---` away"
    elif error.context and error.context_mark and error.context_mark.line != mark.line:
        problem = f"{problem} ({error.context} that began in line {error.context_mark.line + 1})"
    elif "mapping values are not allowed" in problem:
        hint = "put quotes around a text that holds ': ', or check the indentation"
    return Mistake(file, line, f"is not YAML: column {column}: {problem}", hint)


class _Builder:
    """Turns nodes into plain data, counting as it goes."""

    def __init__(self, file: Path | str, *, foreign_tags: bool) -> None:
        self._file = file
        self._foreign_tags = foreign_tags
        self._nodes = 0
        self.lines: dict[Where, int] = {}
        self.texts: dict[Where, str] = {}
        self.mistakes: list[Mistake] = []

    def build(self, node: yaml.Node, where: Where, line: int | None = None) -> Any:
        own_line: int = node.start_mark.line + 1
        self._count(own_line, where)
        self.lines[where] = own_line if line is None or isinstance(node, yaml.ScalarNode) else line
        own_tag = node.tag == "!" or (node.tag.startswith(_OWN_TAG) and "/" not in node.tag)
        if not own_tag and not self._foreign_tags:
            self._wrong(own_line, f"tag {node.tag!r} is not understood", "leave it out")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*where, number)) for number, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        self.texts[where] = node.value
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, where: Where, merging: tuple[yaml.Node, ...] = ()) -> dict[str, Any]:
        """merging: the mappings that are being merged by `<<`, outermost first; one may stand inside itself."""
        found: dict[str, Any] = {}
        seen: dict[Hashable, int] = {}
        merged: list[tuple[yaml.Node, int]] = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._wrong(line, "a key must be a plain word", "put quotes around a text that holds { or [")
                continue
            key = key_node.value
            if _CONTROL.search(key):
                self._wrong(line, f"key {key!r} is not text")
                continue
            if key == "<<" and key_node.style is None:
                merged.append((value_node, line))
                continue
            if key in seen:
                self._wrong(line, f"key {key!r} stands here twice, first in line {seen[key]}", "keep one of them")
                continue
            seen[key] = line
            found[key] = self.build(value_node, (*where, key), line)
        for source, line in merged:
            self._merge(source, line, found, where, (*merging, node))
        return found

    def _merge(
        self, source: yaml.Node, line: int, into: dict[str, Any], where: Where, merging: tuple[yaml.Node, ...]
    ) -> None:
        """YAML's `<<`: keys of another mapping, wherever this one does not say them itself."""
        parts = source.value if isinstance(source, yaml.SequenceNode) else [source]
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                self._wrong(line, "<< takes a mapping, or a list of mappings")
                continue
            self._count(line, where)
            if part in merging or len(merging) > DEEPEST:
                self._wrong(line, "<< merges a mapping into itself")
                continue
            kept_lines, kept_texts = self.lines, self.texts
            self.lines, self.texts = {}, {}
            for key, value in self._mapping(part, where, merging).items():
                if key not in into:
                    into[key] = value
            (lines, self.lines), (texts, self.texts) = (self.lines, kept_lines), (self.texts, kept_texts)
            for place, its_line in lines.items():
                kept_lines.setdefault(place, its_line)
            for place, text in texts.items():
                kept_texts.setdefault(place, text)

    def _count(self, line: int, where: Where) -> None:
        """One value more, or one mapping more that is merged: either can be written once and stand there a million times."""
        self._nodes += 1
        if self._nodes > MOST_NODES or len(where) > DEEPEST:
            what = f"{MOST_NODES} values" if self._nodes > MOST_NODES else f"{DEEPEST} levels"
            message = f"the file grows beyond {what} when its aliases are filled in"
            raise InputError.of([*self.mistakes, Mistake(self._file, line, message)])

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        if node.style == '"' and _CONTROL.search(text):  # the file holds none, but \x00 in quotes makes one
            self._wrong(node.start_mark.line + 1, f"value {text[:60]!r} is not text")
            return ""
        if node.style is not None or (node.tag == _OWN_TAG + "str" and _has_tag(node)):
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        return text

    def _wrong(self, line: int, message: str, hint: str | None = None) -> None:
        self.mistakes.append(Mistake(self._file, line, message, hint))


def _has_tag(node: yaml.ScalarNode) -> bool:
    """Whether a person wrote `!!str`: then the node starts before its word."""
    return bool(node.end_mark.index - node.start_mark.index != len(node.value))
