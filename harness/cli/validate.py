"""`harness validate`: read scenario files, say every mistake at once, start nothing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from harness.cli.parser import Parser
from harness.cli.printing import print_json, print_problem, problem_document
from harness.errors import EXIT_PASS, HarnessError

DESCRIPTION = """\
Read scenario files and the Compose files they name, and work out their timeline. Every mistake is
listed with file, line, the value and what would be right. Nothing is started."""
EXAMPLES = ("harness validate scenarios", "harness validate scenarios/payment-slow.yaml --json")


def arguments(parser: Parser) -> None:
    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="scenario files, or folders of them")
    parser.add_argument(
        "--set", dest="overrides", metavar="PATH=VALUE", action="append", default=[],
        help="change one value before reading; may be repeated",
    )  # fmt: skip


def main(options: argparse.Namespace) -> int:
    from harness import suite
    from harness.report.escape import one_line

    codes: set[int] = set()
    files: list[dict[str, Any]] = []
    for path in suite.find(options.paths):
        try:
            name = _read(path, tuple(options.overrides))
        except HarnessError as error:
            codes.add(error.exit_code)
            files.append({"path": str(path), "ok": False, "error": problem_document(error)})
            if not options.json:
                print_problem(error)
        else:
            files.append({"path": str(path), "ok": True, "scenario": name})
            if not options.json:
                sys.stdout.write(f"ok  {one_line(path)}  {name}\n")
    code = min(codes, default=EXIT_PASS)  # wrong input before what is missing, as in a suite
    if options.json:
        print_json({"exit_code": code, "files": files})
    return code


def _read(path: Path, overrides: tuple[str, ...]) -> str:
    from harness.drill.file import load_drill, looks_like_drill
    from harness.plan import make_plan
    from harness.scenario.file import load_scenario

    if looks_like_drill(path):
        return load_drill(path).drill.name
    loaded = load_scenario(path, overrides)
    make_plan(loaded.scenario, loaded.system)
    return loaded.scenario.name
