"""Leading a drill: people are asked, waited for no longer than their limit, and heard at once."""

from __future__ import annotations

import pytest
from drill_samples import DRILL, SYSTEM, drill
from live_samples import desk_on

from harness.drill.keys import Typing
from harness.drill.leader import Leader
from harness.drill.persons import Auto, Word, Written, WrittenAnswer
from harness.faults import build as fault
from harness.live.floors import Floor


class Nobody:
    def show(self, status):
        pass


class Talker:
    """Says each of its words at an instant of the run."""

    def __init__(self, *said):
        self.said = list(said)

    def words(self, waiting, now_s):
        due = [word for at_s, word in self.said if at_s <= now_s]
        self.said = [(at_s, word) for at_s, word in self.said if at_s > now_s]
        return due


def led(tmp_path, person, text=DRILL, people=None, floors=(), before=None):
    """Lead a drill over a session that only remembers; its events."""
    loaded = drill(tmp_path, text)
    desk, session, clock = desk_on(floors, system=SYSTEM)
    session.setting = type("Setting", (), {"run_id": "run-1"})
    if before is not None:
        before(desk, clock)
    Leader(loaded.drill, desk, [person], Nobody(), clock=clock, people=people or {}).run()
    desk.close()
    return desk, session


def told(session, *kinds):
    return [(kind, subject) for kind, subject, _ in session.recorder.events if kind.startswith(kinds)]


def data_of(session, kind):
    return next(data for one, _, data in session.recorder.events if one == kind)


def test_a_drill_goes_through_its_script(tmp_path):
    """Phases, the fault, the steps in order; what a step does is done when it is done."""
    _, session = led(tmp_path, Auto(), people={"on-call": "ana"})

    assert told(session, "step.") == [
        ("step.prompted", "notice"), ("step.done", "notice"), ("step.prompted", "repair"), ("step.done", "repair"),
    ]  # fmt: skip
    assert told(session, "fault.") == [("fault.injected", "slow"), ("fault.healed", "slow")]
    assert data_of(session, "step.done")["by"] == "ana"
    assert session.on == []


def test_who_is_not_there_is_not_waited_for(tmp_path):
    """After its limit a step is missed, and what then is the drill's own word: here, heal and go on."""
    _, session = led(tmp_path, Talker())

    assert told(session, "step.m") == [("step.missed", "notice"), ("step.missed", "repair")]
    assert data_of(session, "step.missed")["limit_s"] == 30.0
    assert told(session, "phase.ended")[-1] == ("phase.ended", "recovery")


def test_a_missed_step_may_break_it_off(tmp_path):
    """`missed: abort` heals everything, lets the system recover under load, and ends."""
    desk, session = led(
        tmp_path, Talker(), DRILL.replace("    marks: detected\n", "    marks: detected\n    missed: abort\n")
    )

    assert desk.aborted is not None
    assert told(session, "step.") == [("step.prompted", "notice"), ("step.missed", "notice")]
    assert told(session, "phase.started")[-1] == ("phase.started", "after-abort")


def test_an_abort_ends_everything_at_once(tmp_path):
    """Whoever presses a: the next thing in the journal is that all is healed."""
    desk, session = led(tmp_path, Talker((4.0, Word(said="abort", by="ana"))))

    assert desk.aborted is not None
    assert (desk.aborted.how, desk.aborted.why) == ("person", "ana broke it off")
    assert told(session, "step.") == [("step.prompted", "notice"), ("step.aborted", "notice")]
    assert data_of(session, "fault.healed")["declared_s"] == pytest.approx(4.0, abs=0.1)


