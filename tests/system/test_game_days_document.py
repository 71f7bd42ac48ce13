"""docs/game-days.md works as it is written: its files are written, its commands are run, in order, in a copy."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from documents import blocks

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "game-days.md"
UNPROVEN = 3  # a busy machine may keep a run from its verdict; what was promised must not be broken

pytestmark = [pytest.mark.system, pytest.mark.slow]


def test_the_commands_of_game_days_do_what_they_say(tmp_path):
    """Whoever types them gets a system up and down, a drill led, compiled, replayed and reported."""
    copy = tmp_path / "checkout"
    leave_out = shutil.ignore_patterns(".venv", ".git", "reports", ".*_cache", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=leave_out)
    (copy / "reports").mkdir()
    (copy / ".venv").symlink_to(ROOT / ".venv")
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    try:
        for language, text in blocks(DOCUMENT):
            first = text.splitlines()[0]
            if first.startswith("# file: "):
                (copy / first.removeprefix("# file: ")).write_text(text.split("\n", 1)[1])
            elif language == "console":
                for command in text.splitlines():
                    run(command, copy, environment)
    finally:
        subprocess.run(
            [".venv/bin/harness", "down"], cwd=copy, env=environment, capture_output=True, timeout=120, check=False
        )
    assert "# Drill payment-provider-outage" in (copy / "reports" / "latest" / "drill.md").read_text()
    assert "as: slow-payment" in (copy / "reports" / "first-rehearsal.yaml").read_text()


def run(command, copy, environment):
    done = subprocess.run(
        ["bash", "-ec", command], cwd=copy, env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    judged = "harness drill run" in command or "replay" in command or "report" in command
    assert done.returncode in {0, UNPROVEN if judged else 0}, f"{command}\n{done.stdout}\n{done.stderr}"
