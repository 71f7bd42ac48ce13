"""`harness baseline`: keep runs of a version that cannot be run again, and say what they are worth."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.parser import Parser
from harness.cli.printing import print_json
from harness.errors import EXIT_PASS

DESCRIPTION = """\
`save` adds one execution, the runs of one CI job, to a baseline file; `show` says what a file holds: the
noise between runs, and how many pairs `harness compare` would need at that noise. Five executions of the
same machine and harness are needed before anything can be said against them."""
EXAMPLES = (
    "harness baseline save baseline.json reports",
    "harness baseline show baseline.json",
    "harness compare baseline.json reports/first reports/second",
)


def arguments(parser: Parser) -> None:
    parser.add_argument("what", choices=("save", "show"), help="add an execution, or say what is there")
    parser.add_argument("file", metavar="FILE", type=Path, help="the baseline, a JSON file")
    parser.add_argument("runs", metavar="RUN", nargs="*", type=Path, help="save: runs, or folders of them")


def main(options: argparse.Namespace) -> int:
    from harness.comparison.bank import Bank, bank_text, read_bank, worth, worth_text
    from harness.errors import InputError
    from harness.report import write_file
    from harness.slis import rows_below

    if (options.what == "save") != bool(options.runs):
        raise InputError(
            "baseline save takes runs, baseline show takes none", hint="harness baseline save baseline.json reports"
        )
    if options.what == "save":
        bank = read_bank(options.file) if options.file.exists() else Bank()
        bank = bank.with_rows([row for place in options.runs for row in rows_below(place)])
        write_file(options.file, bank_text(bank))
    else:
        bank = read_bank(options.file)
    found = [worth(name, own) for name, own in sorted(bank.executions.items())]
    if options.json:
        print_json({"format": 1, "scenarios": found})
    else:
        print("\n".join(map(worth_text, found)) or "nothing is kept yet")
    return EXIT_PASS
