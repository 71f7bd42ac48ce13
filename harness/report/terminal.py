"""
What a terminal shows of finished runs: verdict, promises, receipts, evidence; a table for a suite.

Every meaning is a word; colour only repeats it. Without a terminal, with NO_COLOR or in CI the
same tables come plain, without frames and wide enough for a log.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness import units
from harness.report import escape
from harness.report.wording import reason_beside_receipts
from harness.verdict import CheckResult, Receipt, RunVerdict, Verdict

PLAIN_WIDTH = 200
WIDE_ENOUGH = 120  # from here on, names and paths are never broken over lines
MOST_ROWS = 5
_LONGEST_CELL = 400
_UNBROKEN = {"scenario", "name", "path", "report", "key", "check", "of", "status", "seconds"}
_STYLES = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow", "ERROR": "bold red"}


def is_plain(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """True when nobody watches a terminal: a pipe, a file, CI, or a terminal that can only print."""
    return not stream.isatty() or bool(environment.get("CI")) or environment.get("TERM") == "dumb"


def console_on(stream: TextIO, *, plain: bool = False, environment: Mapping[str, str] = os.environ) -> Console:
    """A console on stream; plain: no colour, no frames, no cursor movement."""
    plain = plain or is_plain(stream, environment)
    columns = environment.get("COLUMNS", "")
    width = (int(columns) if columns.isdigit() and int(columns) else PLAIN_WIDTH) if plain else None
    return Console(
        file=stream,
        width=width,
        no_color=plain or bool(environment.get("NO_COLOR")),
        force_terminal=False if plain else None,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRow:
    """One scenario of a suite. got is a verdict, or ERROR when there is none."""

    scenario: str
    declared: str
    got: str
    as_declared: bool
    reason: str
    seconds: float
    report: Path | None


def show_run(console: Console, verdict: RunVerdict, report: Path | None = None) -> None:
    """Everything a person wants to see of one run, the verdict first."""
    console.print(_headline(verdict))
    console.print(_text(f"  {verdict.reason}"))
    console.print(_text(f"  {_declaration(verdict)}"))
    console.print()
    console.print(_checks(console, verdict.checks))
    if any(check.thin for check in verdict.checks):
        console.print(_text("thin: the interval of the measurement contains the bound; another run may end otherwise"))
    console.print()
    _show_receipts(console, without_quiet_observers(verdict.receipts))
    for check in verdict.checks:
        if check.verdict is not Verdict.PASS:
            _show_finding(console, check, verdict)
    if report is not None:
        console.print()
        console.print(_text(f"report: {report}"), soft_wrap=True)


def show_suite(console: Console, rows: Sequence[SuiteRow], index: Path | None = None) -> None:
    """One line a scenario, how many ended as they declare, and the page to open."""
    table = _table(console, "scenario", "declared", "got", "as declared", "seconds", "reason", "report")
    for row in rows:
        table.add_row(
            _text(row.scenario),
            _verdict_text(row.declared),
            _verdict_text(row.got),
            Text("yes") if row.as_declared else Text("NO", style=_STYLES["FAIL"]),
            _text(f"{row.seconds:.1f}"),
            _text(row.reason),
            _text(str(row.report) if row.report else "-"),
        )
    console.print(table)
    met = sum(row.as_declared for row in rows)
    console.print(_text(f"{met} of {len(rows)} scenarios ended as they declare"))
    if index is not None:
        console.print(_text(f"report: {index}"), soft_wrap=True)


def show_table(console: Console, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A plain table of anything."""
    table = _table(console, *header)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else _text(escape.value(cell)) for cell in row))
    console.print(table)


def _headline(verdict: RunVerdict) -> Text:
    line = _verdict_text(verdict.verdict.value)
    line.append_text(_text(f"  {verdict.scenario}", style="bold"))
    duration_s = verdict.facts.get("duration_s")
    if isinstance(duration_s, int | float):
        line.append_text(_text(f"  {units.show_duration(duration_s)}"))
    return line


def _declaration(verdict: RunVerdict) -> str:
    cause = f" because of {verdict.because}" if verdict.because else ""
    met = "as declared" if verdict.as_declared else "NOT as declared"
    return f"{met}: the scenario has to end in {verdict.declared.value}{cause}; run {verdict.run}"


def _checks(console: Console, checks: Sequence[CheckResult]) -> Table:
    table = _table(console, "check", "promise", "bound", "measured", "samples", "verdict")
    for check in checks:
        table.add_row(
            _text(check.check),
            _text(f"{check.title} ({check.window})"),
            _text(check.bound),
            _text(check.measured),
            _text(check.samples),
            _verdict_text(check.verdict.value, " (thin)" if check.thin else ""),
        )
    return table


def _show_receipts(console: Console, receipts: Sequence[Receipt]) -> None:
    """A table where there is room for one, else a sentence each."""
    if console.width >= WIDE_ENOUGH:
        rows = [(r.kind, r.subject, r.status, r.sentence, _verdict_text(r.verdict.value)) for r in receipts]
        show_table(console, ("receipt", "of", "status", "finding", "verdict"), rows)
        return
    console.print(_text("receipts", style="bold"))
    for receipt in receipts:
        line = _verdict_text(receipt.verdict.value)
        line.append_text(_text(f" {receipt.kind} {receipt.subject}: {receipt.status}, {receipt.sentence}"))
        console.print(line)


def without_quiet_observers(receipts: Sequence[Receipt]) -> list[Receipt]:
    """Observers that saw what they had to see, as one line; a system has dozens of them."""
    quiet = [r for r in receipts if r.kind == "observer" and r.verdict is Verdict.PASS]
    if len(quiet) < 2:
        return list(receipts)
    one = replace(
        quiet[0],
        subject=f"{len(quiet)} observers",
        status=", ".join(dict.fromkeys(r.status for r in quiet)),
        sentence="each of them in the report",
    )
    return [*(r for r in receipts if r not in quiet), one]


def _show_finding(console: Console, check: CheckResult, verdict: RunVerdict) -> None:
    console.print()
    line = _verdict_text(check.verdict.value)
    line.append_text(_text(f" {check.check}: {reason_beside_receipts(check, verdict.receipts)}", longest=None))
    console.print(line)
    if not check.evidence:
        return
    columns = list(check.evidence[0])
    rows = [[row.get(column) for column in columns] for row in check.evidence[:MOST_ROWS]]
    show_table(console, columns, rows)
    if (left := len(check.evidence) - len(rows)) > 0:
        console.print(_text(f"{left} more rows in the report"))


def _table(console: Console, *header: str) -> Table:
    plain = not console.is_terminal
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2 if plain else 1, 0, 0))
    for name in header:
        unbroken = name in _UNBROKEN and console.width >= WIDE_ENOUGH
        table.add_column(_text(name), overflow="fold", no_wrap=unbroken)
    return table


def _text(item: Any, style: str = "", longest: int | None = _LONGEST_CELL) -> Text:
    return Text(escape.one_line(item, longest), style=style)


def _verdict_text(word: str, behind: str = "") -> Text:
    """The word in its colour; what comes behind it has none."""
    return Text().append(escape.one_line(word), style=_STYLES.get(word, "")).append(behind)
