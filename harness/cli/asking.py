"""What the commands that speak to a living system share: which one, who speaks, how long."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from harness.cli.parser import Parser
from harness.errors import InputError

if TYPE_CHECKING:
    from harness.live.client import Client


def add_run(parser: Parser, *, by: bool = False) -> None:
    """The options of every command that speaks to a living system."""
    parser.add_argument(
        "--run", metavar="ID", help="which living system, by a part of its run id; absent: the only one"
    )
    if by:
        parser.add_argument("--by", metavar="WHO", help="who does it (default: the user's name)")


def ask(options: argparse.Namespace, op: str, **words: Any) -> dict[str, Any]:
    """One question to the living system that is meant. Raises HarnessError."""
    from harness.live.client import whoami

    with client_of(options) as client:
        if hasattr(options, "by"):
            words["by"] = options.by or whoami()
        return client.ask(op, **words)


def client_of(options: argparse.Namespace) -> Client:
    """A connection to the living system that is meant. Raises HarnessError."""
    from harness.live.client import Client
    from harness.live.door import find_door

    return Client(find_door(options.run))


def span_s(text: str, option: str) -> float:
    """A duration given as an option. Raises InputError."""
    from harness.units import duration_s

    try:
        return duration_s(text)
    except ValueError as error:
        raise InputError(f"{option}: {error}", hint=f"{option} 30s") from None
