"""
What can be wrong before a launcher can do its work, and how it says so: one line, and an exit code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn


class ConfigurationError(Exception):
    """The environment does not say what is needed, or says what cannot be. Exit code 2."""


class StartError(Exception):
    """All was said well, and yet it cannot start here: no space, a taken port, no right. Exit code 4."""


def run(name: str, main: Callable[[], None]) -> NoReturn:
    """Run a launcher to its end; a problem a person can put right becomes one line on standard error."""
    try:
        main()
    except ConfigurationError as problem:
        print(f"{name}: {problem}", file=sys.stderr, flush=True)
        sys.exit(2)
    except StartError as problem:
        print(f"{name}: {problem}", file=sys.stderr, flush=True)
        sys.exit(4)
    sys.exit(0)
