"""
The history of runs: one row a run in a small SQLite file, and a scenario's SLIs over its last runs, drawn.

For trends that a person looks at. Whether one version is worse than another is not told from it: runs of different
days and machines differ by more than most changes do.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, InputError, SetUpError
from harness.report.html.past import Past, PastRun, Trend
from harness.slis import Row, read_row
from harness.verdict import RunVerdict

FILE_NAME = "history.sqlite"
BLOCKS = "▁▂▃▄▅▆▇█"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
  run       TEXT PRIMARY KEY,   -- the run's id
  scenario  TEXT NOT NULL,
  started_s REAL NOT NULL,      -- seconds since 1970
  verdict   TEXT NOT NULL,
  row       TEXT NOT NULL       -- JSON, harness/slis.py
);
CREATE INDEX IF NOT EXISTS runs_of_a_scenario ON runs (scenario, started_s);
"""
_WAIT_S = 10.0
SHOWN = 20  # runs in a report


class History:
    """A history file. Raises InputError when it is something else, SetUpError when it cannot be made."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._ask("SELECT count(*) FROM sqlite_master")

    def add(self, rows: Iterable[Row]) -> int:
        """Keep rows; a run that is there is replaced. Returns how many are new."""
        before = self._count()
        kept = [(r.run, r.scenario, r.started_s, r.verdict, json.dumps(r.to_json())) for r in rows]
        with closing(self._open()) as db, db:
            db.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)", kept)
        return self._count() - before

    def known(self) -> set[str]:
        """The runs that are kept."""
        return {str(run) for (run,) in self._ask("SELECT run FROM runs")}

    def scenarios(self) -> list[str]:
        return [str(name) for (name,) in self._ask("SELECT DISTINCT scenario FROM runs ORDER BY scenario")]

    def last(self, scenario: str, count: int, until_s: float = math.inf) -> list[Row]:
        """A scenario's last runs, oldest first. until_s: those that began by then, seconds since 1970."""
        sql = "SELECT row FROM runs WHERE scenario = ? AND started_s <= ? ORDER BY started_s DESC LIMIT ?"
        found = self._ask(sql, (scenario, until_s, count))
        try:
            return [Row.from_json(json.loads(text)) for (text,) in reversed(found)]
        except (ValueError, TypeError) as error:
            raise InputError(f"{self.file}: damaged: a row of {scenario} cannot be read") from error

    def _count(self) -> int:
        return int(self._ask("SELECT count(*) FROM runs")[0][0])

    def _ask(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        try:
            with closing(self._open()) as db:
                return db.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise InputError(f"{self.file}: not a history of this program: {error}") from error

    def _open(self) -> sqlite3.Connection:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600))  # reasons of verdicts are its owner's business
            db = sqlite3.connect(self.file, timeout=_WAIT_S)
        except (sqlite3.OperationalError, OSError) as error:
            raise SetUpError(f"{self.file}: cannot be opened: {error}") from error
        db.executescript(_SCHEMA)
        return db


# -- in a report -----------------------------------------------------------------------------------------------


def past_of(file: Path, run_dir: Path, verdict: RunVerdict, *, keep: bool) -> Past | None:
    """
    What a history tells of a run's scenario up to that run, for its report; None where no history is kept, or nothing
    but this run is in it. keep: its row is added. A history that cannot be used is told in the report and spoils nothing.
    """
    if not file.is_file():
        return None
    try:
        history, own = History(file), read_row(run_dir, verdict)
        if keep:
            history.add([own])
        before = [row for row in history.last(own.scenario, SHOWN, own.started_s) if row.run != own.run]
    except HarnessError as error:
        return Past(problem=str(error))
    return _past([*before[1 - SHOWN :], own]) if before else None


def _past(rows: Sequence[Row]) -> Past:
    """The last of the rows is the run that the report is about."""
    runs = [PastRun(run=r.run, verdict=r.verdict, when=_when(r), own=r is rows[-1]) for r in rows]
    values = series(rows)
    trends = {
        name: [
            Trend(sli=sli, values=values[f"{sli} of {name}"], unit="%" if sli == "availability" else "ms")
            for sli in ("p50", "p95", "availability")
        ]
        for name in sorted({name for row in rows for name in row.slis})
    }
    return Past(runs=runs, trends=trends)


# -- drawn -----------------------------------------------------------------------------------------------------


def sparkline(values: Sequence[float | None]) -> str:
    """Values as a row of blocks, the smallest lowest; a blank where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return " " * len(values)
    low, span = min(known), (max(known) - min(known)) or 1.0
    top = len(BLOCKS) - 1
    return "".join(" " if v is None else BLOCKS[round((v - low) / span * top)] for v in values)


def series(rows: Sequence[Row]) -> dict[str, list[float | None]]:
    """`p95 of POST /orders` -> its value in each run; ms, or percent of good requests."""
    names = sorted({name for row in rows for name in row.slis})
    found: dict[str, list[float | None]] = {}
    for name in names:
        slis = [row.slis.get(name) for row in rows]
        found[f"p50 of {name}"] = [sli.p50_ms if sli else None for sli in slis]
        found[f"p95 of {name}"] = [sli.p95_ms if sli else None for sli in slis]
        shares = [sli.bad_share if sli else None for sli in slis]
        found[f"availability of {name}"] = [None if share is None else 100 * (1 - share) for share in shares]
    return found


def text(scenario: str, rows: Sequence[Row]) -> str:
    """A scenario's last runs for a terminal: verdicts, then each SLI with its newest value."""
    lines = [f"{scenario}: {len(rows)} runs, {_when(rows[0])} to {_when(rows[-1])}"]
    found = series(rows)
    width = max(map(len, found), default=0)
    lines.append(f"  {'verdicts':<{width}}  {''.join(_LETTERS.get(row.verdict, '?') for row in rows)}")
    lines += [f"  {name:<{width}}  {sparkline(values)}  {_newest(name, values)}" for name, values in found.items()]
    return "\n".join(lines)


def markdown_text(scenario: str, rows: Sequence[Row]) -> str:
    """The same as Markdown, for a report or a step summary."""
    from harness.report.escape import markdown

    verdicts = "".join(_LETTERS.get(row.verdict, "?") for row in rows)
    head = f"### {markdown(scenario)}: the last {len(rows)} runs\n\nverdicts, oldest first: `{verdicts}`"
    table = ["| SLI | | newest | lowest | highest |", "| --- | --- | --- | --- | --- |"]
    for name, values in series(rows).items():
        known = [value for value in values if value is not None]
        if known:
            ends = " | ".join(_shown(name, value) for value in (min(known), max(known)))
            table.append(f"| {markdown(name)} | `{sparkline(values)}` | {_newest(name, values)} | {ends} |")
    return "\n\n".join([head, "\n".join(table)]) + "\n"


_LETTERS = {"PASS": "P", "FAIL": "F", "INCONCLUSIVE": "?"}


def _when(row: Row) -> str:
    return f"{datetime.fromtimestamp(row.started_s, UTC):%Y-%m-%d %H:%M}"


def _newest(name: str, values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return _shown(name, known[-1]) if known else "never measured"


def _shown(name: str, value: float) -> str:
    return f"{value:.2f} %" if name.startswith("availability") else f"{value:.1f} ms"
