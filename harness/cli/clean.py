"""`harness clean`: undo everything that any run left behind."""

from __future__ import annotations

import argparse
import sys

from harness.cli.parser import Parser
from harness.cli.printing import print_json
from harness.errors import EXIT_PASS

DESCRIPTION = """\
Find the processes of runs whose runner is gone, by the run's id that each of them carries, and end
them; runs that are still going on are left alone. Journals and reports stay where they are."""
EXAMPLES = ("harness clean", "harness clean --json")


def arguments(parser: Parser) -> None:
    """None but --json."""


def main(options: argparse.Namespace) -> int:
    from harness.report.escape import one_line
    from harness.run.clean import sweep

    undone: list[str] = []

    def say(line: str) -> None:
        undone.append(line)
        if not options.json:
            sys.stdout.write(f"{one_line(line)}\n")

    sweep(say)
    if options.json:
        print_json({"undone": undone})
    elif not undone:
        sys.stdout.write("nothing was left behind\n")
    return EXIT_PASS
