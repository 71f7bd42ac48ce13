"""report.md and the files of a run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from report_samples import check, nasty_verdict, receipt, run_verdict, write_journal

from harness.errors import SetUpError
from harness.journal.reader import JournalReader
from harness.report import figures, write_reports
from harness.report.markdown import report_markdown
from harness.verdict import RunVerdict, Verdict


@pytest.fixture
def journal(tmp_path: Path):
    with JournalReader(write_journal(tmp_path)) as reader:
        yield reader


def _sections(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("# ", "## ", "### "))]


def test_the_verdict_comes_first(journal: JournalReader) -> None:
    """The first line says how it ended, the second why."""
    first, _, second, *_ = report_markdown(run_verdict(check(Verdict.FAIL)), journal).splitlines()

    assert (first, second) == ("# FAIL: payment-slow", "1 of 1 promises decided it")


def test_promised_stands_beside_measured(journal: JournalReader) -> None:
    """Each promise is a row with its bound, what was measured, of how many, and whether that is thin."""
    text = report_markdown(run_verdict(check()), journal)

    assert "| PASS (thin) | POST /orders at least 99 % (slow-payment) | at least 99 % | 98.75 % | 240 |" in text


def test_what_did_not_hold_has_its_evidence_folded_in(journal: JournalReader) -> None:
    """A broken promise shows its rows; one that held does not."""
    failed = report_markdown(run_verdict(check(Verdict.FAIL)), journal)
    passed = report_markdown(run_verdict(check()), journal)

    assert "| POST /orders | 2012 | load->order, order->payment |" in failed
    assert "Evidence" not in passed


def test_a_run_without_receipts_says_what_that_means(journal: JournalReader) -> None:
    """No receipts is no silence."""
    assert "nothing proves" in report_markdown(run_verdict(check(), receipts=()), journal)


def test_a_report_is_short_until_something_is_unfolded(journal: JournalReader) -> None:
    """Outside of folded parts stand the verdict, the promises and what is missing: few lines, whatever the run did."""
    unclear = receipt(Verdict.INCONCLUSIVE, subject="second", status="UNCLEAR", sentence="it began too late")
    verdict = run_verdict(check(Verdict.FAIL), receipts=(receipt(), unclear))
    text = report_markdown(verdict, journal)
    shown = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)

    assert len([line for line in shown.splitlines() if line]) <= 12
    assert "it began too late" in shown
    assert "about 2000 ms longer" not in shown
    assert "about 2000 ms longer" in text


def test_timeline_phases_and_scenario_come_from_the_journal(journal: JournalReader) -> None:
    """What happened, by the second of the run, and the file it ran from."""
    text = report_markdown(run_verdict(check()), journal)

    assert "| 2.000 | fault.injected | slow-payment | family toxic, target order->payment |" in text
    assert "| slow-payment | fault | 2.0 to 4.0 s | 4 | 1 | 3 | 1.5/s | 2.00 s | 2.00 s |" in text
    assert "```yaml\nname: payment-slow\n```" in text


def test_hostile_text_makes_no_headings_and_no_tags(journal: JournalReader) -> None:
    """A report of hostile names has the sections of any report and no tag but our own."""
    text = report_markdown(nasty_verdict(), journal)

    assert [s for s in _sections(text) if s.startswith("# ")] == _sections(text)[:1]
    assert "<b>" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_scenario_cannot_leave_its_fence(tmp_path: Path) -> None:
    """Backticks in the scenario's own text do not end the block it is shown in."""
    text = "# ```\nname: x\n````\n"
    with JournalReader(write_journal(tmp_path, scenario_text=text)) as reader:
        assert "`````yaml\n# ```\nname: x\n````\n`````" in report_markdown(run_verdict(check()), reader)


def test_phase_figures_are_exact(journal: JournalReader) -> None:
    """Requests belong to the phase of their intended instant; a dropped one is intended and not good."""
    steady, slow = figures.phases(journal)

    assert (steady.intended, steady.dropped, steady.good, steady.p99_s) == (4, 0, 4, 0.1)
    assert (slow.intended, slow.dropped, slow.good, slow.p50_s, slow.good_per_s) == (4, 1, 3, 2.0, 1.5)


@pytest.mark.parametrize("verdict", [run_verdict(), nasty_verdict()])
def test_a_run_gets_its_three_files(verdict: RunVerdict, journal: JournalReader, tmp_path: Path) -> None:
    """report.html, verdict.json, report.md and junit.xml, and no half-written file beside them; again replaces them."""
    for _ in range(2):
        written = write_reports(tmp_path, verdict, journal)

    assert [path.name for path in written] == ["report.html", "verdict.json", "report.md", "junit.xml"]
    assert {path.name for path in tmp_path.iterdir()} == {
        "journal.db",
        "report.html",
        "verdict.json",
        "report.md",
        "junit.xml",
    }


def test_a_folder_that_takes_no_file_is_a_failed_set_up(journal: JournalReader, tmp_path: Path) -> None:
    """The message names the file that could not be written, and a way out."""
    with pytest.raises(SetUpError, match="cannot write") as caught:
        write_reports(tmp_path / "missing", run_verdict(check()), journal)

    assert caught.value.hint
