"""
docs/reference.md, made from what is registered: commands, exit codes, scenario keys, faults, checks.

`python -m harness.cli.reference` writes it again; a test says when that is due.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.cli import described
from harness.cli.main import COMMANDS, parser_of
from harness.report import write_file

FILE = Path("docs/reference.md")

_HEAD = """\
# Reference

Made from the program itself by `python -m harness.cli.reference`; edit the models, not this file.
The same is shown by `harness COMMAND --help` and `harness explain NAME`.
"""

_EXIT_CODES = """\
## Exit codes

| code | meaning |
| --- | --- |
| 0 | pass: every scenario ended as it declares |
| 1 | fail: a promise was broken, or a scenario that has to fail did not |
| 2 | wrong input: a file, an option or a path cannot be used; every mistake is listed |
| 3 | inconclusive: evidence was missing, the reason says which |
| 4 | set-up failed: something is missing, taken, full or forbidden |
| 5 | a bug in the harness |
| 130 | interrupted, after everything was undone |

In a suite the gravest counts: 2, then 4, 1, 3.
"""


def reference() -> str:
    """The whole text of docs/reference.md."""
    parts = [
        _HEAD,
        "## Commands\n",
        *(_command(name) for name in COMMANDS),
        _EXIT_CODES,
        "## Scenario files\n",
        "Durations, rates, shares and sizes are written with their unit: `250ms`, `40/s`, `99.5%`, `64KB`.\n",
        *(_described(one) for one in described.parts()),
        "## Drill files\n",
        "A drill is a scenario with people in it: [game days](game-days.md) tells how one is held.\n",
        *(_described(one) for one in described.drill_parts()),
        "## Faults\n",
        *(_described(one) for one in described.faults()),
        "## Checks\n",
        *(_described(one) for one in described.checks()),
    ]
    return "\n".join(parts)


def _command(name: str) -> str:
    parser = parser_of(name)
    rows = [_option(*entry) for entry in parser.entries if "--help" not in entry[0]]
    examples = "\n".join(parser.examples)
    description = _own(" ".join(str(parser.description).split()))
    return f"### harness {name}\n\n{description}\n\n{_table(('option', 'value', 'meaning'), rows)}\n\n```sh\n{examples}\n```\n"


def _option(names: Sequence[str], value: str, text: str) -> tuple[str, str, str]:
    """`--seed`, N, what it does; a positional argument is known by its value alone."""
    if not names[0].startswith("-"):
        return (f"`{_own(value)}`", "", _own(text))
    return (", ".join(f"`{name}`" for name in names), _own(value), _own(text))


def _described(one: described.Described) -> str:
    rows = [
        (
            f"`{key.name}`",
            _own(key.form),
            "required" if key.required else _own(key.default or ""),
            _own(key.description),
        )
        for key in one.keys
    ]
    kind = _own(one.what)
    lines = [f"### {one.name}\n", f"*{kind}*: {_own(one.summary)}.\n"]
    if one.text:
        lines.append(f"{_own(' '.join(one.text.split()))}\n")
    lines.append(_table(("key", "written", "default", "meaning"), rows) + "\n")
    if one.example:
        lines.append(f"```yaml\n- {one.example}\n```\n")
    return "\n".join(lines)


def _own(text: str) -> str:
    """Our own words in a table or a paragraph: their backticks are meant."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown already."""
    drawn = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    drawn += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(drawn)


if __name__ == "__main__":
    sys.stdout.write(f"{write_file(FILE, reference())}\n")
