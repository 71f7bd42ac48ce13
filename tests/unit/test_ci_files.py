"""What CI servers are given: right by their own published schemas, and by the command line that they call."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from documents import blocks, command_blocks, files
from unit.report_samples import check, run_verdict

from harness.cli.main import parser_of
from harness.gate.policy import read_policy
from harness.report.verdict_file import dump_verdict
from harness.verdict import Verdict

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "ci.md"
ACTION = ROOT / "action.yml"
WORKFLOW = ROOT / ".github" / "workflows" / "resilience.yml"
SCHEMAS = {"github-workflows": ".github/workflows/resilience.yml", "gitlab-ci": ".gitlab-ci.yml"}


def checked(schema: str, file: Path) -> None:
    """Check a file against a schema that check-jsonschema ships."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(file)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_action_is_one_by_githubs_schema() -> None:
    """action.yml."""
    checked("github-actions", ACTION)


def test_this_repositorys_workflow_is_one_by_githubs_schema() -> None:
    """.github/workflows/resilience.yml."""
    checked("github-workflows", WORKFLOW)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_files_shown_for_others_are_right_by_their_servers_schema(schema: str, tmp_path: Path) -> None:
    """The GitHub workflow and the GitLab job of docs/ci.md."""
    file = tmp_path / "file.yml"
    file.write_text(files(DOCUMENT)[SCHEMAS[schema]])

    checked(schema, file)


def test_the_workflow_gives_the_action_only_inputs_that_it_has() -> None:
    """A misspelt input would be passed over with a warning that nobody reads."""
    inputs = yaml.safe_load(ACTION.read_text())["inputs"]
    shown = yaml.safe_load(files(DOCUMENT)[SCHEMAS["github-workflows"]])

    for workflow in (yaml.safe_load(WORKFLOW.read_text()), shown):
        for job in workflow["jobs"].values():
            for step in job["steps"]:
                if not step["uses"].startswith("actions/"):
                    assert set(step["with"]) <= set(inputs)


def scripts() -> dict[str, str]:
    steps = yaml.safe_load(ACTION.read_text())["runs"]["steps"]
    return {step["name"]: step["run"] for step in steps if "run" in step}


def test_no_input_is_put_into_a_script_as_text() -> None:
    """They come as environment values, so a hostile name of a branch is never a command."""
    for script in scripts().values():
        assert "${{" not in script


def test_every_line_that_calls_the_harness_is_one_it_takes() -> None:
    """In the documentation and in GitLab's job."""
    lines = [line.removeprefix(".venv/bin/") for block in command_blocks(DOCUMENT) for line in block]
    lines += [line for language, text in blocks(DOCUMENT) if language == "sh" for line in text.splitlines()]
    lines += yaml.safe_load(files(DOCUMENT)[SCHEMAS["gitlab-ci"]])["resilience"]["script"]
    calls = [shlex.split(line.split(" || ")[0]) for line in lines]

    assert len(calls) >= 10
    for _, command, *words in calls:
        parser_of(command).read(words)


def test_the_shown_policy_says_the_defaults() -> None:
    """Key by key, so that the documentation cannot grow old."""
    from harness.gate.policy import Policy

    text = next(text for language, text in blocks(DOCUMENT) if language == "yaml" and "runs_at_least" in text)
    shown = yaml.safe_load(text)

    defaults = Policy().model_dump()
    for key in set(shown) - {"require", "require_in", "tags"}:
        assert shown[key] == defaults[key], key
    assert set(shown) == set(defaults)


def test_this_repositorys_policy_can_be_used() -> None:
    """It requires the scenarios tagged `gate`."""
    assert "steady-state" in read_policy(ROOT / ".ci" / "gate.yaml").required


def in_action(script: str, folder: Path, harness: str, **environment: str) -> tuple[int, str, str]:
    """Run a script of the action as GitHub would, with `harness` being a shell script: code, output, what was set."""
    home = folder / "bin"
    home.mkdir(exist_ok=True)
    (home / "harness").write_text(f"#!/bin/bash\n{harness}\n")
    (home / "harness").chmod(0o755)
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        (folder / name).touch()
        environment[name] = str(folder / name)
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=folder, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
        env={"PATH": f"{home}:{os.environ['PATH']}", "HOME": str(folder), **environment},
    )  # fmt: skip
    return done.returncode, done.stdout, (folder / "GITHUB_OUTPUT").read_text()


RUN = {"TAG": "", "REPEAT": "1", "REPORTS": "reports", "COMPARE_WITH": "", "MAX_MINUTES": "5"}


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 0), (3, 0), (2, 2), (4, 4), (5, 5)])
def test_verdicts_are_left_to_the_gate_and_runs_that_did_not_take_place_are_not(
    code: int, expected: int, tmp_path: Path
) -> None:
    """A wrong file or a failed set-up ends the step at once."""
    assert in_action(scripts()["Run"], tmp_path, f"exit {code}", SCENARIOS="a", **RUN)[0] == expected


def test_scenarios_come_as_words_and_a_tag_only_when_there_is_one(tmp_path: Path) -> None:
    """Several paths; nothing in them is a command."""
    echo = 'printf "%s|" "$@"'
    _, plain, _ = in_action(scripts()["Run"], tmp_path, echo, SCENARIOS="a b;$(false)", **RUN)
    _, tagged, _ = in_action(scripts()["Run"], tmp_path, echo, SCENARIOS="a", **{**RUN, "TAG": "gate"})
    _, compared, _ = in_action(scripts()["Run"], tmp_path, echo, SCENARIOS="a b", **{**RUN, "COMPARE_WITH": "main"})

    assert plain.startswith("run|a|b;$(false)|--repeat|1|")
    assert tagged.startswith("run|a|--tag|gate|")
    assert compared.startswith("compare|main|.|--scenario=a|--scenario=b|--max-minutes|5|")


def test_the_actions_gate_annotates_sums_up_and_ends_with_the_gates_code(tmp_path: Path) -> None:
    """By the real gate, on a run that failed in the first attempt and passed in the second."""
    for attempt, verdict in (("earlier/resilience-attempt-1", Verdict.FAIL), ("now", Verdict.PASS)):
        home = tmp_path / "reports" / attempt / f"run-{verdict.value}"
        home.mkdir(parents=True)
        (home / "verdict.json").write_text(dump_verdict(run_verdict(check(verdict), run=f"run-{verdict.value}")))
    real = f'PYTHONPATH={ROOT} exec {sys.executable} -m harness "$@"'

    code, output, was_set = in_action(scripts()["Judge"], tmp_path, real, POLICY="", REPORTS="reports")

    assert (code, was_set) == (1, "exit-code=1\n")
    assert "FLAKY 1/2" in output
    assert re.search(r"^::error title=FLAKY 1/2%3A payment-slow::", output, re.MULTILINE)
    assert "<details>" in (tmp_path / "GITHUB_STEP_SUMMARY").read_text()
