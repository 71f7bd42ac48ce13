"""`harness drill report`: judge a drill's run again and write its report anew."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.parser import Parser

DESCRIPTION = """\
Judge the run of a drill, or of `harness up`, and write drill.md (for a post-mortem) and drill.json into its folder:
timeline with people's notes, objectives met or missed, what broke, open questions."""
EXAMPLES = ("harness drill report reports/latest", "harness drill report reports/latest --json")


def arguments(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run")
    parser.add_argument("--plain", action="store_true", help="no colour, no frames")


def main(options: argparse.Namespace) -> int:
    from harness.cli.drill_end import reported, told

    folder = options.run if options.run.is_dir() else options.run.parent
    return told(reported(folder), folder.resolve(), options)
