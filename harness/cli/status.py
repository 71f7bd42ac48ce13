"""`harness status`: how a living system is, once."""

from __future__ import annotations

import argparse

from harness.cli.asking import add_run, ask
from harness.cli.parser import Parser
from harness.cli.printing import console, print_json
from harness.errors import EXIT_PASS

DESCRIPTION = "Show a living system as it is now: load, latency, error budgets, faults, breakers, the last events."
EXAMPLES = ("harness status", "harness status --json")


def arguments(parser: Parser) -> None:
    add_run(parser)
    parser.add_argument("--plain", action="store_true", help="no colour, no frames")


def main(options: argparse.Namespace) -> int:
    from harness.live.panel import panel

    status = ask(options, "status")["status"]
    if options.json:
        print_json(status)
    else:
        console(plain=options.plain).print(panel(status))
    return EXIT_PASS
