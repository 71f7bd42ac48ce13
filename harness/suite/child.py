"""
One scenario in a runner process of its own, that may work in another folder: a checkout of another revision.

The child ends with its standard input, so a killed parent leaves nothing running.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from harness.errors import EXIT_BUG, HarnessError
from harness.run.interruption import LIFELINE_VARIABLE
from harness.run.options import RunOptions
from harness.suite.result import Result
from harness.suite.told import result_of

END_LIMIT_S = 30.0


class ChildError(HarnessError):
    """A runner that ended without a word that can be read."""

    exit_code = EXIT_BUG


def run_in_child(path: Path, options: RunOptions, folder: Path) -> Result:
    """
    Run a scenario with `folder` as the working folder: services without one of their own start there. Raises
    ChildError; Ctrl-C goes through once the child has taken its system down.
    """
    begun = time.monotonic()
    hold, lifeline = os.pipe()
    try:
        child = subprocess.Popen(
            _command(path.resolve(), options),
            stdin=hold, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder,
            env={**os.environ, LIFELINE_VARIABLE: "1"}, start_new_session=True,
        )  # fmt: skip
    except BaseException:
        os.close(lifeline)
        raise
    finally:
        os.close(hold)
    try:
        output, complaints = child.communicate()
    except BaseException:
        _end(child)
        raise
    finally:
        os.close(lifeline)
    try:
        (told,) = json.loads(output)["scenarios"]
    except (ValueError, KeyError, TypeError):
        lines = complaints.decode("utf-8", "replace").strip() or "it said nothing"
        raise ChildError(
            f"the runner of {path} ended with {child.returncode} after {time.monotonic() - begun:.0f} s: {lines}"
        ) from None
    return result_of(path, told)


def _command(path: Path, options: RunOptions) -> list[str]:
    return [
        sys.executable, "-P",  # ours, not a `harness` that the folder may hold
        "-m", "harness", "run", str(path), "--json", "--reports", str(options.reports.resolve()),
        "--backend", options.backend, "--retry-busy", str(options.retry_busy),
        *(f"--set={override}" for override in options.overrides),
        *([] if options.seed is None else ["--seed", str(options.seed)]),
    ]  # fmt: skip


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the child to take its system down, and wait until it has."""
    child.terminate()
    try:
        child.communicate(timeout=END_LIMIT_S)
    except subprocess.TimeoutExpired:
        child.kill()  # its watchdog undoes what is left of it
        child.communicate()
