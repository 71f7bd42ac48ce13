"""`harness drill run`: lead people through a drill, or play it without any."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.parser import Parser
from harness.errors import InputError

if TYPE_CHECKING:
    from harness.drill.file import LoadedDrill
    from harness.drill.persons import Person
    from harness.drill.screens import PlainScreen

DESCRIPTION = """\
Start the drill's system under load and go through its script. Manual steps wait for a key: d done, s skip, n note,
a abort (heals everything at once). From other terminals harness inject, heal, note and watch work as on any living
system. With --answers or --auto nobody is needed."""
EXAMPLES = (
    "harness drill run scenarios/drills/payment-provider-outage.yaml --role on-call=ana",
    "harness drill run scenarios/drills/payment-provider-outage.yaml --auto",
    "harness drill run drill.yaml --answers answers.yaml",
)


def arguments(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="the drill")
    parser.add_argument(
        "--role", dest="people", metavar="ROLE=WHO", action="append", default=[],
        help="who plays a role; may be repeated",
    )  # fmt: skip
    parser.add_argument("--answers", metavar="FILE", type=Path, help="answers instead of people, see docs/game-days.md")
    parser.add_argument("--auto", action="store_true", help="every step is done a second after it is asked")
    parser.add_argument("--no-page", dest="page", action="store_false", help="no page for a screen on the wall")
    add_ending(parser)


def add_ending(parser: Parser) -> None:
    """The options of the commands that run a drill."""
    from harness.run.options import BACKENDS

    parser.add_argument(
        "--backend", choices=BACKENDS, default=BACKENDS[0], help="what runs the system (default: %(default)s)"
    )
    parser.add_argument(
        "--reports",
        metavar="DIR",
        type=Path,
        default=Path("reports"),
        help="where runs are kept (default: %(default)s)",
    )
    parser.add_argument("--plain", action="store_true", help="plain lines instead of a live panel, no colour")


def main(options: argparse.Namespace) -> int:
    from harness.cli.drill_end import end
    from harness.drill.file import load_drill
    from harness.drill.run import run_drill
    from harness.run.interruption import terminated_like_interrupted

    loaded = load_drill(options.file)
    people = people_of(options.people)
    with ExitStack() as stack:
        stack.enter_context(terminated_like_interrupted())
        persons, screen = _seats(options, loaded, stack)
        run_dir = run_drill(
            loaded, options.reports, persons=persons, screen=screen, people=people, page=options.page,
            backend=options.backend,
        )  # fmt: skip
    return end(run_dir, options)


def people_of(said: Sequence[str]) -> dict[str, str]:
    """Role -> who plays it. Raises InputError."""
    found = {}
    for text in said:
        role, sign, who = text.partition("=")
        if not sign or not role.strip() or not who.strip():
            raise InputError(f"--role {text!r} is not ROLE=WHO", hint="--role on-call=ana")
        found[role.strip()] = who.strip()
    return found


def _seats(options: argparse.Namespace, loaded: LoadedDrill, stack: ExitStack) -> tuple[Sequence[Person], PlainScreen]:
    """Who answers, and what they see."""
    from harness.drill.persons import Auto, read_answers
    from harness.drill.screens import PlainScreen

    if options.answers is not None:
        return [read_answers(options.answers, loaded.drill)], PlainScreen(sys.stderr)
    if options.auto:
        return [Auto()], PlainScreen(sys.stderr)
    return at_keys(options, stack)


def at_keys(options: argparse.Namespace, stack: ExitStack) -> tuple[Sequence[Person], PlainScreen]:
    """Somebody at the keys of this terminal. Raises InputError when it is none."""
    from harness.drill.keys import Keys
    from harness.drill.screens import PanelScreen, PlainScreen

    keys = stack.enter_context(Keys())
    plain = options.plain or not sys.stderr.isatty()
    return [keys], PlainScreen(sys.stderr) if plain else PanelScreen(sys.stderr, keys.typing)
