"""`harness run` with a suite that only pretends to run."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from report_samples import check, run_verdict

from harness import suite
from harness.cli.main import main
from harness.errors import SetUpError
from harness.suite import Result, SuiteResult
from harness.verdict import RunVerdict, Verdict

PASSED = run_verdict(check())
FAILED = run_verdict(check(Verdict.FAIL))
UNCLEAR = run_verdict(check(Verdict.INCONCLUSIVE))
FAILED_AS_DECLARED = run_verdict(check(Verdict.FAIL), declared=Verdict.FAIL, because="availability", as_declared=True)
NO_TOXIPROXY = SetUpError("no Toxiproxy", hint="harness doctor")


def result(outcome: RunVerdict | SetUpError) -> Result:
    verdict = outcome if isinstance(outcome, RunVerdict) else None
    return Result(
        path=Path("scenarios/a.yaml"), scenario="a", run_dir=Path("reports/x"), verdict=verdict,
        error=None if isinstance(outcome, RunVerdict) else outcome, seconds=12.3,
    )  # fmt: skip


class FakeSuite:
    """Finds what it is asked for and returns the results it was given."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.found: tuple[Any, ...] = ()
        self.options: Any = None
        self.error: BaseException | None = None

    def find(self, paths: list[Path], keyword: str | None = None, tags: tuple[str, ...] = ()) -> list[Path]:
        self.found = (paths, keyword, list(tags))
        return paths

    def run(self, paths: list[Path], options: Any, view: Any, done: Any) -> SuiteResult:
        self.options = options
        for one in self.results:
            done(one)
        if self.error:
            raise self.error
        return SuiteResult(results=tuple(self.results))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeSuite:
    monkeypatch.chdir(tmp_path)  # a suite writes its index into ./reports
    it = FakeSuite()
    monkeypatch.setattr(suite, "find", it.find)
    monkeypatch.setattr(suite, "run", it.run)
    return it


@pytest.mark.parametrize(
    ("outcomes", "more", "code"),
    [
        ([PASSED], [], 0),
        ([PASSED, FAILED_AS_DECLARED], [], 0),
        ([PASSED, FAILED], [], 1),
        ([UNCLEAR], [], 3),
        ([UNCLEAR], ["--inconclusive=pass"], 0),
        ([UNCLEAR, PASSED], ["--inconclusive=fail"], 1),
        ([UNCLEAR, FAILED], ["--inconclusive=pass"], 1),
        ([UNCLEAR, NO_TOXIPROXY], ["--inconclusive=pass"], 4),
    ],
)
def test_the_exit_code_says_whether_all_ended_as_declared(
    fake: FakeSuite, outcomes: list[Any], more: list[str], code: int
) -> None:
    """The gravest surprise counts; --inconclusive changes what an unexpected INCONCLUSIVE counts as, and no more."""
    fake.results = [result(outcome) for outcome in outcomes]

    assert main(["run", "scenarios", *more]) == code


def test_what_was_typed_reaches_the_suite(fake: FakeSuite) -> None:
    """Selection goes to the search, everything else to the run."""
    fake.results = [result(PASSED)]
    main(
        ["run", "a", "b", "-k", "breaker and not slow", "--tag", "quick", "--set", "seed=3", "--set", "load.users=2",
         "--seed", "9", "--reports", "out", "--retry-busy", "0"]
    )  # fmt: skip

    assert fake.found == ([Path("a"), Path("b")], "breaker and not slow", ["quick"])
    assert fake.options.overrides == ("seed=3", "load.users=2")
    assert (fake.options.seed, fake.options.reports, fake.options.retry_busy) == (9, Path("out"), 0)


def test_one_scenario_is_shown_in_full(fake: FakeSuite, capsys: pytest.CaptureFixture[str]) -> None:
    """Its checks, its receipts and where its report is."""
    fake.results = [result(PASSED)]
    main(["run", "a"])

    text = capsys.readouterr().out
    assert "at least 99 %" in text
    assert "report: reports/x/report.html" in text
    assert "scenarios ended" not in text


def test_a_suite_is_a_table_with_surprises_in_full(fake: FakeSuite, capsys: pytest.CaptureFixture[str]) -> None:
    """What ended as declared is a line of the table; what did not is shown before it, errors with their hint."""
    fake.results = [result(PASSED), result(FAILED_AS_DECLARED), result(FAILED), result(NO_TOXIPROXY)]
    main(["run", "scenarios"])

    shown = capsys.readouterr()
    assert shown.out.count("NOT as declared: the scenario has to end in PASS") == 1
    assert "2 of 4 scenarios ended as they declare" in shown.out
    assert shown.out.rstrip().endswith("report: reports/index.html")
    assert Path("reports/index.html").is_file()
    assert "hint: harness doctor" in shown.out
    assert "PASS a, as declared, 12.3 s" in shown.err


def test_machines_get_one_document_and_nothing_else(fake: FakeSuite, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json standard output holds each scenario's verdict or error and the exit code; progress goes elsewhere."""
    fake.results = [result(FAILED), result(NO_TOXIPROXY)]
    code = main(["run", "scenarios", "--json"])

    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert (found["exit_code"], code) == (4, 4)
    assert shown.err == "FAIL a, NOT as declared, 12.3 s\nERROR a: no Toxiproxy\n"
    assert found["scenarios"][0]["verdict"]["verdict"] == "FAIL"
    assert found["scenarios"][1]["error"] == {"message": "no Toxiproxy", "hint": "harness doctor", "exit_code": 4}


def test_ctrl_c_still_shows_what_had_ended(fake: FakeSuite, capsys: pytest.CaptureFixture[str]) -> None:
    """An interrupted suite does not swallow the verdicts it already has."""
    fake.results, fake.error = [result(PASSED), result(FAILED)], KeyboardInterrupt()

    assert main(["run", "scenarios"]) == 130
    assert "1 of 2 scenarios ended as they declare" in capsys.readouterr().out


def test_one_junit_file_for_the_suite(fake: FakeSuite, tmp_path: Path) -> None:
    """--junit holds every scenario, those without a verdict too."""
    fake.results = [result(PASSED), result(NO_TOXIPROXY)]
    main(["run", "scenarios", "--junit", str(tmp_path / "all.xml")])
    root = ET.parse(tmp_path / "all.xml").getroot()

    assert [suite.get("errors") for suite in root] == ["0", "1"]
