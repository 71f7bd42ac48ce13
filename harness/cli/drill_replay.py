"""`harness drill replay`: a recorded run once more, the same things at the same instants."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.drill_run import add_ending
from harness.cli.parser import Parser

DESCRIPTION = """\
Play a recorded run, or a compiled drill, again: the same load, faults and words at the same instants, on the same system
or on another one that has the same links. Nobody is asked. No floor heals anything, or edges would not lie where they were;
one that gives way fails the replay afterwards. `harness drill diff` says what went otherwise."""
EXAMPLES = (
    "harness drill replay reports/latest",
    "harness drill replay drill.yaml --system compose/shop-next.yaml",
)


def arguments(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run, its journal.db, or a compiled drill")
    parser.add_argument(
        "--system", metavar="FILE", type=Path, help="play it on the system of this Compose file instead"
    )
    add_ending(parser)


def main(options: argparse.Namespace) -> int:
    from harness.cli.drill_end import end
    from harness.drill.replay import recorded, replay
    from harness.progress import Silent
    from harness.report.live import open_view
    from harness.run.interruption import terminated_like_interrupted
    from harness.run.options import RunOptions
    from harness.system.compose_file import read_system

    loaded = recorded(options.run, read_system(options.system) if options.system is not None else None)
    how = RunOptions(reports=options.reports, backend=options.backend)
    with terminated_like_interrupted():
        if options.json:
            run_dir = replay(loaded, how, Silent())
        else:
            with open_view(plain=options.plain) as view:
                run_dir = replay(loaded, how, view)
    return end(run_dir, options)
