"""
The README's table of figures: read from reports/{truth,truth-clean,survival,fuzz}.json and written between two markers.

`python -m tests.figures` prints it, `python -m tests.figures --readme` puts it into the README. Nobody types a figure.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- figures: written by `python -m tests.figures --readme` -->", "<!-- /figures -->"
SOURCES = {"truth": "make truth", "truth-clean": "make truth-clean", "survival": "make survival", "fuzz": "make fuzz"}

MISSING = "not kept yet: run it"

Figures = Mapping[str, Any]
Row = tuple[str, str, str]  # command, what was tried, figure


def read(reports: Path) -> dict[str, Figures]:
    """The figures that are kept. Raises ValueError for a file that holds none."""
    found = {}
    for name, command in SOURCES.items():
        path = reports / f"{name}.json"
        try:
            found[name] = json.loads(path.read_text("utf-8"))["figures"]
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{path} holds no figures ({error!r}); run: {command}") from error
    return found


def table(found: Mapping[str, Figures]) -> str:
    """All of them as one Markdown table. What was not run yet has a row that says so: a gap is no figure."""
    fuzz = found.get("fuzz", {})
    rows = [
        *_told("make truth", "lies told to the judge", _truth, found.get("truth")),
        *_told("make truth-clean", "clean scenarios run again and again", _clean, found.get("truth-clean")),
        *_told("make survival", "real runs killed anywhere", _survival, found.get("survival")),
        *_told("make fuzz", "malformed inputs", _inputs, fuzz.get("inputs")),
        *_told("make fuzz", "hostile HTTP streams through the gate", _streams, fuzz.get("gate")),
    ]
    lines = ["| command | what was tried | figure |", "| --- | --- | --- |"]
    lines += [f"| `{command}` | {what} | {figure} |" for command, what, figure in rows]
    pages = ", ".join(f"[{name}](reports/{name}.md)" for name in found)
    return "\n".join([*lines, "", f"The pages behind these figures: {pages}."] if pages else lines)


def _told(command: str, what: str, rows: Callable[[Figures], list[Row]], f: Figures | None) -> list[Row]:
    return [(command, what, MISSING)] if f is None else rows(f)


def _truth(f: Figures) -> list[Row]:
    lies = f"{f['recorded']} lies in recorded runs and {f['live']} told live"
    return [
        ("make truth", f"{lies}: named for what they are", f"{f['named']} of {f['mutants']}"),
        ("make truth", "of them taken for PASS", str(f["passed"])),
        ("make truth", "the same runs without a lie: PASS", f"{f['clean_passed']} of {f['clean']}"),
    ]


def _clean(f: Figures) -> list[Row]:
    again = f", {f['begun_again']} left by a busy machine and begun again" if f["begun_again"] else ""
    return [
        ("make truth-clean", f"runs of {f['scenarios']} clean scenarios: PASS{again}", f"{f['passed']} of {f['runs']}"),
        ("make truth-clean", "A/A pairs of the same scenario that were called different",
         f"{f['pairs_different']} of {f['pairs']}"),
        ("make truth-clean", "comparisons of all pairs of a scenario called different; with one side made 1.5 times as slow",
         f"{f['comparisons_different']} of {f['comparisons']}; {f['slowed_seen']} of {f['comparisons']}"),
    ]  # fmt: skip


def _survival(f: Figures) -> list[Row]:
    return [
        ("make survival", f"kills at instants from seed {f['seed']} that left nothing behind, nor hurt a bystander",
         f"{f['survived']} of {f['kills']}"),
        ("make survival", "seconds until nothing was left, by itself: median, worst",
         f"{f['clean_s_median']}, {f['clean_s_worst']}"),
        ("make survival", "the same with runner and watchdog killed both, after the next command: worst",
         str(f["cleaned_s_worst"])),
        ("make survival", "PASS although gate, load, Toxiproxy, watchdog or a runner of a suite was killed",
         str(f["passed_with_a_part_killed"])),
        ("make survival", "whole runs after a kill: PASS", f"{f['next_runs_passed']} of {f['next_runs']}"),
    ]  # fmt: skip


def _inputs(f: Figures) -> list[Row]:
    return [
        ("make fuzz", f"malformed inputs (seed {f['seed']}) that ended in a crash, a hang or an unnamed file",
         f"{f['failed']} of {f['cases']}"),
        ("make fuzz", "the slowest of them (a locustfile that never ends is given 30 s), and the largest", f"{f['slowest_s']} s, {f['largest_mb']} MB"),
    ]  # fmt: skip


def _streams(f: Figures) -> list[Row]:
    return [
        ("make fuzz", f"hostile HTTP streams through the gate (seed {f['seed']}) that were changed or mispaired",
         f"{f['wrong']} of {f['streams']}"),
        ("make fuzz", "growth of the gate's memory over them", f"{max(0.0, f['growth_mb'])} MB"),
    ]  # fmt: skip


def with_table(text: str, found: Mapping[str, Figures]) -> str:
    """A README with the table of these figures. Raises ValueError when it lacks the markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks the markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table(found)}\n{END}{after}"


def main() -> int:
    """0 when the table could be made; 2 when a file that should hold figures holds none."""
    parser = argparse.ArgumentParser(prog="python -m tests.figures", description=__doc__)
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    parser.add_argument("--reports", type=Path, default=ROOT / "reports")
    options = parser.parse_args()
    readme = ROOT / "README.md"
    try:
        found = read(options.reports)
        if options.readme:
            readme.write_text(with_table(readme.read_text("utf-8"), found), "utf-8")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
