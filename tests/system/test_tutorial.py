"""The tutorial works as it is written: its files are written, its commands are run, in order, in a copy."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from documents import blocks

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"

pytestmark = [pytest.mark.system, pytest.mark.slow]


def test_the_tutorial_leads_to_a_scenario_of_ones_own(tmp_path):
    """Whoever types the tutorial's commands and writes its files gets what it says, at every step."""
    copy = tmp_path / "checkout"
    leave_out = shutil.ignore_patterns(".venv", ".git", "reports", ".*_cache", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=leave_out)
    (copy / "reports").mkdir()
    for name in ("requirements.lock", "pyproject.toml"):
        os.utime(copy / name, (0, 0))  # what is installed is what this test itself runs on
    (copy / ".venv").symlink_to(ROOT / ".venv")

    for language, text in blocks(TUTORIAL):
        first = text.splitlines()[0]
        if first.startswith("# file: "):
            (copy / first.removeprefix("# file: ")).write_text(text.split("\n", 1)[1])
        elif language == "console":
            for command in text.splitlines():
                done = subprocess.run(
                    ["bash", "-ec", command], cwd=copy, capture_output=True, text=True, timeout=120, check=False
                )
                assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
