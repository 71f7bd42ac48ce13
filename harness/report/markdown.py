"""
report.md, for pull requests and step summaries: the verdict first, what was promised and measured, what did not hold;
everything else folded away. The page to look at is report.html.

Reads the verdict and the journal; decides nothing. Whatever came from outside is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from harness import units
from harness.journal.columns import RequestColumns
from harness.journal.reader import JournalReader
from harness.report import escape, figures
from harness.report.wording import reason_beside_receipts
from harness.verdict import CheckResult, RunVerdict, Verdict

FILE_NAME = "report.md"
MOST_EVENTS = 500
MOST_ROWS = 50


def report_markdown(
    verdict: RunVerdict, reader: JournalReader, columns: Mapping[str, RequestColumns] | None = None
) -> str:
    """
    The whole report as Markdown, ready to be put into a pull request. columns: all requests, where they were read
    already.
    """
    parts = [
        _head(verdict),
        _promises(verdict.checks),
        *(_finding(check, verdict) for check in verdict.checks if check.verdict is not Verdict.PASS),
        _receipts(verdict),
        _phases(figures.phases(reader, columns)),
        _timeline(reader),
        _environment(verdict, reader),
        _scenario(reader),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(verdict: RunVerdict) -> str:
    title = f"# {verdict.verdict.value}: {escape.markdown(verdict.scenario)}"
    return "\n\n".join((title, escape.markdown(verdict.reason), f"{declaration(verdict)}"))


def declaration(verdict: RunVerdict) -> str:
    """How the run ended against what its scenario declares, in one escaped sentence."""
    cause = f" because of {escape.markdown(verdict.because)}" if verdict.because else ""
    met = "and so it did" if verdict.as_declared else "and it did **not**"
    run = escape.markdown(verdict.run)
    return f"The scenario declares that it ends in {verdict.declared.value}{cause}, {met}. Run {run}."


def _promises(checks: Sequence[CheckResult]) -> str:
    rows = [
        (
            check.verdict.value + (" (thin)" if check.thin else ""),
            check.title if check.window in check.title else f"{check.title} ({check.window})",
            check.bound,
            check.measured,
            str(check.samples),
        )
        for check in checks
    ]
    header = ("verdict", "promise", "promised", "measured", "samples")
    table = _table(header, rows) if rows else "No promise was judged."
    thin = any(check.thin for check in checks)
    note = (
        "\n\nThin: the interval of the measurement contains the bound; another run may end otherwise." if thin else ""
    )
    return f"{table}{note}"


def _finding(check: CheckResult, verdict: RunVerdict) -> str:
    title = f"### {check.verdict.value}: {escape.markdown(check.check)}, {escape.markdown(check.title)}"
    text = f"{title}\n\n{escape.markdown(reason_beside_receipts(check, verdict.receipts))}"
    if not check.evidence:
        return text
    rows = check.evidence[:MOST_ROWS]
    columns = list(rows[0])
    table = _table(columns, [[escape.value(row.get(column)) for column in columns] for row in rows])
    left = len(check.evidence) - len(rows)
    more = f"\n\n{left} more in verdict.json." if left else ""
    return f"{text}\n\n{_folded(f'Evidence, rows: {len(rows)}', table + more)}"


def _receipts(verdict: RunVerdict) -> str:
    """Receipts that are missing or unclear, each in a line; all of them, with their numbers, folded."""
    if not verdict.receipts:
        return "No receipts: nothing proves that the faults and the load really happened."
    missing = [
        f"**{r.verdict.value}**: {escape.markdown(r.name)}, {escape.markdown(r.status)}: {escape.markdown(r.sentence)}"
        for r in verdict.receipts
        if r.verdict is not Verdict.PASS
    ]
    rows = [(r.kind, r.subject, r.status, r.sentence, r.verdict.value) for r in verdict.receipts]
    numbers = [(r.name, name, escape.value(item)) for r in verdict.receipts for name, item in r.numbers.items()]
    tables = [_table(("of", "which", "status", "finding", "verdict"), rows)]
    tables += [_table(("receipt", "number", "value"), numbers)] if numbers else []
    there = len(rows) - len(missing)
    folded = _folded(f"Receipts: {there} of {len(rows)} there", "\n\n".join(tables))
    return "\n\n".join([*missing, folded])


def _phases(found: Sequence[figures.PhaseFigures]) -> str:
    if not found:
        return ""
    rows = [
        (
            phase.name,
            phase.kind,
            f"{phase.start_s:.1f} to {phase.end_s:.1f} s",
            str(phase.intended),
            str(phase.dropped),
            str(phase.good),
            f"{phase.good_per_s:.1f}/s",
            _duration(phase.p50_s),
            _duration(phase.p99_s),
        )
        for phase in found
    ]
    header = ("phase", "kind", "when", "intended", "dropped", "good", "good rate", "p50", "p99")
    note = "Latencies are those of good answers, from the intended instant."
    return _folded(f"What the load saw, phases: {len(rows)}", f"{_table(header, rows)}\n\n{note}")


def _timeline(reader: JournalReader) -> str:
    found = figures.happenings(reader)
    if not found:
        return ""
    rows = [(f"{event.at_s:.3f}", event.kind, event.subject, _pairs(event.data)) for event in found[:MOST_EVENTS]]
    left = len(found) - len(rows)
    more = f"\n\n{left} more in the journal, table `events`." if left else ""
    table = _table(("second", "event", "of", "with"), rows)
    return _folded(f"Timeline, events: {len(found)}", table + more)


def _environment(verdict: RunVerdict, reader: JournalReader) -> str:
    rows: list[tuple[str, str]] = []
    for name in ("scenario_file", "system", "seed", "commit", "versions", "machine", "how"):
        item = reader.facts.get(name)
        if isinstance(item, dict) and name != "system":
            rows += [(f"{name}: {key}", escape.value(part)) for key, part in item.items()]
        elif item is not None and not isinstance(item, dict):
            rows.append((name, escape.value(item)))
    rows += [(name, escape.value(item)) for name, item in verdict.facts.items() if name not in reader.facts]
    return _folded("Environment", _table(("fact", "value"), rows)) if rows else ""


def _scenario(reader: JournalReader) -> str:
    text = reader.facts.get("scenario_text")
    return _folded("The scenario as it ran", escape.markdown_block(text, "yaml")) if isinstance(text, str) else ""


def _folded(summary: str, body: str) -> str:
    return f"<details><summary>{escape.markdown(summary)}</summary>\n\n{body}\n\n</details>"


def _table(header: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are text; not padded, for a sentence in one row would widen all of them."""
    cells = [[escape.markdown(cell) for cell in row] for row in rows]
    names = [escape.markdown(name) for name in header]
    return tabulate(cells, names, tablefmt="github", disable_numparse=True, stralign=None, preserve_whitespace=True)


def _pairs(data: dict[str, Any]) -> str:
    shown = {key: item if isinstance(item, str) else json.dumps(item) for key, item in data.items()}
    return ", ".join(f"{key} {item}" for key, item in shown.items())


def _duration(span_s: float | None) -> str:
    return "-" if span_s is None else units.show_duration(span_s)
