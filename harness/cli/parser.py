"""
Reads a command's arguments; a mistake among them says what was meant, and is an InputError like any other.

Argparse does the parsing. Options are not abbreviated: what works today must not become ambiguous tomorrow.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from harness.errors import InputError

WIDTH = 110
_WRONG_CHOICE = re.compile(r"invalid choice: '([^']*)'")


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """A hint that names the likeliest of the known words, or says where to look."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else otherwise


def _format(prog: str) -> argparse.RawDescriptionHelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=32, width=WIDTH)


class Parser(argparse.ArgumentParser):
    """The parser of one command. `entries` holds what was added: (names, what stands behind them, help)."""

    def __init__(self, command: str, description: str, examples: Sequence[str]) -> None:
        self.choices: list[str] = []
        self.entries: list[tuple[tuple[str, ...], str, str]] = []
        super().__init__(
            prog=f"harness {command}",
            description=description,
            epilog="examples:\n" + "\n".join(f"  {example}" for example in examples),
            formatter_class=_format,
            allow_abbrev=False,
        )
        self.examples = tuple(examples)

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        action = super().add_argument(*names, **settings)
        self.choices += map(str, action.choices or ())
        choices = "|".join(map(str, action.choices or ()))
        shown = choices if choices and not settings.get("metavar") else str(action.metavar or action.dest.upper())
        takes_value = action.nargs != 0
        text = str(action.help or "") % {"default": action.default}
        self.entries.append((tuple(names), shown if takes_value else "", text))
        return action

    def add_json(self) -> None:
        """The option every command has."""
        self.add_argument("--json", action="store_true", help="print one JSON document instead of text")

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse. Raises InputError for a mistake; --help prints and exits."""
        known = [name for names, _, _ in self.entries for name in names if name.startswith("-")]
        for argument in arguments:
            if argument == "--":
                break
            name = argument.split("=", 1)[0]
            if name.startswith("--") and name not in known:
                self._unknown(name, known)
        options, left = self.parse_known_args(list(arguments))
        if left:
            self._unknown(left[0], known)
        return options

    def error(self, message: str) -> NoReturn:
        """Argparse's own complaints (a missing path, a wrong choice)."""
        otherwise = f"`{self.prog} --help` shows how it is used"
        wrong = _WRONG_CHOICE.search(message)
        hint = did_you_mean(wrong.group(1), self.choices, otherwise) if wrong else otherwise
        raise InputError(f"{self.prog}: {message}", hint=hint)

    def _unknown(self, name: str, known: list[str]) -> NoReturn:
        what = "option" if name.startswith("-") else "argument"
        raise InputError(
            f"{self.prog}: unknown {what} {name!r}",
            hint=did_you_mean(name, known, f"`{self.prog} --help` shows what there is"),
        )
