"""
index.html for a suite: one row a scenario, with what it declared, how it ended, why, and where its report is.

Names in it are those of the reports' folder, so that the folder can be moved or sent as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from harness.report.html.render import render
from harness.report.terminal import SuiteRow

INDEX_NAME = "index.html"


def index_html(rows: Sequence[SuiteRow], folder: Path, made: str) -> str:
    """The page of a suite whose file will lie in folder. made says when, in words."""
    unmet = [row for row in rows if not row.as_declared]
    counts = {word: sum(row.got == word for row in rows) for word in ("PASS", "FAIL", "INCONCLUSIVE", "ERROR")}
    return render(
        "index.html.j2",
        rows=[(row, _link(row.report, folder)) for row in sorted(rows, key=lambda row: row.as_declared)],
        met=len(rows) - len(unmet),
        counts={word: count for word, count in counts.items() if count},
        seconds=sum(row.seconds for row in rows),
        made=made,
    )


def _link(report: Path | None, folder: Path) -> str | None:
    """The address of a report as seen from the folder of the index."""
    if report is None:
        return None
    return quote(Path(os.path.relpath(report, folder)).as_posix())
