"""The proxy's image is of the same code as the runner, or it is refused."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from subprocess import run

from harness.engine.sources import fingerprint

PACKAGE = Path(__file__).parents[2] / "harness"

LOADED = """
import sys
import harness.links.container
print("\\n".join(m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "harness" and m.__file__))
"""


def test_every_module_inside_the_container_counts(tmp_path):
    """Whatever of ours the container imports changes the fingerprint; nothing else does."""
    copy = tmp_path / "harness"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = fingerprint(copy)
    loaded = run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True).stdout.split()
    inside = {Path(file).relative_to(PACKAGE) for file in loaded} - {Path("__init__.py")}
    unseen = []
    for module in sorted(inside):
        text = (copy / module).read_text()
        (copy / module).write_text(text + "# changed")
        if fingerprint(copy) == before:
            unseen.append(str(module))
        (copy / module).write_text(text)
    (copy / "plan.py").write_text("")

    assert unseen == []
    assert before == fingerprint(copy) == fingerprint(PACKAGE)
