"""`harness history` and `harness baseline`: rows of runs that stay when the runs are gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from unit import journals
from unit.sli_rows import row

from harness.cli.main import main
from harness.errors import InputError
from harness.history import FILE_NAME, History, markdown_text, series, sparkline, text
from harness.report.html.past import Trend
from harness.slis import read_row


def recorded(folder: Path) -> Path:
    """A run that never was, as a journal would tell of it."""
    run = journals.Run(journals.scenario()).load(0, 15)
    run.facts |= {
        "wall_anchor": {"monotonic_ns": 1, "epoch_ns": 1_700_000_000_000_000_000},
        "machine": {"system": "Linux", "cores": 2, "load_average": 1.0}, "harness": "0.1.0",
    }  # fmt: skip
    return run.write(folder)


def test_a_row_is_kept_once_and_comes_back_as_it_was(tmp_path: Path) -> None:
    """Also when it is added again."""
    history = History(tmp_path / "history.sqlite")
    rows = [row(number, p95=100.0 + number) for number in range(5)]

    assert history.add(rows) == 5
    assert history.add(rows) == 0
    assert history.last("checkout", 3) == rows[2:]
    assert history.scenarios() == ["checkout"]


def test_a_file_that_is_no_history_is_wrong_input(tmp_path: Path) -> None:
    """It is not written over."""
    file = tmp_path / "history.sqlite"
    file.write_text("something else, and long enough to be taken for a header of a database")

    with pytest.raises(InputError, match="not a history of this program"):
        History(file)
    assert file.read_text().startswith("something else")


def test_the_sparkline_has_its_lowest_block_at_the_lowest_value_and_a_gap_where_there_is_none() -> None:
    """A value that never moves lies at the bottom."""
    assert sparkline([1.0, None, 8.0, 4.4]) == "▁ █▄"
    assert sparkline([3.0, 3.0]) == "▁▁"
    assert sparkline([None, None]) == "  "


def test_a_curve_leaves_gaps_and_ends_in_a_dot() -> None:
    """A run by itself between two gaps is a dot too; values stand between top and bottom of the drawing."""
    drawn = Trend(sli="p95", values=[1, 2, None, 3, None, 5], unit="ms")

    assert drawn.curve.count("M") == 3
    assert drawn.curve.startswith("M3.0 25.0L")
    assert drawn.dots == [(95.4, 14.0), (157.0, 3.0)]
    assert (drawn.newest, drawn.span) == ("5.0 ms", "1.0 ms to 5.0 ms")


def test_a_trend_without_a_value_says_so() -> None:
    """Never measured, or not in the newest run."""
    assert Trend(sli="p95", values=[None, None], unit="ms").span == ""
    assert Trend(sli="p95", values=[1.0, None], unit="ms").newest == "not measured"


def reported(home: Path) -> str:
    return (home / "report.html").read_text("utf-8")


def test_where_a_history_is_kept_a_report_draws_its_scenarios_last_runs(tmp_path: Path) -> None:
    """The run's own row is added and stands last; without a history there is no such section."""
    from harness.suite import judge_and_report

    home = recorded(tmp_path / "run-1")
    judge_and_report(home, tmp_path)
    assert "Over the last runs" not in reported(home)

    history = History(tmp_path / FILE_NAME)
    history.add(row(number, scenario="synthetic", started_s=1_600_000_000.0 + number) for number in range(100, 130))
    history.add([row(200, scenario="synthetic", started_s=1_800_000_000.0)])
    judge_and_report(home, tmp_path)

    shown = reported(home)
    assert "run-1" in history.known()
    assert "20 runs of this scenario" in shown
    assert "PASS, 2023-11-14 22:13, run run-1" in shown
    assert "run run-129" in shown
    assert "run run-10<" not in shown
    assert "run run-200" not in shown  # it came later
    assert shown.count('class="trend"') == 3 * len(read_row(home).slis)


def test_a_history_in_which_nothing_else_is_draws_nothing(tmp_path: Path) -> None:
    """One run is no trend."""
    from harness.suite import judge_and_report

    home = recorded(tmp_path / "run-1")
    History(tmp_path / FILE_NAME)
    judge_and_report(home, tmp_path)

    assert "Over the last runs" not in reported(home)
    assert History(tmp_path / FILE_NAME).known() == {"run-1"}


