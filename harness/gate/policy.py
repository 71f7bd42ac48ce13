"""
A gate's policy: what has to be there, and what an INCONCLUSIVE, a flaky or a missing scenario counts as.

Nothing is let through unless the file says so: the default of every key is the strict one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from harness.errors import InputError, Mistake
from harness.scenario.schema import DIALECT
from harness.system.document import read_document
from harness.system.mistakes import findings
from harness.system.text import read_text
from harness.words import Words

Doubt = Literal["inconclusive", "fail", "warn"]


class Regression(Words):
    """What comparisons with another version have to say."""

    required: bool = Field(False, description="a comparison must be among what the gate is given")
    inconclusive: Doubt = Field("inconclusive", description="what an INCONCLUSIVE comparison counts as")


class Policy(Words):
    """One policy file."""

    require: tuple[str, ...] = Field((), description="names of scenarios that must have a run")
    require_in: str | None = Field(
        None, description="folder, relative to this file: each of its scenarios must have a run"
    )
    tags: tuple[str, ...] = Field((), description="of require_in: only scenarios that have all of these tags")
    runs_at_least: int = Field(1, ge=1, le=1000, description="conclusive runs that every scenario must have")
    missing: Doubt = Field("fail", description="what a required scenario without a run counts as")
    inconclusive: Doubt = Field("inconclusive", description="what a scenario without any conclusive run counts as")
    flaky: Literal["fail", "warn"] = Field(
        "fail", description="what a scenario counts as whose runs ended both as declared and not"
    )
    thin: Literal["pass", "inconclusive"] = Field(
        "pass", description="what a promise counts as that was kept by less than the scatter within the run"
    )
    regression: Regression = Field(Regression(), description="what comparisons have to say")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPolicy:
    """A policy and where it stands; `required` are all names it asks for, with the line that does."""

    policy: Policy
    file: Path | None = None
    required: dict[str, int | None] = field(default_factory=dict)


def read_policy(file: Path) -> LoadedPolicy:
    """A policy file, its folder of scenarios looked through. Raises InputError with every mistake and its line."""
    document, mistakes = read_document(read_text(file), file)
    policy: Policy | None = None
    try:
        policy = Policy.model_validate(document.data, by_alias=True, by_name=False)
    except ValidationError as error:
        mistakes += [
            Mistake(file, document.line(found.where), found.message, found.hint)
            for found in findings(error, document.data, Policy)
        ]
    required: dict[str, int | None] = {}
    if policy is not None:
        required = {name: document.line(("require", place)) for place, name in enumerate(policy.require)}
        line = document.line(("require_in",) if policy.require_in is not None else ("tags",))
        for name in _named_in(policy, file, line, mistakes):
            required.setdefault(name, line)
    if mistakes or policy is None:
        raise InputError.of(mistakes)
    return LoadedPolicy(policy=policy, file=file, required=required)


def _named_in(policy: Policy, file: Path, line: int | None, mistakes: list[Mistake]) -> list[str]:
    if policy.require_in is None:
        if policy.tags:
            mistakes.append(Mistake(file, line, "tags stand without require_in", "require_in: scenarios"))
        return []
    from harness.scenario.file import peek
    from harness.suite import find

    try:
        return [peek(path)[0] for path in find([file.parent / policy.require_in], None, policy.tags)]
    except InputError as error:
        mistakes.append(Mistake(file, line, f"require_in is {policy.require_in!r}: {error}", error.hint))
        return []


def policy_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a policy file, for editors."""
    return {
        "$schema": DIALECT,
        **Policy.model_json_schema(by_alias=True, mode="validation"),
        "title": "harness gate policy",
        "description": "What finished runs must show before a CI job may pass.",
    }
