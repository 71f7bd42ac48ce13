"""
Who answers in a drill: people at their keys, a file of answers, or nobody but the clock.

Each is asked many times a second whether anything was said; what they say is carried out by whoever leads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field, ValidationError, model_validator

from harness.drill.model import Drill
from harness.errors import InputError, Mistake
from harness.system.document import did_you_mean, read_document
from harness.system.mistakes import findings
from harness.system.text import read_text
from harness.words import Seconds, Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A manual step that waits for somebody."""

    step: str
    role: str
    since_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """Something said: done or skipped (to the step that waits), note, abort."""

    said: Literal["done", "skipped", "note", "abort"]
    text: str = ""
    by: str | None = None  # None: the role that is asked, or whoever sits at the keys


class Person(Protocol):
    """Somebody who may say something."""

    def words(self, waiting: Waiting | None, now_s: float) -> Sequence[Word]:
        """What was said since the last time."""
        ...


@dataclass(slots=True)
class Auto:
    """Says done to every step, a moment after it is asked."""

    after_s: float = 1.0

    def words(self, waiting: Waiting | None, now_s: float) -> Sequence[Word]:
        if waiting is not None and now_s - waiting.since_s >= self.after_s:
            return [Word(said="done")]
        return []


class WrittenAnswer(Words):
    """One line of a file of answers: to a step, so long after it is asked; or a note at an instant of the run."""

    step: str | None = Field(None, description="name of the step it answers")
    answer: Literal["done", "skip", "abort", "silence"] = Field("done", description="silence: the step is missed")
    after_s: Seconds = Field(1.0, alias="after", description="so long after it is asked")
    note: str | None = Field(None, description="what is said beside it, or at an instant")
    at_s: Seconds | None = Field(None, alias="at", description="instant of the run, of a note alone")
    by: str | None = Field(None, description="who says it; absent: the role that is asked")

    @model_validator(mode="after")
    def _one_form(self) -> WrittenAnswer:
        if self.step is None and (self.at_s is None or self.note is None):
            raise ValueError("write {step: NAME, after: 3s} or {at: 10s, note: TEXT}")
        return self


class AnswerFile(Words):
    """A file of answers."""

    answers: tuple[WrittenAnswer, ...]


@dataclass(slots=True)
class Written:
    """Answers from a file; to a step it does not name, done after a second."""

    answers: tuple[WrittenAnswer, ...]
    _given: set[int] = field(default_factory=set)

    def words(self, waiting: Waiting | None, now_s: float) -> Sequence[Word]:
        found: list[Word] = []
        for number, one in enumerate(self.answers):
            if number in self._given:
                continue
            if one.step is None and one.at_s is not None and now_s >= one.at_s:
                self._given.add(number)
                found.append(Word(said="note", text=one.note or "", by=one.by))
            elif waiting is not None and one.step == waiting.step and now_s >= waiting.since_s + one.after_s:
                self._given.add(number)
                found += _said(one)
        named = {one.step for one in self.answers}
        if waiting is not None and waiting.step not in named and now_s - waiting.since_s >= 1.0:
            found.append(Word(said="done"))
        return found


def _said(one: WrittenAnswer) -> list[Word]:
    words = [Word(said="note", text=one.note, by=one.by)] if one.note else []
    if one.answer == "silence":
        return words
    said: Literal["done", "skipped", "abort"] = (
        "skipped" if one.answer == "skip" else "abort" if one.answer == "abort" else "done"
    )
    return [*words, Word(said=said, text=one.note or "", by=one.by)]


def read_answers(path: Path, drill: Drill) -> Written:
    """A file `answers: [{step: acknowledge, after: 3s}, ...]`. Raises InputError with file and line."""
    document, mistakes = read_document(read_text(path), path)
    try:
        found = AnswerFile.model_validate(document.data, by_alias=True, by_name=False)
    except ValidationError as error:
        wrong = findings(error, document.data, AnswerFile)
        raise InputError.of(
            mistakes + [Mistake(path, document.line(one.where), one.message, one.hint) for one in wrong]
        ) from None
    steps = [line.step for line in drill.script if line.step is not None]
    for number, one in enumerate(found.answers):
        if one.step is not None and one.step not in steps:
            line = document.line(("answers", number, "step"))
            message = f"step is {one.step!r}, which the drill does not have"
            mistakes.append(Mistake(path, line, message, did_you_mean(one.step, steps)))
    if mistakes:
        raise InputError.of(mistakes)
    return Written(found.answers)
