"""index.html: a suite in one page, a row a scenario."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_samples import check, run_verdict
from test_html_report import Page

from harness.errors import SetUpError
from harness.suite.result import Result
from harness.suite.rows import write_index
from harness.verdict import Verdict

NASTY = "<script>alert(1)</script> ../../etc?x=#y"


def result(name: str, run_dir: Path | None, verdict: Verdict | None, declared: Verdict = Verdict.PASS) -> Result:
    found = None
    if verdict is not None:
        found = run_verdict(
            check(verdict), scenario=name, declared=declared, as_declared=verdict is declared, reason=f"why {name}"
        )
    error = None if verdict is not None else SetUpError(f"no room for {name}")
    return Result(path=Path("x.yaml"), scenario=name, run_dir=run_dir, verdict=found, error=error, seconds=12.34)


def rows_of(path: Path) -> tuple[Page, list[str]]:
    text = path.read_text("utf-8")
    body = text.split("<tbody>")[1].split("</tbody>")[0]
    return Page(text), [Page(f"<table><tr{row}</table>").text for row in body.split("<tr")[1:]]


def test_a_suite_is_a_row_a_scenario_with_all_that_is_asked(tmp_path: Path) -> None:
    """Declared, got, whether that is as declared, why, how long, and where its report is."""
    runs = [tmp_path / "one", tmp_path / "two"]
    path = write_index([result("alpha", runs[0], Verdict.PASS), result("beta", runs[1], Verdict.FAIL)], tmp_path)
    page, rows = rows_of(path)

    assert rows[0] == "beta PASS FAIL NO why beta 12.3"
    assert rows[1] == "alpha PASS PASS yes why alpha 12.3"
    assert [own["href"] for tag, own in page.elements if tag == "a"] == ["two/report.html", "one/report.html"]
    assert "1 of 2" in page.text


def test_a_scenario_without_a_verdict_is_told_and_links_to_nothing(tmp_path: Path) -> None:
    """An error has its message instead of a reason."""
    page, rows = rows_of(write_index([result("alpha", tmp_path / "one", None)], tmp_path))

    assert rows == ["alpha - ERROR NO no room for alpha 12.3"]
    assert "a" not in {tag for tag, _ in page.elements}


@pytest.mark.parametrize("name", [NASTY, "javascript:alert(1)", "\x1b[2J\u202e", "a b%c"])
def test_no_name_of_a_scenario_does_anything_in_the_index(tmp_path: Path, name: str) -> None:
    """Names are text, and links stay relative."""
    page, _ = rows_of(write_index([result(name, tmp_path / name, Verdict.PASS)], tmp_path))

    assert page.open == []
    assert "script" not in {tag for tag, _ in page.elements}
    (link,) = [own["href"] for tag, own in page.elements if tag == "a"]
    assert link is not None
    assert ":" not in link
    assert not link.startswith("/")
    assert "\x1b" not in page.text
