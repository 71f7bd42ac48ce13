"""
Runs the commands of README.md as they are written there, in order; stops at the first that fails.

A machine that others use too can keep a run from its verdict or a system test from its time: a command that runs
scenarios gets two more tries, and of `make test` those tests that failed are run once more. Either is told as FLAKY,
never silently passed over.

The block for people without make installs into a copy of the checkout and stops short of the two long commands, which
`make demo` and `make test` have run by then (tests/unit/test_readme.py holds that they are the same).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS_SCENARIOS = re.compile(r"make demo|harness run|pytest scenarios")
sys.path.insert(0, str(ROOT / "tests"))

from documents import command_blocks  # noqa: E402  # tests/ is no package of ours


def run(command: str, folder: Path) -> None:
    print(f"\n$ {command}", flush=True)
    subprocess.run(["bash", "-ec", command], cwd=folder, check=True, stdin=subprocess.DEVNULL)


def run_with_tries(command: str) -> None:
    """Run a command; one that runs the system may fail on a busy machine, so what failed of it is tried again."""
    again, tries = command, 2 if RUNS_SCENARIOS.search(command) else 0
    if command == "make test":
        again, tries = ".venv/bin/python -m pytest --last-failed", 1
    while True:
        try:
            return run(command, ROOT)
        except subprocess.CalledProcessError as error:
            if not tries:
                raise
            print(f"\nFLAKY? {command} ended with {error.returncode}; trying: {again}", flush=True)
        command, tries = again, tries - 1


def main() -> int:
    first, without_make, *rest = command_blocks(ROOT / "README.md")
    for command in first:
        run_with_tries(command)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".venv", ".git", "reports", "*.egg-info", ".*_cache"))
        for command in without_make[:-2]:
            run(command, copy)
        run(".venv/bin/harness --version", copy)
    for command in [line for block in rest for line in block]:
        run_with_tries(command)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"README.md: this command ended with {error.returncode}: {error.cmd[-1]}")
