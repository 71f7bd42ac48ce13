"""
What people see in a terminal of a living system: one panel made of its status.

Every meaning is a word; colour only repeats it. What came from outside is made harmless first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from harness.report.escape import one_line
from harness.units import show_share

MOST_EVENTS = 10


def panel(status: Mapping[str, Any], below: Iterable[RenderableType] = ()) -> Panel:
    """The status as a panel; below: further lines under it."""
    parts: list[RenderableType] = [Text(headline(status))]
    if status["aborted"]:
        parts.append(
            Text(one_line(f"ABORTED at {status['aborted']['at_s']} s: {status['aborted']['why']}"), "bold red")
        )
    parts += [_table(("requests, last 5 s", "per s", "good", "p50", "p99"), _requests(status))]
    if status["slos"]:
        parts.append(_table(("objective", "good", "promised", "budget left"), _slos(status)))
    parts += [Text(one_line(f"faults on   {faults_line(status)}"), "red" if status["faults"] else "")]
    if status["breakers"]:
        parts.append(Text(one_line(f"breakers    {', '.join(f'{n} {s}' for n, s in status['breakers'].items())}")))
    parts.append(
        _table(("at", "last events"), [(f"{e['at_s']:.1f} s", told(e)) for e in status["events"][-MOST_EVENTS:]])
    )
    title = Text(one_line(f"{status['name']} on {status['system']}"))
    return Panel(Group(*parts, *below), title=title, title_align="left")


def headline(status: Mapping[str, Any]) -> str:
    """Where it stands, in one line."""
    return one_line(
        f"{status['elapsed_s']:.0f} s, {status['phase']}; "
        f"{status['served_per_s']:g}/s served well of {status['finished_per_s']:g}/s"
    )


def faults_line(status: Mapping[str, Any]) -> str:
    """What is on, and for how much longer."""
    on = [f"{f['name']} ({f['what']}, {max(0.0, f['left_s']):.0f} s left)" for f in status["faults"]]
    return ", ".join(on) or "none"


def told(event: Mapping[str, Any]) -> str:
    """One event in a line for people."""
    kind, subject, data = event["kind"], event["subject"], event["data"]
    text = {
        "note": f"{subject}: {data.get('text', '')}",
        "abort": f"aborted by {subject}: {data.get('why', '')}",
        "person.injected": f"{data.get('by')} injected {subject}: {data.get('what')}",
        "person.healed": f"{data.get('by')} healed {subject}",
        "step.prompted": f"{data.get('role')} is asked: {data.get('prompt', '')}",
        "step.done": f"{data.get('by')} did {subject}",
        "step.skipped": f"{data.get('by')} skipped {subject}",
        "step.missed": f"nobody did {subject} in time",
    }.get(kind, f"{kind} {subject}")
    return one_line(text, 200)


def _requests(status: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (one_line(r["name"]), f"{r['per_s']:g}", show_share(r["good"]), _ms(r["p50_ms"]), _ms(r["p99_ms"]))
        for r in status["requests"]
    ]


def _slos(status: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            one_line(s["name"]), show_share(s["good"]), show_share(s["target"]),
            show_share(s["budget_left"]) if s["budget_left"] >= 0 else f"overspent {show_share(-s['budget_left'])}",
        )
        for s in status["slos"]
    ]  # fmt: skip


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:g} ms"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place and len(heads) > 2 else "left", no_wrap=len(heads) > 2)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
