"""A node's own small disk: full when it is filled, gone with who made it, and seen by nobody else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIZE = 8 << 20
PROGRAM = """
import sys
from pathlib import Path
from services.postgres.disk import Disk, mount
from services.postgres.problems import StartError

folder = Path(sys.argv[1])
try:
    mount(folder, int(sys.argv[2]))
except StartError as problem:
    sys.exit(str(problem))
disk = Disk(folder, 1 << 20)
print(disk.full, disk.fill() > (7 << 20), disk.full)
disk.free()
disk.free()
print(disk.full, (folder / "filler").exists())
"""

pytestmark = pytest.mark.system


def test_a_disk_that_is_filled_is_full_until_it_is_freed_and_nobody_else_sees_it(tmp_path: Path) -> None:
    """What is written on it is in no folder of anybody else, and it is gone with the process."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "disk"), str(SIZE)],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    if "this process may not" in ended.stderr:
        pytest.skip(ended.stderr.strip())

    assert (ended.returncode, ended.stdout) == (0, "False True True\nFalse False\n"), ended.stderr
    assert list((tmp_path / "disk").iterdir()) == []
    assert str(tmp_path) not in Path("/proc/mounts").read_text("utf-8")
