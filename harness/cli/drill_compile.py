"""`harness drill compile`: what happened in a run, as a drill that can be replayed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.cli.parser import Parser
from harness.cli.printing import print_json
from harness.errors import EXIT_PASS

DESCRIPTION = """\
Turn a run (of a drill, of `harness up`, of a scenario) into a drill in which everything has its instant: load, faults,
notes, what people did and answered. Compiling the replay of it gives the same text."""
EXAMPLES = ("harness drill compile reports/latest", "harness drill compile reports/latest -o drill.yaml")


def arguments(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run, or its journal.db")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write here; absent: to standard output")


def main(options: argparse.Namespace) -> int:
    from harness.drill.compile import compile_run
    from harness.report import write_file

    compiled = compile_run(options.run)
    text = compiled.text(options.output.parent if options.output else Path())
    if options.output is not None:
        write_file(options.output, text)
    if options.json:
        print_json({"drill": dict(compiled.data), "file": options.output and str(options.output)})
    elif options.output is not None:
        print(f"{options.output}: {len(compiled.data['script'])} lines of script")
    else:
        sys.stdout.write(text)
    return EXIT_PASS
