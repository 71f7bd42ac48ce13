"""`harness compare`: what a side is, how both are run, and what is kept and told."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from unit.sli_rows import Versions, row

from harness.cli.main import main
from harness.comparison import conduct as conducting
from harness.comparison.conduct import Request, conduct
from harness.comparison.document import read_comparison
from harness.comparison.rules import rules_of
from harness.comparison.sides import Side, side_of
from harness.errors import InputError, SetUpError
from harness.run.options import RunOptions
from harness.slis import Row
from harness.verdict import Verdict

SYSTEM = """\
services:
  api:
    command: [python, -m, http.server]
    environment: {PORT: "8000"}
    expose: ["8000"]
x-harness:
  entry: api
  profiles:
    look: {requests: [{name: GET /, path: /}]}
"""
SCENARIO = """\
name: looking
system: compose/api.yaml
load: {profile: look, arrivals: 20/s}
timeline:
  - steady: 2s
expect:
  - availability: {at_least: 99%}
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two commits of a system; the working tree is at the second."""
    folder = tmp_path / "repository"
    (folder / "compose").mkdir(parents=True)
    (folder / "looking.yaml").write_text(SCENARIO)
    (folder / "compose" / "api.yaml").write_text(SYSTEM)
    (folder / "version").write_text("one")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"], ["tag", "v1"]):
        git(folder, *words)
    (folder / "version").write_text("two")
    git(folder, "commit", "-qam", "two")
    monkeypatch.chdir(folder)
    return folder


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True, timeout=30
    ).stdout


def test_a_revision_is_unpacked_into_a_folder_of_its_own(repository: Path, tmp_path: Path) -> None:
    """The working tree and the repository stay as they are; the scenario runs against the revision's own system."""
    side = side_of("v1", (), tmp_path / "scratch")

    assert side.checkout is not None
    assert (side.checkout / "version").read_text() == "one"
    assert (repository / "version").read_text() == "two"
    assert "worktree" not in git(repository, "worktree", "list").replace(str(repository), "")
    (system,) = side.overrides_for(repository / "looking.yaml")
    assert system == f"system='{side.checkout}/compose/api.yaml'"


def test_a_compose_file_stands_in_for_the_scenarios_own(repository: Path, tmp_path: Path) -> None:
    """With overrides behind it."""
    side = side_of("compose/api.yaml", ["load.arrivals=40/s"], tmp_path)

    assert side.overrides_for(repository / "looking.yaml") == (
        f"system='{repository}/compose/api.yaml'",
        "load.arrivals=40/s",
    )


def test_what_is_nothing_of_all_that_is_wrong_input(repository: Path, tmp_path: Path) -> None:
    """Said with what could be meant; a revision that looks like an option is none."""
    for word in ("no-such-revision", "--all"):
        with pytest.raises(InputError, match="no Compose file, no folder, no run and no git revision"):
            side_of(word, (), tmp_path)


def request_for(repository: Path, **more: object) -> Request:
    values: dict[str, object] = {
        "base": "v1", "new": ".", "scenarios": (repository / "looking.yaml",), "rules": rules_of(0.005),
        "options": RunOptions(reports=repository / "reports"),
    }  # fmt: skip
    return Request(**{**values, **more})  # type: ignore[arg-type]


def run_by(monkeypatch: pytest.MonkeyPatch, versions: Versions) -> list[tuple[str, int]]:
    """Put drawn rows in the place of real runs."""
    asked: list[tuple[str, int]] = []

    def run_side(side: Side, scenario: Path, options: RunOptions, *, seed: int) -> Row:
        asked.append((side.label, seed))
        return versions(int(not side.label.startswith("v1")), "looking", seed)

    monkeypatch.setattr(conducting, "run_side", run_side)
    return asked


def test_a_comparison_is_kept_with_every_row_and_the_scratch_checkout_is_gone(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it can be read, gated and worked out again."""
    run_by(monkeypatch, Versions(slower=1.5))
    said: list[str] = []

    comparison = conduct(request_for(repository), said.append)

    assert comparison.folder is not None
    assert comparison.verdict is Verdict.FAIL
    assert read_comparison(comparison.folder) == comparison
    assert len((comparison.folder / "rows.jsonl").read_text().splitlines()) == 14
    assert not (comparison.folder / "checkouts").exists()
    assert "p95 of POST /orders" in (comparison.folder / "comparison.md").read_text()


def test_progress_says_which_pair_and_how_many_minutes_are_left(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the second pair on."""
    run_by(monkeypatch, Versions())
    said: list[str] = []
    conduct(request_for(repository), said.append)

    assert said[0] == "pair 1 of at most 24, look after 7, 1 scenarios open"
    assert said[3].startswith("pair 2 of at most 24, look after 7, 1 scenarios open, 0 to 0 minutes left")
    assert said[1].startswith("  old looking: PASS")


def test_runs_that_broke_a_promise_are_told_beside_the_comparison(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the new version is no slower does not make it keep its word."""

    def run_side(side: Side, scenario: Path, options: RunOptions, *, seed: int) -> Row:
        new = not side.label.startswith("v1")
        return row(seed, scenario="looking", as_declared=not new, reason="an order was lost")

    monkeypatch.setattr(conducting, "run_side", run_side)
    comparison = conduct(request_for(repository), lambda _: None)

    assert comparison.scenarios[0].notes == ("7 of 7 new runs did not end as declared: an order was lost",)


def test_a_scenario_that_does_not_fit_a_side_is_wrong_input_before_anything_runs(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves no folder behind."""
    asked = run_by(monkeypatch, Versions())

    with pytest.raises(InputError):
        conduct(request_for(repository, new_overrides=("load.arivals=3",)), lambda _: None)

    assert asked == []
    assert list((repository / "reports").iterdir()) == []


def test_recorded_runs_and_versions_are_told_apart(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two Compose files without a scenario cannot be compared, and the way out is said."""
    assert main(["compare", "compose/api.yaml", "compose/api.yaml"]) == 2
    assert "name the scenarios that are to be run" in capsys.readouterr().err
    assert main(["compare", "nowhere", "elsewhere"]) == 2
    assert main(["compare", ".", ".", "--scenario", "looking.yaml", "--max-pairs", "3"]) == 2
    assert "at least 5" in capsys.readouterr().err


def test_what_is_no_comparison_is_wrong_input(tmp_path: Path) -> None:
    """With file and line."""
    file = tmp_path / "comparison.json"
    for text in ("", "[]", '{"format": 2}', json.dumps({"format": 1, "old": "a", "new": "b", "scenarios": [{}]})):
        file.write_text(text)
        with pytest.raises(InputError, match=r"comparison.json:1: not a comparison"):
            read_comparison(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_set_up_error(repository: Path) -> None:
    """Not a traceback."""
    (repository / "file").write_text("")

    with pytest.raises(SetUpError, match="cannot make"):
        conduct(request_for(repository, options=RunOptions(reports=repository / "file")), lambda _: None)


def test_a_secret_among_the_overrides_is_masked_and_what_is_kept_is_its_owners(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the label of a side, and so in everything that shows it."""
    run_by(monkeypatch, Versions())

    comparison = conduct(request_for(repository, new_overrides=("with.api.DB_PASSWORD=hunter2",)), lambda _: None)

    assert comparison.folder is not None
    for file in comparison.folder.iterdir():
        assert "hunter2" not in file.read_text()
        assert file.stat().st_mode & 0o077 == 0