def test_a_history_that_cannot_be_read_spoils_no_report(tmp_path: Path) -> None:
    """The verdict stands, and the report says what is wrong with the history."""
    from harness.suite import judge_and_report

    home = recorded(tmp_path / "run-1")
    (tmp_path / FILE_NAME).write_text("something else, and long enough to be taken for a header of a database")

    assert judge_and_report(home, tmp_path).verdict.value == "PASS"
    assert "The history of runs cannot be told" in reported(home)
    assert "not a history of this program" in reported(home)


def test_a_report_made_anew_draws_what_the_named_history_holds_and_adds_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`harness report RUN --history FILE`."""
    home, file = recorded(tmp_path / "reports" / "run-1"), tmp_path / "kept" / "trend.sqlite"
    History(file).add([row(7, scenario="synthetic", started_s=1_600_000_000.0)])

    assert main(["report", str(home), "--history", str(file)]) == 0
    assert "2 runs of this scenario" in reported(home)
    assert History(file).known() == {"run-7"}
    assert main(["report", str(home), "--history", str(tmp_path / "none.sqlite")]) == 2
    assert "none.sqlite: no such file" in capsys.readouterr().err


def test_a_scenarios_runs_are_shown_by_sli_with_the_newest_value() -> None:
    """Verdicts on top, oldest first."""
    rows = [row(1), row(2, p95=140.0, verdict="FAIL"), row(3, p95=121.0, bad=10)]

    shown = text("checkout", rows)

    assert "checkout: 3 runs, 2023-11-14 22:13 to 2023-11-14 22:13" in shown
    assert "PFP" in shown
    assert "p95 of POST /orders" in shown
    assert "▁█▅  121.0 ms" in shown
    assert "99.00 %" in shown
    assert series(rows)["availability of POST /orders"] == [100.0, 100.0, 99.0]
    assert "| p95 of POST /orders | `" in markdown_text("checkout", rows)


def test_the_rows_of_a_folder_are_kept_and_stay_when_the_runs_are_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`harness history DIR`, twice."""
    import shutil

    folder = tmp_path / "reports"
    home = recorded(folder / "run-1")

    assert main(["history", str(folder)]) == 0
    shutil.rmtree(home)
    assert main(["history", str(folder), "--json"]) == 0

    printed = capsys.readouterr().out
    found = json.loads(printed[printed.index("{") :])
    assert [one["run"] for one in found["scenarios"]["synthetic"]] == ["run-1"]


def test_an_unknown_scenario_or_folder_is_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what is known."""
    assert main(["history", str(tmp_path / "nowhere")]) == 2
    assert main(["history", str(tmp_path), "--scenario", "x"]) == 2
    assert "known: none" in capsys.readouterr().err


def test_a_baseline_grows_by_an_execution_with_each_save(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says what is missing yet."""
    file = tmp_path / "baseline.json"
    recorded(tmp_path / "first" / "run-1")

    assert main(["baseline", "save", str(file), str(tmp_path / "first")]) == 0
    assert main(["baseline", "show", str(file)]) == 0
    assert capsys.readouterr().out.count("synthetic: 1 executions (5 needed), 1 runs, 1 of them valid") == 2
    assert main(["baseline", "save", str(file)]) == 2
    assert main(["baseline", "show", str(tmp_path / "none.json")]) == 2


def test_a_row_says_what_the_run_measured(tmp_path: Path) -> None:
    """Counts, quantiles of good answers, and how late the load was."""
    found = read_row(recorded(tmp_path / "run-1"))

    sli = found.slis[journals.ORDERS]
    assert (found.doubt, found.scenario) == (None, "synthetic")
    assert sli.requests == sli.good + sli.bad
    assert sli.p50_ms is not None
    assert found.schedule_error_p99_ms is not None


def test_two_recorded_runs_are_compared_and_say_what_they_cannot_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`harness compare RUN RUN` ends with 3."""
    first, second = recorded(tmp_path / "a" / "run-1"), recorded(tmp_path / "b" / "run-1")

    assert main(["compare", str(first), str(second)]) == 3
    assert "changes below x3 cannot be told from noise" in capsys.readouterr().out
