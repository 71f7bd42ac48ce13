"""
The history of runs: one row a run in a small SQLite file, and a scenario's SLIs over its last runs, drawn.

For trends that a person looks at. Whether one version is worse than another is not told from it: runs of different
days and machines differ by more than most changes do.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from harness.errors import InputError, SetUpError
from harness.slis import Row

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

    def last(self, scenario: str, count: int) -> list[Row]:
        """A scenario's last runs, oldest first."""
        sql = "SELECT row FROM runs WHERE scenario = ? ORDER BY started_s DESC LIMIT ?"
        found = self._ask(sql, (scenario, count))
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


# -- drawn -----------------------------------------------------------------------------------------------------


def sparkline(values: Sequence[float | None]) -> str:
    """Values as a row of blocks, the smallest lowest; a blank where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return " " * len(values)
    low, span = min(known), (max(known) - min(known)) or 1.0
    top = len(BLOCKS) - 1
    return "".join(" " if v is None else BLOCKS[round((v - low) / span * top)] for v in values)


def sparkline_svg(values: Sequence[float | None], *, title: str, width: int = 160, height: int = 28) -> str:
    """The same as an SVG that stands alone or inside a page; its colour is the text's own. Gaps stay gaps."""
    known = [value for value in values if value is not None]
    low = min(known, default=0.0)
    span = (max(known, default=0.0) - low) or 1.0
    step = (width - 4) / max(1, len(values) - 1)
    pieces: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{2 + place * step:.1f},{height - 2 - (value - low) / span * (height - 4):.1f}")
    lines = "".join(
        f'<polyline points="{" ".join(piece)}"/>' if len(piece) > 1 else _dot(piece[0]) for piece in pieces if piece
    )
    last = _dot(pieces[-1][-1]) if pieces[-1] else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" fill="none" stroke="currentColor" stroke-width="1.5"><title>{escape(title)}</title>'
        f"{lines}{last}</svg>"
    )


def _dot(point: str) -> str:
    x, y = point.split(",")
    return f'<circle cx="{x}" cy="{y}" r="1.5" fill="currentColor"/>'


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
