"""`harness judge` and `harness report` on a real journal, with a judge that says what a test wants."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from report_samples import check, run_verdict, write_journal

from harness.cli.main import main
from harness.report.verdict_file import load_verdict
from harness.scenario.model import Scenario
from harness.verdict import RunVerdict, Verdict


class FakeJudge:
    """Stands in for `harness.judge`; remembers what it was asked."""

    def __init__(self) -> None:
        self.verdict = run_verdict(check())
        self.asked: list[tuple[Any, ...]] = []

    def judge(self, run: Path, *more: Any) -> RunVerdict:
        self.asked.append((run, *more))
        return self.verdict


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeJudge:
    it = FakeJudge()
    monkeypatch.setitem(sys.modules, "harness.judge", SimpleNamespace(judge=it.judge))  # type: ignore[arg-type]
    return it


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_journal(tmp_path)


@pytest.mark.parametrize(
    ("verdict", "more", "code"),
    [
        (run_verdict(check()), [], 0),
        (run_verdict(check(Verdict.FAIL)), [], 1),
        (run_verdict(check(Verdict.INCONCLUSIVE)), [], 3),
        (run_verdict(check(Verdict.INCONCLUSIVE)), ["--inconclusive=pass"], 0),
        (run_verdict(check(Verdict.INCONCLUSIVE)), ["--inconclusive=fail"], 1),
        (run_verdict(check(Verdict.FAIL), declared=Verdict.FAIL, as_declared=True), [], 0),
        (run_verdict(check(), declared=Verdict.FAIL, as_declared=False), [], 1),
    ],
)
def test_the_exit_code_is_the_verdict_against_the_declared_one(
    fake: FakeJudge, run: Path, verdict: RunVerdict, more: list[str], code: int
) -> None:
    """A run that ends as its scenario declares is 0, whatever the verdict."""
    fake.verdict = verdict

    assert main(["judge", str(run), *more]) == code


def test_judging_writes_nothing(fake: FakeJudge, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A journal can be judged as often as one likes without leaving a trace."""
    main(["judge", str(run)])

    assert [path.name for path in run.iterdir()] == ["journal.db"]
    assert "at least 99 %" in capsys.readouterr().out


def test_judging_writes_when_asked(fake: FakeJudge, run: Path) -> None:
    """--write puts the new verdict beside the journal."""
    main(["judge", str(run), "--write"])

    assert load_verdict(run).scenario == "payment-slow"


def test_machines_get_the_verdict(fake: FakeJudge, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json prints what verdict.json would hold."""
    main(["judge", str(run), "--json"])

    assert json.loads(capsys.readouterr().out)["verdict"] == "PASS"


def test_other_promises_are_handed_to_the_judge(fake: FakeJudge, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--scenario reads the edited file and judges the old journal by it."""
    words = {"system": "x.yaml", "load": {"arrivals": "1/s"}, "timeline": [{"steady": "1s"}]}
    promise = {"availability": {"at_least": "99%", "of": "GET /x?token=abc-12345"}}
    edited = Scenario.model_validate({"name": "edited", **words, "expect": [promise]})
    monkeypatch.setattr("harness.scenario.file.load_scenario", lambda path: SimpleNamespace(scenario=edited))
    main(["judge", str(run), "--scenario", "new.yaml"])

    [(judged, scenario)] = fake.asked
    assert (judged, scenario.name) == (run, "edited")
    assert scenario.expect[0].promise.of == "GET /x?token=(masked)"  # as its journal has it


def test_reports_are_made_anew_beside_the_journal(
    fake: FakeJudge, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each file that was written is named, one a line."""
    assert main(["report", str(run / "journal.db")]) == 0
    assert capsys.readouterr().out.split() == [
        str(run / name) for name in ("report.html", "verdict.json", "report.md", "junit.xml")
    ]


def test_reports_can_go_elsewhere(fake: FakeJudge, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A journal in a folder that cannot be written is reported on in another, which is made when it is missing."""
    main(["report", str(run), "--to", str(run / "new" / "place"), "--json"])

    assert (run / "new" / "place" / "report.md").is_file()
    assert json.loads(capsys.readouterr().out)["verdict"] == "PASS"


@pytest.mark.parametrize("command", ["judge", "report"])
def test_a_folder_that_holds_no_run_is_wrong_input(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing to judge is the typist's to put right."""
    pytest.importorskip("harness.judge")

    assert main([command, str(tmp_path)]) == 2
    assert "no journal here" in capsys.readouterr().err
