"""What people see of a living system: every meaning a word, nothing from outside taken for more than text."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness.cli.watch import _Lines
from harness.drill.keys import Typing
from harness.drill.screens import PanelScreen, PlainScreen
from harness.live.panel import panel, told

STATUS = {
    "run": "run-1", "name": "outage", "system": "shop", "elapsed_s": 42.3, "phase": "notice", "aborted": None,
    "step": {"name": "notice", "role": "on-call", "prompt": "Name the link.", "left_s": 31.0},
    "faults": [{"name": "slow", "what": "latency 2000 ms on order->payment", "since_s": 4.0, "left_s": 17.6}],
    "requests": [{"name": "POST /orders", "per_s": 18.3, "good": 0.972, "p50_ms": 30.2, "p99_ms": None}],
    "served_per_s": 17.8, "finished_per_s": 18.3,
    "slos": [{"name": "orders-available", "of": "POST /orders", "target": 0.99, "samples": 700, "good": 0.98,
              "budget_left": -1.0}],
    "breakers": {"order->payment": "OPEN"},
    "events": [
        {"number": 1, "at_s": 4.0, "kind": "fault.injected", "subject": "slow", "data": {}},
        {"number": 2, "at_s": 4.0, "kind": "note", "subject": "ana", "data": {"text": "\x1b[2Jwho? [bold]x"}},
    ],
}  # fmt: skip


def drawn(status):
    out = io.StringIO()
    Console(file=out, width=140, markup=False).print(panel(status))
    return out.getvalue()


def test_the_panel_shows_what_matters():
    """Rates, shares, budgets, faults with the time left, breakers, the last events."""
    text = drawn(STATUS)

    for part in (
        "outage on shop", "17.8/s served well of 18.3/s", "97.2 %", "30.2 ms", "overspent 100 %", "order->payment OPEN",
        "slow (latency 2000 ms on order->payment, 18 s left)", "fault.injected slow",
    ):  # fmt: skip
        assert part in text, part


def test_nobodys_words_move_the_cursor():
    """What people and systems wrote is text: no escape sequence, no markup."""
    text = drawn(STATUS)

    assert "\x1b[2J" not in text
    assert "\\x1b[2Jwho? [bold]x" in text


def test_an_abort_is_told_first():
    """Whoever looks up sees that everything was healed, and why."""
    assert "ABORTED at 9 s: enough" in drawn({**STATUS, "aborted": {"how": "person", "why": "enough", "at_s": 9}})


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("step.prompted", {"role": "on-call", "prompt": "Look."}, "on-call is asked: Look."),
        ("step.missed", {}, "nobody did slow in time"),
        ("person.injected", {"by": "ana", "what": "slow link"}, "ana injected slow: slow link"),
        ("abort", {"why": "enough"}, "aborted by slow: enough"),
        ("service.exited", {}, "service.exited slow"),
    ],
)
def test_events_are_told_in_words(kind, data, text):
    """One line each."""
    assert text == told({"kind": kind, "subject": "slow", "data": data})


def test_plain_lines_tell_each_event_once(capsys):
    """Two events of one instant are two lines, and none comes again."""
    out = io.StringIO()
    screen, lines = PlainScreen(out), _Lines()
    for _ in range(2):
        screen.show(STATUS)
        lines.show(STATUS)

    for text in (out.getvalue(), capsys.readouterr().out):
        assert text.count("fault.injected slow") == 1
        assert text.count("ana: ") == 1


def test_the_screen_of_a_drill_asks_and_shows_the_note_being_typed():
    """What is asked of whom, how long is left, the keys; while a note is typed, the note."""
    out, typing = io.StringIO(), Typing()
    with PanelScreen(out, typing) as screen:
        parts = [str(part) for part in screen._below(STATUS)]
        typing.feed("nhm")
        noted = [str(part) for part in screen._below({**STATUS, "step": None})]
        screen.say("on: latency")

    assert parts[1:] == ["on-call: Name the link.", "notice: 31 s left", "d done   s skip   n note   a abort"]
    assert noted == ["note: hm_ (Enter writes it, Esc leaves it)"]
    assert out.getvalue() == "on: latency\n"
