"""A scenario in a runner of its own that works in another folder: what a comparison of revisions rests on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from harness.errors import EXIT_BUG, EXIT_WRONG_INPUT
from harness.run.interruption import LIFELINE_VARIABLE
from harness.run.options import RunOptions
from harness.suite import child
from harness.suite.child import ChildError, run_in_child


def test_the_harness_that_was_called_runs_and_not_one_that_the_folder_holds(tmp_path: Path) -> None:
    """An old revision's harness would judge by old rules; only its services are to be compared."""
    checkout = tmp_path / "checkout"
    (checkout / "harness").mkdir(parents=True)
    (checkout / "harness" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    scenario = tmp_path / "wrong.yaml"
    scenario.write_text("name: wrong\ntimeline: []\n")

    result = run_in_child(scenario, RunOptions(reports=tmp_path / "reports"), checkout)

    assert result.exit_code == EXIT_WRONG_INPUT
    assert result.verdict is None
    assert f"{scenario}:" in str(result.error)


def test_a_runner_that_says_nothing_is_told_with_what_it_complained_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is a bug of ours, not a verdict."""
    monkeypatch.setattr(child, "_command", lambda *_: ["bash", "-c", "echo out of memory >&2; exit 9"])

    with pytest.raises(ChildError, match=r"ended with 9 after \d+ s: out of memory") as caught:
        run_in_child(tmp_path / "a.yaml", RunOptions(), tmp_path)

    assert caught.value.exit_code == EXIT_BUG


def test_a_runner_that_hangs_on_a_lifeline_ends_as_it_wants_to() -> None:
    """While somebody still holds the other end: it used to be ended by SIGABRT, after all its work was done."""
    code = "import sys; from harness.run.interruption import hang_on_lifeline; hang_on_lifeline(); sys.exit(3)"
    environment = {**os.environ, LIFELINE_VARIABLE: "1"}
    runner = subprocess.Popen([sys.executable, "-c", code], stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment)
    with runner:
        said = runner.stderr.read() if runner.stderr else None
        assert (3, b"") == (runner.wait(30), said)
