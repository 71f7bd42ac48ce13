"""
The matrix of mutants: `python -m tests.truth`; clean runs again and again: `python -m tests.truth --clean 50`.

Records the clean runs, puts every lie into them, runs those that have to run, and writes reports/truth.md and .json.
Ends with 0 when every clean run passed and every mutant got its verdict by its name.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

from harness.run.interruption import terminated_like_interrupted
from tests.turns import Turns

from . import clean
from .live import LIVE, live_row
from .matrix import BASES, ROOT, Row, as_json, as_markdown, as_text, clean_row, figures, record, recorded_row, summary
from .recorded import MUTANTS

WHOLE = 40  # runs of each scenario, two for each of twenty pairs; fewer are a short form, whose figures stand beside


def main() -> int:
    """0 when the judge believed no lie and every truth."""
    parser = argparse.ArgumentParser(prog="python -m tests.truth", description=__doc__)
    parser.add_argument("--recorded", action="store_true", help="only the mutants of recorded runs")
    parser.add_argument("--only", metavar="WORD", default="", help="only live mutants whose name holds this word")
    parser.add_argument("--reports", type=Path, default=ROOT / "reports")
    parser.add_argument("--turns", type=Path, help="hold a lock on this file, to take turns with others who measure")
    parser.add_argument("--clean", type=int, metavar="N", help="instead: N runs of each clean scenario, A against A")
    parser.add_argument("--side-by-side", type=int, default=1, metavar="N", help="with --clean: so many at a time")
    parser.add_argument("--minutes", type=float, default=math.inf, help="with --clean: begin no run after so long")
    options = parser.parse_args()
    with terminated_like_interrupted():  # nothing of it is left in the temporary folder, then
        if options.clean is not None:
            end_s = time.monotonic() + 60 * options.minutes
            return clean_runs(options.clean, options.side_by_side, end_s, options.reports)
        return mutants(options)


def mutants(options: argparse.Namespace) -> int:
    """Record, lie, judge; write the matrix."""
    rows: list[Row] = []

    def tell(row: Row) -> None:
        rows.append(row)
        print(as_text([row]), flush=True)

    with tempfile.TemporaryDirectory(prefix="harness-truth-") as name, Turns(options.turns) as mine:
        folder = Path(name)
        recorded = {}
        for base in BASES:
            mine.next()
            recorded[base] = record(base, folder / "clean")
        for base in BASES:
            tell(clean_row(base, recorded[base]))
        for mutant in MUTANTS:
            tell(recorded_row(mutant, recorded[mutant.base], folder / "mutants"))
        for live in () if options.recorded else LIVE:
            if live.available and options.only in live.name:
                mine.next()
                tell(live_row(live, folder / live.name))
    write(rows, options.reports, whole=not options.recorded and not options.only)
    print(summary(rows))
    return int(not all(row.as_expected for row in rows) or figures(rows)["passed"] > 0)


def clean_runs(runs: int, jobs: int, end_s: float, reports: Path) -> int:
    """Do them, write reports/truth-clean.md and .json; the exit code says what they came to."""

    def tell(one: clean.Clean) -> None:
        mark = "ok " if one.verdict == "PASS" else "BAD"
        print(f"{mark} {one.scenario:8} {one.number:3} {one.verdict:12} tries {one.tries} {one.reason}", flush=True)

    with tempfile.TemporaryDirectory(prefix="harness-clean-") as name:
        found = clean.run_clean(runs, Path(name), jobs, end_s, tell)
    compared = clean.compare(found)
    reports.mkdir(parents=True, exist_ok=True)
    stem = "truth-clean" if runs >= WHOLE else "truth-clean-part"
    (reports / f"{stem}.md").write_text(clean.page(found, compared), "utf-8")
    (reports / f"{stem}.json").write_text(clean.document(found, compared), "utf-8")
    told = clean.figures(found, compared)
    print(clean.summary(told))
    return clean.exit_code(told)


def write(rows: list[Row], reports: Path, *, whole: bool) -> None:
    """The whole matrix where the README finds it; a part of it beside."""
    reports.mkdir(parents=True, exist_ok=True)
    name = "truth" if whole else "truth-part"
    (reports / f"{name}.md").write_text(as_markdown(rows), "utf-8")
    (reports / f"{name}.json").write_text(as_json(rows), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
