"""`harness note`: what somebody saw, thought or asked, written into the journal with its instant."""

from __future__ import annotations

import argparse

from harness.cli.asking import add_run, ask
from harness.cli.parser import Parser
from harness.cli.printing import print_json
from harness.errors import EXIT_PASS

DESCRIPTION = "Write a note into the journal of a living system. One that ends in a question mark is an open question."
EXAMPLES = ('harness note "the dashboard shows nothing yet"', 'harness note "who gets paged?" --by ana')


def arguments(parser: Parser) -> None:
    parser.add_argument("text", metavar="TEXT", help="what there is to say")
    add_run(parser, by=True)


def main(options: argparse.Namespace) -> int:
    answer = ask(options, "note", text=options.text)
    if options.json:
        print_json(answer)
    else:
        print("noted")
    return EXIT_PASS
