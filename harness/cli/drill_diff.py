"""`harness drill diff`: what went otherwise in the second of two runs of a drill."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.parser import Parser
from harness.cli.printing import print_json
from harness.errors import EXIT_FAIL, EXIT_PASS

if TYPE_CHECKING:
    from harness.drill.outcome import Outcome
    from harness.slis import Row

DESCRIPTION = """\
Hold two runs of one drill beside each other: verdicts, objectives, answers, edges of faults, breakers, SLIs. What may be
noise is told as that. Exit code 1 when the second is worse beyond noise."""
EXAMPLES = ("harness drill diff reports/20261122T191830.123Z-outage reports/latest",)


def arguments(parser: Parser) -> None:
    parser.add_argument("old", metavar="RUN", type=Path, help="folder of the first run")
    parser.add_argument("new", metavar="RUN", type=Path, help="folder of the second run")


def main(options: argparse.Namespace) -> int:
    from harness.drill.diff import difference, difference_text
    from harness.report.escape import lines
    from harness.verdict import Verdict

    (old, old_row), (new, new_row) = _read(options.old), _read(options.new)
    found = difference(old, new, (old_row, new_row))
    if options.json:
        print_json(found.document())
    else:
        print(lines(difference_text(found)))
    return EXIT_FAIL if found.verdict is Verdict.FAIL else EXIT_PASS


def _read(run: Path) -> tuple[Outcome, Row]:
    from harness.drill.outcome import outcome_of
    from harness.judge import judge
    from harness.slis import read_row

    verdict = judge(run)
    return outcome_of(run, verdict), read_row(run, verdict)
