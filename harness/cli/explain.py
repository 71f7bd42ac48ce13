"""`harness explain`: what a fault, a check or a part of a scenario is, and every key it takes."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING

from harness.cli.parser import Parser, did_you_mean
from harness.cli.printing import console, print_json
from harness.errors import EXIT_PASS, InputError

if TYPE_CHECKING:
    from rich.console import Console

    from harness.cli.described import Described, Key

DESCRIPTION = """\
Explain a fault, a check or a part of a scenario (scenario, load, arrivals, timeline): what it does,
its keys with units and defaults, an example. Some names are both a fault and a check: both are shown."""
EXAMPLES = ("harness explain latency", "harness explain breaker", "harness explain timeline")


def arguments(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of a fault, a check or a part")
    parser.add_argument("--plain", action="store_true", help="no colour, no frames")


def main(options: argparse.Namespace) -> int:
    found = named(options.name)
    if options.json:
        print_json([dataclasses.asdict(one) for one in found])
        return EXIT_PASS
    out = console(plain=options.plain)
    for one in found:
        _show(out, one)
    return EXIT_PASS


def named(name: str) -> list[Described]:
    """Everything of that name. Raises InputError, with the likeliest other name."""
    from harness.cli.described import everything

    known = everything()
    wanted = name.strip().lower().replace("-", "_")
    found = [one for one in known if one.name == wanted]
    if not found:
        raise InputError(
            f"nothing is called {name!r}",
            hint=did_you_mean(wanted, [one.name for one in known], "`harness list` shows every fault and check"),
        )
    return found


def _show(out: Console, one: Described) -> None:
    from harness.report.terminal import show_table

    out.print(f"{one.name} ({one.what}): {one.summary}")
    if one.text:
        out.print(f"\n{one.text}")
    out.print()
    show_table(out, ("key", "written", "default", "meaning"), [_row(key) for key in one.keys])
    if one.example:
        out.print(f"\nexample:\n  - {one.example}\n", soft_wrap=True)


def _row(key: Key) -> tuple[str, str, str, str]:
    default = "required" if key.required else (key.default or "")
    return (key.name, key.form, default, key.description)
