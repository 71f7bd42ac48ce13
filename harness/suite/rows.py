"""A suite's results as the rows people are shown: on a terminal, and as the page index.html."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from harness.report import write_file
from harness.report.html import FILE_NAME
from harness.report.html.suite import INDEX_NAME, index_html
from harness.report.terminal import SuiteRow
from harness.suite.result import Result


def suite_row(result: Result) -> SuiteRow:
    """One scenario: what it declared and what became of it."""
    verdict = result.verdict
    return SuiteRow(
        scenario=result.scenario,
        declared="-" if verdict is None else _declared(verdict.declared.value, verdict.because),
        got="ERROR" if verdict is None else verdict.verdict.value,
        as_declared=verdict is not None and verdict.as_declared,
        reason=verdict.reason if verdict is not None else str(result.error),
        seconds=result.seconds,
        report=report_of(result),
    )


def _declared(verdict: str, because: str | None) -> str:
    return f"{verdict} ({because})" if because else verdict


def report_of(result: Result) -> Path | None:
    """The page of a run; None when it came to no verdict."""
    return None if result.run_dir is None or result.verdict is None else result.run_dir / FILE_NAME


def write_index(results: Sequence[Result], reports: Path) -> Path:
    """Write index.html of the newest suite into the folder of its runs, private like them. Raises SetUpError."""
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    with suppress(OSError):  # writing says it better
        reports.mkdir(parents=True, exist_ok=True)
    text = index_html([suite_row(result) for result in results], reports, made)
    return write_file(reports / INDEX_NAME, text, private=True)
