"""`harness heal`: undo a fault of a living system, or all of them."""

from __future__ import annotations

import argparse

from harness.cli.asking import add_run, ask
from harness.cli.parser import Parser
from harness.cli.printing import print_json
from harness.errors import EXIT_PASS

DESCRIPTION = """\
Undo one fault of a living system by its name, or everything that is on. Comes back when it is undone: after a kill,
when the service is ready again."""
EXAMPLES = ("harness heal", "harness heal provider-errors")


def arguments(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="the fault's name; absent: all that are on")
    add_run(parser, by=True)


def main(options: argparse.Namespace) -> int:
    answer = ask(options, "heal", name=options.name)
    if options.json:
        print_json(answer)
    else:
        print(f"healed: {', '.join(answer['names'])}" if answer["names"] else "nothing was on")
    return EXIT_PASS
