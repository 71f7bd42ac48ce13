"""
What a CI server would do with a fresh clone: the shell lines of action.yml and of the GitLab job, as they stand there.

The server's own parts (checkout, artefacts, the step summary's page) are not here; everything it would type is. Where
HARNESS_CI_PYTHON names an environment, it is used like a server's cache: what is installed there is not fetched again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from documents import files

ROOT = Path(__file__).parents[2]
PASS, INCONCLUSIVE = 0, 3
LIMIT_S = 600

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("HARNESS_CI_SCRIPTS"),
        reason="installs from a package registry, twice: HARNESS_CI_SCRIPTS=1 runs it",
    ),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a fresh clone needs a repository"),
]


class Runner:
    """A fresh clone, a Python with nothing installed, and the files that a CI server hands to a job."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(self.clone)], check=True, timeout=120)
        python = Path(os.environ.get("HARNESS_CI_PYTHON") or folder / "python")
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(python)], check=True, timeout=120)
        own = {
            "PATH": f"{python / 'bin'}:{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        }
        self.environment = {**os.environ, **own, "GITHUB_OUTPUT": str(folder / "output")}
        self.output, self.summary = folder / "output", folder / "summary"
        self.said = ""

    def run(self, script: str, **environment: str) -> int:
        """A script in the clone, by the shell that GitHub calls for `shell: bash`; its exit code."""
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=self.clone, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT_S, env={**self.environment, **environment},
        )  # fmt: skip
        self.said = done.stdout
        return done.returncode


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_the_actions_steps_install_run_and_judge_in_a_fresh_clone(runner: Runner) -> None:
    """With the inputs that this repository's own workflow gives on a push."""
    steps = {
        s["name"]: s["run"] for s in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"] if "run" in s
    }
    reports = {"REPORTS": "reports"}
    chosen = {"SCENARIOS": "scenarios", "TAG": "gate", "REPEAT": "1", "COMPARE_WITH": "", "MAX_MINUTES": "30"}

    assert runner.run(steps["Install"], ACTION_PATH=str(runner.clone)) == PASS, runner.said
    assert runner.run(steps["Run"], **chosen, **reports) == PASS, runner.said
    code = runner.run(steps["Judge"], POLICY=".ci/gate.yaml", **reports)

    assert runner.output.read_text() == f"exit-code={code}\n"
    assert (runner.clone / "reports" / "junit.xml").is_file()
    assert list((runner.clone / "reports" / "now").glob("*/report.html"))
    if code == INCONCLUSIVE:
        pytest.skip(f"the machine kept the run from its verdict: {runner.said}")
    assert code == PASS, runner.said
    assert "steady-state" in runner.summary.read_text()


def test_the_gitlab_jobs_lines_install_run_and_judge(runner: Runner) -> None:
    """Of docs/ci.md, in a project that brings what its own services need, and a policy."""
    job = yaml.safe_load(files(ROOT / "docs" / "ci.md")[".gitlab-ci.yml"])["resilience"]
    source = f"git+file://localhost{runner.clone}"
    (runner.clone / "gate.yaml").write_text("require: [steady-state]\n")

    assert runner.run(f'python -m pip install -q "harness[shop] @ {source}"') == PASS, runner.said
    for line in job["before_script"]:
        assert runner.run(line, HARNESS=source) == PASS, f"{line}\n{runner.said}"
    run, gate = job["script"]
    assert runner.run(run) == PASS, f"{run}\n{runner.said}"
    code = runner.run(gate)

    assert (runner.clone / "reports" / "junit.xml").is_file()
    assert "steady-state" in (runner.clone / "reports" / "gate.md").read_text()
    if code == INCONCLUSIVE:
        pytest.skip(f"the machine kept the run from its verdict: {runner.said}")
    assert code == PASS, runner.said
