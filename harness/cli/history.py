"""`harness history`: one row a run, and a scenario's SLIs over its last runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.parser import Parser
from harness.cli.printing import print_json
from harness.errors import EXIT_PASS

if TYPE_CHECKING:
    from harness.history import History

DESCRIPTION = """\
Keep one row of every run in a folder in a small SQLite file, and draw each scenario's SLIs over its last
runs. Runs may be removed afterwards: their rows stay. For looking at; whether a version is worse than
another is what `harness compare` tells."""
EXAMPLES = (
    "harness history",
    "harness history reports --last 50 --scenario steady-state",
    "harness history --markdown",
    "sqlite3 reports/history.sqlite 'SELECT run, verdict FROM runs ORDER BY started_s'",
)


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "reports", metavar="DIR", nargs="?", type=Path, default=Path("reports"),
        help="runs, or a folder of them, whose rows are to be kept (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--file", metavar="FILE", type=Path, help="the history (default: DIR/history.sqlite)")
    parser.add_argument("--scenario", metavar="NAME", help="only this one")
    parser.add_argument("--last", metavar="N", type=int, default=20, help="so many runs (default: %(default)s)")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")


def main(options: argparse.Namespace) -> int:
    from harness import history
    from harness.errors import InputError

    if options.last < 1:
        raise InputError(f"--last is {options.last}, must be at least 1")
    if not options.reports.is_dir():
        raise InputError(f"{options.reports}: no such folder", hint="name a folder of runs")
    kept = history.History(options.file or options.reports / history.FILE_NAME)
    lost = _gather(options.reports, kept)
    names = [options.scenario] if options.scenario else kept.scenarios()
    found = {name: rows for name in names if (rows := kept.last(name, options.last))}
    if options.scenario and not found:
        raise InputError(f"no run of {options.scenario!r}", hint=f"known: {', '.join(kept.scenarios()) or 'none'}")
    if options.json:
        plain = {name: [row.to_json() for row in own] for name, own in found.items()}
        print_json({"format": 1, "scenarios": plain, "unreadable": lost})
        return EXIT_PASS
    show = history.markdown_text if options.markdown else history.text
    print("\n\n".join(show(name, own) for name, own in found.items()) or "no runs yet")
    for problem in lost:
        print(f"left out: {problem}")
    return EXIT_PASS


def _gather(reports: Path, kept: History) -> list[str]:
    """Add the runs that are not kept yet; returns what cannot be read, each in a line."""
    from harness.errors import InputError
    from harness.journal import FILE_NAME
    from harness.slis import read_row

    known, lost = kept.known(), []
    own = [reports] if (reports / FILE_NAME).is_file() else []
    for folder in own or sorted(file.parent for file in reports.glob(f"*/{FILE_NAME}")):
        if folder.is_symlink() or folder.name in known:
            continue
        try:
            kept.add([read_row(folder)])
        except InputError as error:
            lost.append(str(error).splitlines()[0])
    return lost
