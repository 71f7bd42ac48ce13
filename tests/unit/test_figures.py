"""The README's figures are those of the last whole runs, put there by a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from figures import BEGIN, END, MISSING, SOURCES, read, table, with_table

README = Path(__file__).parents[2] / "README.md"
REPORTS = Path(__file__).parents[2] / "reports"
FIGURES = {
    "truth": {"clean": 4, "clean_passed": 3, "mutants": 70, "recorded": 55, "live": 15, "named": 69, "passed": 1},
    "truth-clean": {
        "scenarios": 3, "runs": 150, "passed": 149, "begun_again": 2, "pairs": 60, "pairs_different": 1, "comparisons": 3,
        "comparisons_different": 0, "slowed_seen": 3,
    },
    "survival": {
        "survived": 98, "kills": 100, "seed": 5, "clean_s_median": 0.4, "clean_s_worst": 4.1, "cleaned_s_worst": 0.2,
        "passed_with_a_part_killed": 2, "next_runs": 16, "next_runs_passed": 15,
    },
    "fuzz": {
        "inputs": {"cases": 10000, "seed": 1, "failed": 7, "slowest_s": 1.5, "largest_mb": 112},
        "gate": {"streams": 10001, "seed": 1, "wrong": 8, "growth_mb": -0.5},
    },
}  # fmt: skip


def test_the_table_is_written_between_its_markers():
    """New figures replace those of before; the rest of the file stays, and a second time changes nothing."""
    text = with_table(f"before\n{BEGIN}\nof the run before\n{END}\nafter\n", FIGURES)

    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "of the run before" not in text
    for figure in (
        "69 of 70",
        "98 of 100",
        "0.4, 4.1",
        "15 of 16",
        "7 of 10000",
        "8 of 10001",
        "0.0 MB",
        "149 of 150",
        "1 of 60",
    ):
        assert f"| {figure} |" in text
    assert with_table(text, FIGURES) == text


def test_a_readme_without_the_markers_is_refused():
    """A table is never put anywhere else."""
    with pytest.raises(ValueError, match="lacks the markers"):
        with_table("no markers", FIGURES)


def test_what_was_never_run_is_told_as_missing(tmp_path):
    """No figure is no claim: the row says that there is none, until there is one."""
    for number, name in enumerate(SOURCES):
        told = table(read(tmp_path))
        assert told.count(MISSING) == (5, 4, 3, 2)[number]
        (tmp_path / f"{name}.json").write_text(json.dumps({"figures": FIGURES[name]}))

    assert read(tmp_path) == FIGURES
    assert MISSING not in table(FIGURES)


def test_a_file_without_figures_is_refused_with_the_command_that_makes_them(tmp_path):
    """A damaged file is not taken for one that was never made."""
    (tmp_path / "survival.json").write_text("{}")

    with pytest.raises(ValueError, match="make survival"):
        read(tmp_path)


def test_the_readme_has_the_figures_that_are_kept():
    """What the README says is what reports/ holds."""
    text = README.read_text("utf-8")

    assert with_table(text, read(REPORTS)) == text
