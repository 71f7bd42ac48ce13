"""`harness list`: the faults and checks there are, and the scenarios in a folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.parser import Parser
from harness.cli.printing import console, print_json
from harness.errors import EXIT_PASS, InputError

if TYPE_CHECKING:
    from rich.console import Console

DESCRIPTION = """\
List the faults and checks there are, or the scenarios in a folder with their tags, the outcome they
declare and the sentence they open with. Without a kind: faults and checks."""
EXAMPLES = ("harness list faults", "harness list checks --json", "harness list scenarios scenarios")
KINDS = ("faults", "checks", "scenarios")
SCENARIOS = Path("scenarios")


def arguments(parser: Parser) -> None:
    parser.add_argument("kind", nargs="?", choices=KINDS, help="what to list")
    parser.add_argument(
        "paths", metavar="PATH", nargs="*", type=Path, help=f"scenarios: files or folders (default: {SCENARIOS})"
    )
    parser.add_argument("--plain", action="store_true", help="no colour, no frames")


def main(options: argparse.Namespace) -> int:
    if options.paths and options.kind != "scenarios":
        raise InputError("only `harness list scenarios` takes a PATH", hint="harness list scenarios PATH")
    kinds = (options.kind,) if options.kind else ("faults", "checks")
    found = {kind: _rows(kind, options.paths or [SCENARIOS]) for kind in kinds}
    if options.json:
        print_json(found[options.kind] if options.kind else found)
        return EXIT_PASS
    out = console(plain=options.plain)
    for kind, rows in found.items():
        _show(out, kind, rows)
    return EXIT_PASS


def _rows(kind: str, paths: list[Path]) -> list[dict[str, Any]]:
    if kind == "scenarios":
        return [scenario_row(path) for path in _scenario_paths(paths)]
    from harness.cli import described

    known = described.faults() if kind == "faults" else described.checks()
    return [{"name": one.name, "what": one.what, "summary": one.summary, "example": one.example} for one in known]


def _scenario_paths(paths: list[Path]) -> list[Path]:
    from harness import suite

    return suite.find(paths)


def scenario_row(path: Path) -> dict[str, Any]:
    """One scenario file as a row; one that cannot be read is a row too, which says so."""
    from harness.scenario.file import load_scenario

    try:
        scenario = load_scenario(path).scenario
    except InputError as error:
        about = f"cannot be read, mistakes: {len(error.mistakes) or 1}; see harness validate {path}"
        return {"path": str(path), "name": path.stem, "tags": [], "outcome": None, "because": None, "about": about}
    return {
        "path": str(path),
        "name": scenario.name,
        "tags": list(scenario.tags),
        "outcome": scenario.outcome,
        "because": scenario.because,
        "about": opening(path.read_text("utf-8")),
    }


def opening(text: str) -> str:
    """The comment a scenario file opens with, as one line."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words = line.lstrip("#").strip()
        if not words.startswith("yaml-language-server:"):
            lines.append(words)
    return " ".join(line for line in lines if line)


def _show(out: Console, kind: str, rows: list[dict[str, Any]]) -> None:
    from harness.report.terminal import show_table

    if kind == "scenarios":
        header: tuple[str, ...] = ("name", "tags", "outcome", "path", "about")
        table: list[tuple[Any, ...]] = [(r["name"], r["tags"], _outcome(r), r["path"], r["about"]) for r in rows]
    else:
        header = (kind.removesuffix("s"), "what it is", "summary")
        table = [(r["name"], r["what"], r["summary"]) for r in rows]
    show_table(out, header, table)
    out.print()


def _outcome(row: dict[str, Any]) -> str:
    return f"{row['outcome'] or '?'} ({row['because']})" if row["because"] else row["outcome"] or "?"
