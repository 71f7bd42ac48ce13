"""`harness links`: which service of a Compose file calls which, how that was read, and what cannot be put behind links."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.parser import Parser
from harness.cli.printing import print_json
from harness.errors import EXIT_PASS

if TYPE_CHECKING:
    from harness.system.model import System, SystemLink

DESCRIPTION = """\
Read a Compose file, yours as it is, and say the links that faults could act on: who calls whom, on
which port, and from which value that was read. What it does not tell is said under x-harness."""
EXAMPLES = ("harness links compose.yaml", "harness links compose/shop.yaml --json")


def arguments(parser: Parser) -> None:
    parser.add_argument("file", metavar="COMPOSE_FILE", type=Path, help="a Compose file")


def main(options: argparse.Namespace) -> int:
    from harness.system.compose_file import read_system

    system = read_system(options.file, os.environ)
    if options.json:
        print_json({"file": str(options.file), "links": [_document(link, system) for link in system.links]})
        return EXIT_PASS
    for line in lines(system):
        sys.stdout.write(line + "\n")
    return EXIT_PASS


def lines(system: System) -> list[str]:
    """One line a link, then services that no link touches."""
    width = max((len(link.name) for link in system.links), default=0)
    found = [f"{link.name:<{width}}  {link.port:>5}  {link.protocol:<4}  {how(link)}" for link in system.links]
    if not any(link.client == "load" for link in system.links):
        found.append("no load enters: say where, x-harness: {entry: SERVICE}")
    alone = sorted(set(system.services) - {end for link in system.links for end in (link.client, link.upstream)})
    if alone:
        found.append(
            f"no link reaches {', '.join(alone)}: say them, x-harness: {{links: [{{from: A, to: B, port: 80}}]}}"
        )
    return found


def how(link: SystemLink) -> str:
    """Where a link was read."""
    if link.client == "load":
        return "where load enters: told by x-harness, or the only service that publishes a port"
    if link.variable is not None:
        return f"read from {link.variable} of {link.client}"
    return f"told by x-harness, or read from the command of {link.client}"


def _document(link: SystemLink, system: System) -> dict[str, Any]:
    return {
        "link": link.name,
        "client": link.client,
        "upstream": link.upstream,
        "port": link.port,
        "protocol": link.protocol,
        "variable": link.variable,
        "how": how(link),
        "line": system.services[link.client].line if link.client in system.services else None,
    }