def test_a_floor_ends_a_drill(tmp_path):
    """An objective below its floor does what an abort does."""

    class Break:
        def words(self, waiting, now_s):
            if waiting is not None:
                end_ns = self.clock.now_ns()
                row = ("POST /orders", end_ns, end_ns, end_ns, 503, 0)
                self.desk.figures.watch({"requests": [row] * 30})
            return []

    person = Break()

    def before(desk, clock):
        person.desk, person.clock = desk, clock

    floor = Floor.model_validate({"slo": "orders-available", "below": "70%"})
    desk, session = led(tmp_path, person, floors=[floor], before=before)

    assert desk.aborted is not None
    assert desk.aborted.how == "floor"
    assert session.on == []


def test_a_drill_that_was_cut_short_says_so(tmp_path):
    """Ended from elsewhere before its last line, it is broken off: it cannot have shown what it was held for."""
    loaded = drill(tmp_path)
    desk, session, clock = desk_on(system=SYSTEM)
    session.setting = type("Setting", (), {"run_id": "run-1"})
    leader = Leader(loaded.drill, desk, [Auto()], Nobody(), clock=clock, people={})
    desk.end("ben")
    leader.run()
    leader.cut_short()

    assert desk.aborted is not None
    assert told(session, "abort") == [("abort", "ben")]


def test_a_rehearsal_by_hand_is_only_listened_to():
    """Notes are written, an abort heals and the recording goes on, until somebody asks for the end or time is over."""
    desk, session, clock = desk_on(system=SYSTEM)
    session.setting = type("Setting", (), {"run_id": "run-1"})
    person = Talker((1.0, Word(said="note", text="hm", by="ana")), (2.0, Word(said="abort", by="ana")))
    desk.inject(fault.latency("order->payment", "2s"), for_s=60, by="ben")
    Leader(None, desk, [person], Nobody(), clock=clock, people={}).listen(5.0)

    assert session.on == []
    assert desk.now_s() == pytest.approx(5.0, abs=0.1)
    assert told(session, "note", "abort") == [("note", "ana"), ("abort", "ana")]
    assert told(session, "phase.ended")[-1] == ("phase.ended", "live")


def test_notes_may_be_written_at_any_time(tmp_path):
    """With whoever is asked just then, or with whoever is named."""
    person = Talker((1.0, Word(said="note", text="all green")), (4.0, Word(said="note", text="hm", by="ben")))
    _, session = led(tmp_path, person, people={"on-call": "ana"})

    assert told(session, "note") == [("note", "ana"), ("note", "ben")]


def test_done_without_a_question_is_passed_over(tmp_path):
    """A key pressed too early answers nothing that is asked later."""
    _, session = led(tmp_path, Talker((1.0, Word(said="done"))))

    assert ("step.missed", "notice") in told(session, "step.")


def test_written_answers_come_at_their_time():
    """After so long, with a note beside them; silence is silence."""
    from harness.drill.persons import Waiting

    answers = [
        {"step": "notice", "after": "2s", "note": "seen"},
        {"step": "repair", "answer": "silence"},
        {"at": "9s", "note": "late"},
    ]
    written = Written(tuple(WrittenAnswer.model_validate(one) for one in answers))
    notice = Waiting(step="notice", role="r", since_s=5.0)

    assert list(written.words(notice, 6.9)) == []
    assert [word.said for word in written.words(notice, 7.0)] == ["note", "done"]
    assert list(written.words(Waiting(step="repair", role="r", since_s=8.0), 8.9)) == []
    assert [word.text for word in written.words(None, 9.0)] == ["late"]
    assert [word.said for word in written.words(Waiting(step="other", role="r", since_s=9.0), 10.0)] == ["done"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("d", [("done", "")]),
        ("S", [("skipped", "")]),
        ("a", [("abort", "")]),
        ("xyz\n", []),
        ("nwho?\n", [("note", "who?")]),
        ("nad\x7fnd\r", [("note", "and")]),
        ("nstop\x1bd", [("done", "")]),
        ("n\n", []),
        ("n  \nd", [("done", "")]),
    ],
)
def test_keys_become_words(typed, said):
    """d, s, n, a; a note is typed, mended, written by Enter and left by Escape."""
    assert said == [(word.said, word.text) for word in Typing().feed(typed)]
