"""How commands print: text or one JSON document to standard output, problems to standard error."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError

if TYPE_CHECKING:
    from rich.console import Console


def print_json(document: Any) -> None:
    """One JSON document; what JSON cannot hold becomes text."""
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")


def console(*, plain: bool = False) -> Console:
    """A console on standard output."""
    from harness.report.terminal import console_on

    return console_on(sys.stdout, plain=plain)


def problem(error: HarnessError) -> str:
    """A problem as people read it: the message, then the way out."""
    from harness.report.escape import lines

    message = lines(str(error))
    return f"{message}\n\nhint: {lines(error.hint)}" if error.hint else message


def problem_document(error: HarnessError) -> dict[str, Any]:
    """The same for machines."""
    from harness.suite.told import problem_document as told

    return told(error)


def print_problem(error: HarnessError) -> None:
    """Message and hint on standard error, no traceback."""
    print(problem(error), file=sys.stderr)
