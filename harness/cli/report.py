"""`harness report`: make a run's report files anew from its journal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.cli.judge import judged
from harness.cli.parser import Parser
from harness.cli.printing import print_json
from harness.errors import EXIT_PASS, SetUpError

DESCRIPTION = """\
Judge a finished run's journal by the promises it was run for, and write report.html, report.md,
verdict.json and junit.xml anew. Use `harness judge` for an exit code that tells the verdict."""
EXAMPLES = (
    "harness report reports/latest",
    "harness report journal.db --to elsewhere",
    "harness report reports/latest --history reports/history.sqlite",
)


def arguments(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run, or its journal.db")
    parser.add_argument(
        "--history", metavar="FILE", type=Path,
        help="draw the scenario's last runs out of this one (default: history.sqlite beside the run, where there is one)",
    )  # fmt: skip
    parser.add_argument("--to", metavar="DIR", type=Path, help="write there instead of beside the journal")


def main(options: argparse.Namespace) -> int:
    from harness.errors import InputError
    from harness.history import FILE_NAME, past_of
    from harness.journal.reader import JournalReader
    from harness.report import write_reports
    from harness.report.escape import one_line

    if options.history is not None and not options.history.is_file():
        raise InputError(f"{options.history}: no such file", hint="`harness history DIR` keeps one")
    verdict = judged(options.run)
    with JournalReader(options.run) as reader:
        target = _folder(options.to or reader.path.parent)
        history = options.history or reader.path.parent.resolve().parent / FILE_NAME
        written = write_reports(target, verdict, reader, past_of(history, options.run, verdict, keep=False))
    if options.json:
        print_json({"verdict": verdict.verdict.value, "written": [str(path) for path in written]})
    else:
        sys.stdout.writelines(f"{one_line(path)}\n" for path in written)
    return EXIT_PASS


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetUpError(f"cannot make the folder {path}: {error}", hint="choose another with --to DIR") from error
    return path
