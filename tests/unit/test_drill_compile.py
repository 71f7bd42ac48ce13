"""What happened becomes a drill, and the drill of its replay is the same text."""

from __future__ import annotations

import sqlite3

import pytest
from drill_samples import RECORDED, compiled, drill, played

from harness.drill.compile import compile_run
from harness.drill.diff import difference
from harness.drill.history import read_history
from harness.drill.outcome import outcome_of
from harness.drill.report import report_text
from harness.errors import EXIT_WRONG_INPUT, InputError
from harness.journal import FILE_NAME
from harness.journal.reader import JournalReader
from harness.judge import judge
from harness.report import write_reports
from harness.slis import read_row
from harness.verdict import Verdict


def test_compile_and_replay_come_to_rest(tmp_path):
    """A compiled run, replayed and compiled again, is the same text: every line, every instant, every hand."""
    first = played(drill(tmp_path, RECORDED)).write(tmp_path / "first")
    one = compiled(first, tmp_path)
    second = played(drill(tmp_path, one), late_s=0.019).write(tmp_path / "second")
    two = compiled(second, tmp_path)

    assert one == two
    for part in (
        "by: ana, healed_by: ben",
        "note: 'who is paged?'",
        "answer: {said: done, at: 5s, by: ana}",
        "for: 6s",
    ):
        assert part in one


def test_a_journal_of_another_version_is_wrong_input(tmp_path):
    """It says which version it is and which is read."""
    run = played(drill(tmp_path, RECORDED)).write(tmp_path / "run")
    db = sqlite3.connect(run / FILE_NAME)
    db.execute("UPDATE run SET value = '99' WHERE key = 'format'")
    db.commit()
    db.close()

    with pytest.raises(InputError, match="journal format 99, this version reads") as caught:
        compile_run(run)
    assert caught.value.exit_code == EXIT_WRONG_INPUT


@pytest.mark.parametrize("wrong", ['{"declared_s": "soon"}', '{"declared_s": 1}', '{"declared_s": null, "text": 7}'])
def test_a_damaged_journal_is_wrong_input(tmp_path, wrong):
    """What no run of ours can have written is told as that, and is no bug."""
    run = played(drill(tmp_path, RECORDED)).write(tmp_path / "run")
    db = sqlite3.connect(run / FILE_NAME)
    db.execute("UPDATE events SET data = ? WHERE kind IN ('note', 'step.prompted', 'step.done')", (wrong,))
    db.commit()
    db.close()

    for read in (compile_run, read_history):
        with pytest.raises(InputError, match="damaged"):
            read(run)


def outcome(run_dir):
    return outcome_of(run_dir, judge(run_dir))


WITH_OBJECTIVES = RECORDED.replace(
    "load:", "objectives: {incident: slow, detection: 2s, rto: 10s, rpo: {ledger: orders, at_most: 0s}}\nload:"
)


def test_objectives_are_measured_from_the_incident(tmp_path):
    """Detection by the step that marks it, recovery by the objectives of the system; what is not known is said."""
    found = outcome(played(drill(tmp_path, WITH_OBJECTIVES)).write(tmp_path / "run"))

    words = {met.name: met.word for met in found.objectives}
    assert words == {"detection": "met", "RTO": "met", "RPO": "UNKNOWN"}
    assert found.objectives[0].measured_s == pytest.approx(2.0, abs=0.01)
    assert found.verdict is Verdict.INCONCLUSIVE


def hurt(number):
    """Orders fail from 3 s to 8 s."""
    return {"error": "status 503", "status": 503} if number % 2 == 0 and 3 <= number / 40 < 8 else {}


def test_the_time_to_recover_is_until_objectives_hold_again(tmp_path):
    """Measured, and missed when it took longer than was wanted."""
    text = WITH_OBJECTIVES.replace("rto: 10s", "rto: 4s")
    found = outcome(played(drill(tmp_path, text), spoil=hurt).write(tmp_path / "run"))

    rto = next(met for met in found.objectives if met.name == "RTO")
    assert (rto.word, found.verdict) == ("MISSED", Verdict.FAIL)
    assert rto.measured_s == pytest.approx(5.0, abs=0.3)


def test_a_detection_nobody_made_is_missed(tmp_path):
    """A step that was skipped shows nothing."""
    text = WITH_OBJECTIVES.replace("said: done", "said: skipped")
    found = outcome(played(drill(tmp_path, text)).write(tmp_path / "run"))

    assert next(met for met in found.objectives if met.name == "detection").word == "MISSED"


