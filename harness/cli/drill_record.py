"""`harness drill record`: a rehearsal by hand, recorded, judged and compiled."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from harness.cli import up
from harness.cli.parser import Parser

DESCRIPTION = """\
Keep a system up under load and record what people do to it by hand: harness inject, heal and note from any terminal,
n for a note and a for an abort in this one. Ended by `harness down`, Ctrl-C or --for, it is judged and compiled."""
EXAMPLES = (
    "harness drill record compose/shop.yaml --name first-rehearsal -o drill.yaml",
    "harness drill record compose/shop.yaml --for 10m",
)


def arguments(parser: Parser) -> None:
    up.living_arguments(parser)
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write the compiled drill here as well")


def main(options: argparse.Namespace) -> int:
    from harness.cli.asking import span_s
    from harness.cli.drill_end import end
    from harness.cli.drill_run import at_keys
    from harness.drill.compile import compile_run
    from harness.drill.run import record_drill
    from harness.drill.screens import PlainScreen
    from harness.report import write_file
    from harness.run.interruption import terminated_like_interrupted

    longest_s = span_s(options.longest, "--for")
    how = up.living_of(options, "rehearsal")
    with ExitStack() as stack:
        stack.enter_context(terminated_like_interrupted())
        persons, screen = at_keys(options, stack) if sys.stdin.isatty() else ((), PlainScreen(sys.stderr))
        run_dir = record_drill(how, longest_s, persons=persons, screen=screen)
    if options.output is not None:
        write_file(options.output, compile_run(run_dir).text(options.output.parent))
    return end(run_dir, options)
