"""`harness history` and `harness baseline`: rows of runs that stay when the runs are gone."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from unit import journals
from unit.sli_rows import row

from harness.cli.main import main
from harness.errors import InputError
from harness.history import History, markdown_text, series, sparkline, sparkline_svg, text
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


def test_the_svg_is_well_formed_says_what_it_shows_and_leaves_gaps() -> None:
    """For a page of its own or inside another's; a hostile name stays a text."""
    drawn = ET.fromstring(sparkline_svg([1, 2, None, 3, 5, None], title="p95 of <script>"))
    tag = "{http://www.w3.org/2000/svg}"

    assert drawn.findtext(f"{tag}title") == "p95 of <script>"
    assert len(drawn.findall(f"{tag}polyline")) == 2


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
