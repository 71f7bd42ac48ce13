"""
How the hands start other processes without knowing who keeps the leases.

The run gives each of them a Spawn: it writes the intent to disk, starts the
child in a session of its own with HARNESS_RUN in its environment, and writes
down its pid and start time.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

RUN_VARIABLE = "HARNESS_RUN"  # every child of a run carries the run's id in it


class Spawn(Protocol):
    """Starts a child that will be undone whatever happens to the runner."""

    def __call__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
        pipes: bool = False,
    ) -> subprocess.Popen[bytes]:
        """
        Start argv. env is added to the runner's own environment. Standard output and error go to log
        (appended; both to nowhere when None); with pipes, standard input and output are pipes and only
        standard error goes to log. Raises SetUpError when the program cannot be started.
        """
        ...


Emit = Callable[[str, str, Mapping[str, Any]], None]
"""Writes one event into the journal: kind, subject, data. Safe from any thread."""


PRIORITY = -10


def give_priority(pid: int) -> None:
    """
    Let a child of a run go before strangers' processes where the operating system lets one (as root, or with the right
    to). Every child gets the same, the system under test as well as the load and the gate: only then does the load's
    lateness speak for what the system had to bear. Where it may not, its lateness is measured and told like any other.
    """
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, pid, PRIORITY)


def code_text(code: int | None) -> str:
    """An exit code for people: `exit code 3`, `killed by SIGKILL`."""
    if code is not None and code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code}"
