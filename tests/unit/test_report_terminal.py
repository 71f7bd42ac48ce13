"""What a terminal, a log and a live view show."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from report_samples import check, nasty_verdict, receipt, run_verdict

from harness.progress import Progress
from harness.report.live import LINE_EVERY_S, PanelView, PlainView, open_view, plain_line
from harness.report.terminal import SuiteRow, console_on, is_plain, show_run, show_suite
from harness.verdict import RunVerdict, Verdict


class Screen(io.StringIO):
    """A terminal that remembers what was sent to it."""

    def isatty(self) -> bool:
        return True


def shown(verdict: RunVerdict, stream: io.StringIO | None = None, **environment: str) -> str:
    stream = stream or io.StringIO()
    show_run(console_on(stream, environment=environment), verdict, Path("reports/x/report.md"))
    return stream.getvalue()


PROGRESS = Progress(
    scenario="payment-slow", phase="slow", elapsed_s=4.0, total_s=15.0, seconds_left=5.0, offered_per_s=40.0,
    served_per_s=39.5, error_ratio=0.0125, breakers={"order->payment": "OPEN"}, faults_on=("slow-payment",),
)  # fmt: skip


def test_a_log_gets_text_without_control_sequences() -> None:
    """Without a terminal the output holds printable lines alone."""
    assert "\x1b" not in shown(run_verdict(check(Verdict.FAIL)))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, False), ({"CI": "true"}, True), ({"TERM": "dumb"}, True), ({"CI": ""}, False)],
)
def test_nobody_watches_in_ci(environment: dict[str, str], expected: bool) -> None:
    """A terminal is watched unless CI is set or it cannot move its cursor."""
    assert expected is is_plain(Screen(), environment)


def test_no_color_means_no_colour() -> None:
    """NO_COLOR is obeyed on a terminal; weight and frames may stay."""
    text = shown(run_verdict(check(Verdict.FAIL)), Screen(), NO_COLOR="1")

    assert not [code for code in ("\x1b[31m", "\x1b[1;31m", "\x1b[32m") if code in text]


def test_the_meaning_is_in_words() -> None:
    """Verdict, bound, measured value, samples, reason, evidence and receipt are readable without colour."""
    text = shown(run_verdict(check(Verdict.FAIL)))

    for word in (
        "FAIL",
        "at least 99 %",
        "98.75 %",
        "240",
        "237 of 240",
        "2012",
        "APPLIED",
        "(thin)",
        "NOT as declared",
    ):
        assert word in text


def test_hostile_text_cannot_reach_the_terminal() -> None:
    """No control character of the system under test is passed on, and rich's markup is not obeyed."""
    text = shown(nasty_verdict())
    markup = shown(run_verdict(check(), reason="[red]x[/red]"))

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[red]x[/red]" in markup


def test_what_a_receipt_says_is_said_once() -> None:
    """One missing receipt that makes ten checks inconclusive is told in full in one place."""
    missing = receipt(Verdict.INCONCLUSIVE, kind="load", status="INVALID", sentence="the load came 12 ms late")
    reason = "not earned: load INVALID: the load came 12 ms late (otherwise PASS: 100 %)"
    checks = [check(Verdict.INCONCLUSIVE, reason=reason, evidence=()) for _ in range(3)]
    text = shown(run_verdict(*checks, receipts=(missing,)))

    assert text.count("the load came 12 ms late") == 1
    assert text.count("not earned: load INVALID: see its receipt (otherwise PASS: 100 %)") == 3


def test_observers_that_saw_enough_are_one_line() -> None:
    """A dozen quiet observers do not push the rest off the screen; one that fell silent is named."""
    quiet = [receipt(kind="observer", subject=f"observer-{n}", status="STEADY") for n in range(12)]
    silent = receipt(Verdict.INCONCLUSIVE, kind="observer", subject="observer-x", status="SILENT")
    text = shown(run_verdict(check(), receipts=(*quiet, silent)))

    assert "12 observers" in text
    assert "observer-x" in text
    assert "observer-3" not in text


def test_a_narrow_terminal_gets_sentences() -> None:
    """Where five columns would be a word wide, a receipt is a sentence."""
    text = shown(run_verdict(check()), COLUMNS="80")

    assert "PASS fault slow-payment: APPLIED, 240 requests crossed" in text
    assert max(len(line) for line in text.splitlines() if "report:" not in line) <= 80


def test_a_suite_is_a_line_a_scenario() -> None:
    """Scenario, declared, got, seconds, reason and report, and how many ended as they declare."""
    rows = [
        SuiteRow(
            scenario="a", declared="PASS", got="PASS", as_declared=True, reason="fine", seconds=12.34, report=None
        ),
        SuiteRow(
            scenario="b",
            declared="FAIL (retries)",
            got="PASS",
            as_declared=False,
            reason="no",
            seconds=9,
            report=Path("r"),
        ),
    ]
    stream = io.StringIO()
    show_suite(console_on(stream, environment={}), rows)

    assert "1 of 2 scenarios ended as they declare" in stream.getvalue()
    assert "12.3" in stream.getvalue()
    assert stream.getvalue().count("\n") == 4


def test_a_plain_line_says_all_there_is() -> None:
    """One line holds phase, time left, rates, errors, faults and breakers."""
    assert plain_line(PROGRESS) == (
        "[4.0 of 15.0 s] payment-slow: slow, 5.0 s left; served 39.5/s of 40/s; errors 1.25 %; "
        "faults slow-payment; breakers order->payment OPEN"
    )


def test_what_is_not_known_yet_is_a_question_mark() -> None:
    """Before the first answers no rate is made up."""
    line = plain_line(Progress(scenario="a", phase="steady", elapsed_s=0.0, total_s=9.0))

    assert line == "[0.0 of 9.0 s] a: steady; served ?/s of ?/s; errors ?; faults none"


def test_plain_lines_come_seldom_and_at_every_change() -> None:
    """The same state is told again after some seconds; a new one at once."""
    now_s = [0.0]
    stream = io.StringIO()
    view = PlainView(stream, now_s=lambda: now_s[0])
    changed = Progress(scenario="payment-slow", phase="recovery", elapsed_s=5.0, total_s=15.0)
    counts = []
    for wait_s, progress in ((0, PROGRESS), (0.5, PROGRESS), (LINE_EVERY_S, PROGRESS), (0.1, changed)):
        now_s[0] += wait_s
        view.progress(progress)
        counts.append(stream.getvalue().count("\n"))

    assert counts == [1, 1, 2, 3]


def test_a_panel_is_drawn_over_and_leaves_the_screen() -> None:
    """On a terminal the panel shows the same, lines that are said stay, and closing twice is fine."""
    stream = Screen()
    console = console_on(stream, environment={"TERM": "xterm"})
    with PanelView(stream, now_s=lambda: 0.0, console=console) as view:
        view.progress(PROGRESS)
        view.say("payment is ready\x1b[2J")
        view.close()
    text = stream.getvalue()

    assert "order->payment OPEN" in text
    assert "payment is ready\\x1b[2J" in text


def test_a_view_whose_reader_is_gone_falls_silent() -> None:
    """A closed pipe must not end a run."""
    stream = io.StringIO()
    view = PlainView(stream)
    stream.close()

    view.say("nobody hears this")
    view.progress(PROGRESS)


def test_the_view_fits_the_stream() -> None:
    """No panel without a terminal, and none when plain lines were asked for."""
    assert isinstance(open_view(stream=io.StringIO()), PlainView)
    assert isinstance(open_view(stream=Screen(), plain=True), PlainView)
