"""`harness schema`: the JSON Schemas of what people write and of what machines read."""

from __future__ import annotations

import argparse
from importlib import import_module

from harness.cli.parser import Parser
from harness.cli.printing import print_json
from harness.errors import EXIT_PASS

DESCRIPTION = """\
Print a JSON Schema: of scenario files, so that an editor completes and checks them while you type
(first line of a file: # yaml-language-server: $schema=scenario.schema.json), of drills and of the answers
to one, of a gate's policy, or of verdict.json."""
EXAMPLES = (
    "harness schema > scenario.schema.json",
    "harness schema drill > drill.schema.json",
    "harness schema policy > gate.schema.json",
    "harness schema verdict > verdict.schema.json",
)
_SCHEMAS = {
    "scenario": ("harness.scenario.schema", "scenario_schema"),
    "drill": ("harness.drill.schema", "drill_schema"),
    "answers": ("harness.drill.schema", "answers_schema"),
    "policy": ("harness.gate.policy", "policy_schema"),
    "verdict": ("harness.report.verdict_schema", "verdict_schema"),
}


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "of", nargs="?", choices=tuple(_SCHEMAS), default="scenario", help="whose schema (default: %(default)s)"
    )


def main(options: argparse.Namespace) -> int:
    module, function = _SCHEMAS[options.of]
    print_json(getattr(import_module(module), function)())
    return EXIT_PASS
