"""The desk: hands on a living system, each fault a lease with an end, each word and deed an event."""

from __future__ import annotations

import pytest
from live_samples import desk_on

from harness.errors import HarnessError, InputError
from harness.faults import build as fault
from harness.live.floors import Floor
from harness.scenario.model import Scenario

SLOW = fault.latency("order->payment", "2s")
FLOOR = Floor.model_validate({"slo": "orders-available", "below": "80%", "over": "5s", "least": 10})


def kinds(session, *wanted):
    return [(kind, subject) for kind, subject, _ in session.recorder.events if kind in wanted]


def test_a_lease_ends_by_itself_at_its_declared_instant():
    """A fault nobody heals is healed when its time is over, and the journal says the instant that was meant."""
    desk, session, clock = desk_on()
    clock.sleep_s(3)
    name = desk.inject(SLOW, for_s=10, by="ana")
    desk.wait_for(name)
    clock.sleep_s(9.9)
    desk.tick()
    assert session.on == ["latency"]

    clock.sleep_s(0.2)
    desk.tick()
    desk.stage.settle()

    healed = next(data for kind, _, data in session.recorder.events if kind == "fault.healed")
    assert (session.on, healed["declared_s"]) == ([], 13.0)
    assert kinds(session, "person.injected", "lease.ended") == [
        ("person.injected", "latency"),
        ("lease.ended", "latency"),
    ]


def test_what_was_done_so_far_can_be_judged_at_any_time():
    """After every deed the journal holds a scenario of what was done, also when the run is killed then."""
    desk, session, clock = desk_on()
    desk.phase_started("live", "wait")
    clock.sleep_s(2)
    desk.inject(SLOW, for_s=5, name="slow")
    clock.sleep_s(1.5)
    desk.heal("slow", by="ana")

    scenario = Scenario.model_validate(session.facts["scenario"])

    step = next(step for step in scenario.timeline if step.fault is not None)
    assert (step.as_, step.at_s, step.for_s) == ("slow", 2.0, 1.5)
    assert session.facts["plan"]["duration_s"] == 3.5


def test_healing_nothing_in_particular_heals_everything():
    """`heal` without a name takes back all that is on; with one that is not on it says what is."""
    desk, session, _ = desk_on()
    for name in ("one", "two"):
        desk.inject(SLOW, for_s=5, name=name)
        desk.wait_for(name)

    with pytest.raises(InputError, match="'thre' is no fault") as caught:
        desk.heal("thre", by="ana")
    assert desk.heal(None, by="ana") == ["one", "two"]
    desk.stage.settle()

    assert session.on == []
    assert "two" in str(caught.value.hint)


def test_a_name_is_given_once():
    """Two faults of one kind are told apart in the journal."""
    desk, _, _ = desk_on()

    assert [desk.inject(SLOW, for_s=5), desk.inject(SLOW, for_s=5)] == ["latency", "latency-2"]


@pytest.mark.parametrize("for_s", [0, -1, 3601, None])
def test_no_fault_is_without_an_end(for_s):
    """A lease without an end, or with one too far away, is refused."""
    desk, _, _ = desk_on()

    with pytest.raises(InputError, match="lease"):
        desk.inject(SLOW, for_s=for_s)


def test_faults_that_would_undo_each_other_are_refused():
    """One service is killed once at a time."""
    desk, _, _ = desk_on()
    desk.inject(fault.kill("payment"), for_s=5)

    with pytest.raises(InputError, match="kill already holds payment"):
        desk.inject(fault.pause("payment"), for_s=5)


def test_a_fault_that_fails_tells_whoever_asked():
    """Waiting for it raises what went wrong, and the journal has it."""
    desk, session, _ = desk_on()
    session.refuse = HarnessError("no such proxy")
    name = desk.inject(SLOW, for_s=5, by="ana")

    with pytest.raises(HarnessError, match="no such proxy"):
        desk.wait_for(name)
    assert kinds(session, "fault.failed") == [("fault.failed", "latency")]


def rows(good, bad, end_ns):
    """Requests that ended at an instant: name, intended, start, end, status, ok."""
    return {"requests": [("POST /orders", end_ns - 1, end_ns - 1, end_ns, 201, ok) for ok in [1] * good + [0] * bad]}


def test_a_floor_that_gives_way_heals_everything_at_once():
    """One tick after the journal has the rows, nothing is on any more, and why is written down."""
    desk, session, clock = desk_on([FLOOR])
    for name in ("one", "two"):
        desk.inject(SLOW, for_s=50, name=name)
        desk.wait_for(name)

    desk.figures.watch(rows(7, 3, clock.now_ns()))
    desk.tick()
    desk.stage.settle()

    assert session.on == []
    assert desk.aborted is not None
    assert (desk.aborted.how, desk.aborted.why) == ("floor", "orders-available at 70.0% of 10 in 5 s, floor 80.0%")


def test_a_floor_needs_enough_requests_and_forgets_old_ones():
    """A handful of bad requests trips nothing, nor do those that ended before its stretch of time."""
    desk, _, clock = desk_on([FLOOR])
    desk.figures.watch(rows(0, 9, clock.now_ns()))
    clock.sleep_s(6)
    desk.figures.watch(rows(20, 0, clock.now_ns()))
    desk.tick()

    assert desk.aborted is None


def test_notes_have_words():
    """A note is one line of text; nothing, or a book, is refused."""
    desk, session, _ = desk_on()
    desk.note("  who is\n paged? ", by="ana")

    assert session.recorder.events[-1] == ("note", "ana", {"text": "who is paged?", "declared_s": 0.0})
    for text in ("", " \n", "x" * 3000):
        with pytest.raises(InputError):
            desk.note(text, by="ana")


def test_the_status_is_what_people_watch():
    """Faults with the time left, objectives with their budget, latency of the last seconds."""
    desk, session, clock = desk_on()
    session.setting = type("Setting", (), {"run_id": "run-1"})
    desk.inject(SLOW, for_s=5)
    clock.sleep_s(1)
    desk.figures.watch(rows(98, 2, clock.now_ns()))

    status = desk.status()

    assert status["faults"] == [{"name": "latency", "what": SLOW.describe(), "since_s": 0.0, "left_s": 4.0}]
    assert status["slos"][0]["budget_left"] == -1.0
    assert status["requests"][0]["good"] == 0.98
