"""
What all kills came to: the table, the page, the JSON file and the figures for the README.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from .draws import BOTH, RUNNERS, SHARES
from .experiment import Row


def line(row: Row) -> str:
    """One kill for a terminal."""
    mark = "ok " if not row.problems else "BAD"
    clean = "-" if row.clean_s is None else f"{row.clean_s:.2f} s"
    text = (
        f"{mark} {row.number:3} {row.victim:19} {row.phase:10} at {row.at_s:6.2f} s of {'+'.join(row.scenarios):17}"
        f" clean after {clean:7} {row.undone or row.reason or '; '.join(row.journal)}"
    )
    return "\n      ".join([text[:250], *row.problems])


def figures(rows: Sequence[Row], *, seed: int, seconds: float) -> dict[str, Any]:
    """Numbers that say how it went; all seconds are of wall time."""
    by_itself = [row.clean_s for row in rows if row.clean_s is not None and row.victim != BOTH]
    cleaned = [row.clean_s for row in rows if row.clean_s is not None and row.victim == BOTH]
    noticed = [row.ended_s for row in rows if row.ended_s is not None]
    after = [row for row in rows if row.next_run]
    return {
        "kills": len(rows),
        "survived": sum(not row.problems for row in rows),
        "seed": seed,
        "victims": {victim: count for victim in SHARES if (count := sum(row.victim == victim for row in rows))},
        "phases": dict(Counter(row.phase for row in rows)),
        "late": sum(row.late for row in rows),
        "clean_s_median": _median(by_itself),
        "clean_s_worst": max(by_itself, default=None),
        "cleaned_s_worst": max(cleaned, default=None),
        "orphans": sum(row.left_before for row in rows),
        "runner_ended_s_median": _median(noticed),
        "runner_ended_s_worst": max(noticed, default=None),
        "passed_with_a_part_killed": sum(row.exit_code == 0 for row in rows if row.victim not in RUNNERS),
        "next_runs": len(after),
        "next_runs_passed": sum(row.next_run == "PASS" for row in after),
        "next_runs_kept_by_a_busy_machine": sum(row.next_run == "busy machine" for row in after),
        "seconds": round(seconds),
    }


def _median(values: Sequence[float]) -> float | None:
    return round(median(values), 2) if values else None


def table(rows: Sequence[Row]) -> str:
    """By victim: kills, survived, phases, seconds until clean."""
    lines = [
        "| victim | kills | survived | instants by phase | until clean, median | worst |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for victim in (*SHARES, "all"):
        chosen = [row for row in rows if victim in {row.victim, "all"}]
        if not chosen:
            continue
        spans = [row.clean_s for row in chosen if row.clean_s is not None]
        phases = ", ".join(f"{phase} {count}" for phase, count in Counter(row.phase for row in chosen).items())
        survived = sum(not row.problems for row in chosen)
        cells = (victim, len(chosen), survived, phases, f"{_median(spans)} s", f"{max(spans, default=None)} s")
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def summary(found: dict[str, Any]) -> str:
    """One sentence."""
    return (
        f"{found['survived']} of {found['kills']} kills left nothing behind (seed {found['seed']}): clean by itself"
        f" after {found['clean_s_median']} s in the median, {found['clean_s_worst']} s at worst;"
        f" {found['next_runs_passed']} of {found['next_runs']} runs after a kill passed."
    )


def page(rows: Sequence[Row], found: dict[str, Any]) -> str:
    """All of it as Markdown."""
    lines = [
        "# Killed anywhere: what is left of a run",
        "",
        "Written by `make survival`. Seconds until clean count from the kill; where a part was killed, from the end of",
        "the runner that noticed; where runner and watchdog were killed both, from the end of the next command.",
        "",
        summary(found),
        "",
        table(rows),
        "",
        "| | nr | victim | scenario | phase | at | until clean | exit | what was said | the journal |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        said = "; ".join([*row.problems, row.undone or row.reason])
        cells = (
            "**no**" if row.problems else "ok", row.number, row.victim, " + ".join(row.scenarios), row.phase,
            f"{row.at_s:.2f} s", f"{row.clean_s} s", row.exit_code, said, "; ".join(row.journal),
        )  # fmt: skip
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def document(rows: Sequence[Row], found: dict[str, Any]) -> str:
    """All of it for machines."""
    return json.dumps({"figures": found, "kills": [asdict(row) for row in rows]}, indent=1) + "\n"
