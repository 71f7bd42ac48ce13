"""`harness schema`: the JSON Schemas of what people write and of what machines read."""

from __future__ import annotations

import argparse

from harness.cli.parser import Parser
from harness.cli.printing import print_json
from harness.errors import EXIT_PASS

DESCRIPTION = """\
Print a JSON Schema: of scenario files, so that an editor completes and checks them while you type
(first line of a file: # yaml-language-server: $schema=scenario.schema.json), or of verdict.json."""
EXAMPLES = ("harness schema > scenario.schema.json", "harness schema verdict > verdict.schema.json")


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "of", nargs="?", choices=("scenario", "verdict"), default="scenario", help="whose schema (default: %(default)s)"
    )


def main(options: argparse.Namespace) -> int:
    if options.of == "verdict":
        from harness.report.verdict_schema import verdict_schema

        print_json(verdict_schema())
    else:
        from harness.scenario.schema import scenario_schema

        print_json(scenario_schema())
    return EXIT_PASS