def test_a_detection_that_was_broken_off_is_not_known(tmp_path):
    """Whoever still had time when the drill was broken off has missed nothing."""
    text = WITH_OBJECTIVES.replace("said: done", "said: aborted").replace(
        "{at: 4s, note: 'who is paged?', by: ben}", "{at: 4s, abort: {how: person, why: enough, by: ben}}"
    )
    found = outcome(played(drill(tmp_path, text)).write(tmp_path / "run"))

    assert next(met for met in found.objectives if met.name == "detection").word == "UNKNOWN"
    assert found.verdict is Verdict.INCONCLUSIVE


def test_the_report_is_a_post_mortem(tmp_path):
    """Timeline with people's words, objectives, promises, what broke, open questions: nothing of it moves the page."""
    text = WITH_OBJECTIVES.replace("who is paged?", "who | is <b>paged?")
    found = outcome(played(drill(tmp_path, text), spoil=hurt).write(tmp_path / "run"))
    report = report_text(found)

    assert "# Drill payment-slow: FAIL" in report
    for part in ("## Objectives", "## Timeline", "**on**: latency 200 ms", "did notice, after 1.50 s", "## What broke"):
        assert part in report
    assert "who \\| is &lt;b>paged?" in report
    assert any("who | is <b>paged?" in question for question in found.questions)


def test_an_abort_decides(tmp_path):
    """A floor that gave way is a fail, a person who broke it off leaves it open."""
    for how, verdict in (("floor", Verdict.FAIL), ("person", Verdict.INCONCLUSIVE)):
        text = RECORDED.replace(
            "{at: 4s, note: 'who is paged?', by: ben}", f"{{at: 4s, abort: {{how: {how}, why: enough, by: ben}}}}"
        )
        found = outcome(played(drill(tmp_path, text)).write(tmp_path / how))
        assert (found.verdict, found.reason) == (verdict, "broken off at 4.0 s: enough")


def test_the_page_of_a_run_shows_what_people_did(tmp_path):
    """Steps, hands and aborts stand on the time axis beside the notes, however few of them there are."""
    aborted = "{at: 4s, abort: {how: person, why: enough, by: ben}}"
    text = RECORDED.replace("{at: 4s, note: 'who is paged?', by: ben}", aborted)
    run = played(drill(tmp_path, text)).write(tmp_path / "run")
    with JournalReader(run) as reader:
        write_reports(run, judge(run), reader)
    page = (run / "report.html").read_text("utf-8")

    for words in (
        "ana injected slow",
        "everything healed by ben: enough",
        "on-call is asked: Name it.",
        "ana done notice",
    ):
        assert words in page


def test_the_same_thing_twice_differs_in_nothing(tmp_path):
    """Edges lie within 100 ms, and no verdict, answer or breaker is otherwise."""
    loaded = drill(tmp_path, RECORDED)
    runs = [played(loaded, late_s=late_s).write(tmp_path / f"late-{late_s}") for late_s in (0.004, 0.05)]
    found = difference(outcome(runs[0]), outcome(runs[1]), (read_row(runs[0]), read_row(runs[1])))

    assert (found.close_edges, found.otherwise) == (1.0, ())
    assert found.widest_s == pytest.approx(0.046, abs=0.002)
    assert "one run each" in found.slis.sentence


def test_what_went_otherwise_is_told(tmp_path):
    """A late edge, a slower answer, a broken promise."""
    loaded = drill(tmp_path, RECORDED)
    other = drill(tmp_path, RECORDED.replace("at: 5s, by: ana", "at: 8s, by: ana"))
    runs = [played(loaded).write(tmp_path / "a"), played(other, late_s=0.2, spoil=hurt).write(tmp_path / "b")]
    found = difference(outcome(runs[0]), outcome(runs[1]), (read_row(runs[0]), read_row(runs[1])))

    told = {one.what: (one.old, one.new) for one in found.otherwise}
    assert found.close_edges == 0.0
    assert told["step notice"] == ("done after 1.50 s", "done after 4.50 s")
    assert told["verdict of the drill"] == ("PASS", "FAIL")
    assert found.verdict is Verdict.FAIL


def test_a_history_knows_who_did_what(tmp_path):
    """Faults with their edges, steps with their answers, notes with their writers."""
    history = read_history(played(drill(tmp_path, RECORDED)).write(tmp_path / "run"))

    assert [(step.name, step.said, step.by) for step in history.steps] == [("notice", "done", "ana")]
    assert [(note.subject, note.data["text"]) for note in history.notes] == [("ben", "who is paged?")]
    assert history.fault(None) == history.fault("slow")
