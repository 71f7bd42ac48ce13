"""
comparison.json: what a comparison found, for gates, reports and people's own tools; versioned, readable again.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.comparison.looks import shown_change, shown_value
from harness.comparison.rules import Compared
from harness.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS, InputError
from harness.report.escape import markdown, one_line
from harness.verdict import Verdict, worst

FORMAT = 1
FILE_NAME = "comparison.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two versions compared over some scenarios. folder: where it was read from."""

    old: str
    new: str
    scenarios: tuple[Compared, ...]
    folder: Path | None = None

    @property
    def verdict(self) -> Verdict:
        return worst(one.verdict for one in self.scenarios)

    @property
    def exit_code(self) -> int:
        codes = {Verdict.PASS: EXIT_PASS, Verdict.FAIL: EXIT_FAIL, Verdict.INCONCLUSIVE: EXIT_INCONCLUSIVE}
        return codes[self.verdict]


def document(comparison: Comparison) -> dict[str, Any]:
    """JSON-ready values."""
    return {
        "format": FORMAT,
        "old": comparison.old,
        "new": comparison.new,
        "verdict": comparison.verdict.value,
        "exit_code": comparison.exit_code,
        "scenarios": [_plain(dataclasses.asdict(one)) for one in comparison.scenarios],
    }


def dump_comparison(comparison: Comparison) -> str:
    """The text of comparison.json."""
    return json.dumps(document(comparison), indent=2, allow_nan=False) + "\n"


def read_comparison(place: Path) -> Comparison:
    """A comparison's folder or its comparison.json. Raises InputError."""
    file = place / FILE_NAME if place.is_dir() else place
    try:
        return _parse(json.loads(file.read_text("utf-8")), file.parent)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        first = str(error).splitlines()[0] if str(error) else ""
        raise InputError(f"{file}:{line}: not a comparison: {type(error).__name__}: {first}") from error


def _parse(found: Mapping[str, Any], folder: Path) -> Comparison:
    from pydantic import TypeAdapter

    if found["format"] != FORMAT:
        raise ValueError(f"format {found['format']!r}, this version reads {FORMAT}")
    scenarios = TypeAdapter(tuple[Compared, ...]).validate_python(found["scenarios"])
    return Comparison(old=str(found["old"]), new=str(found["new"]), scenarios=scenarios, folder=folder)


def _plain(item: Any) -> Any:
    if isinstance(item, Verdict):
        return item.value
    if isinstance(item, float) and not math.isfinite(item):
        return None
    if isinstance(item, Mapping):
        return {key: _plain(part) for key, part in item.items()}
    return [_plain(part) for part in item] if isinstance(item, list | tuple) else item


# -- for people ------------------------------------------------------------------------------------------------


def text(comparison: Comparison) -> str:
    """The comparison in lines: the verdict first, then each scenario, then its SLIs."""
    lines = [f"{comparison.verdict.value}  {one_line(comparison.new)} against {one_line(comparison.old)}"]
    for one in comparison.scenarios:
        lines += ["", f"{one.verdict.value}  {one_line(one.scenario)}: {one_line(one.sentence)}"]
        lines += [f"    note: {one_line(note)}" for note in one.notes]
        if one.changes:
            width = max(len(c.name) for c in one.changes)
            lines += [f"    {c.name:<{width}}  {'  '.join(_cells(c))}" for c in one.changes]
    return "\n".join(lines)


def _cells(change: Any) -> Sequence[str]:
    return (
        f"{shown_value(change.sli, change.old)} -> {shown_value(change.sli, change.new)}",
        shown_change(change.sli, change.shift),
        f"at most {shown_change(change.sli, change.bound)}",
        f"p {change.p:.4f}",
        change.verdict.value,
    )


def markdown_text(comparison: Comparison) -> str:
    """The comparison as Markdown for a step summary or a pull request."""
    head = f"## {comparison.verdict.value}: {markdown(comparison.new)} against {markdown(comparison.old)}"
    parts = [head]
    for one in comparison.scenarios:
        parts.append(f"**{one.verdict.value}** {markdown(one.scenario)}: {markdown(one.sentence)}")
        parts += [f"- {markdown(note)}" for note in one.notes]
        if one.changes:
            rows = [f"| {markdown(c.name)} | {' | '.join(_cells(c))} |" for c in one.changes]
            header = "| SLI | old -> new | change | bound (99 %) | p | |\n| --- | --- | --- | --- | --- | --- |"
            parts.append("\n".join([header, *rows]))
    return "\n\n".join(parts) + "\n"
