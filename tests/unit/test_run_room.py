"""Who runs beside whom: in which order, and who has the machine to itself."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest
from report_samples import check, run_verdict

from harness import suite
from harness.progress import Silent
from harness.run import conductor, quiet
from harness.run.options import RunOptions
from harness.run.room import EMPTY, TAKEN, room
from harness.scenario.file import Claim, claim_of
from harness.suite.jobs import rounds
from harness.verdict import RunVerdict, Verdict

LIMIT_S = 30.0


def claim(timeline_s: float, *, alone: bool = False) -> Claim:
    return Claim(alone=alone, timeline_s=timeline_s)


def test_the_longest_start_first_and_those_that_need_the_machine_come_last():
    """A long scenario that started last would keep one processor waiting for it."""
    paths = [Path(name) for name in ("short", "alone", "long", "as-short")]

    together, alone = rounds(paths, [claim(5), claim(99, alone=True), claim(60), claim(5)])

    assert [Path("long"), Path("short"), Path("as-short")] == [path for _, path in together]
    assert [(1, Path("alone"))] == alone


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("timeline: [{steady: 3s}, {fault: {down: a->b}, for: 1500ms}, {recovery: 2s}]", claim(6.5)),
        ("alone: true\ntimeline: [{steady: 3s}, {fault: {down: a->b}, at: 1s, for: 4s}]", claim(5, alone=True)),
        ("alone: 'yes'\ntimeline: [{steady: soon}, 7]", claim(0)),
        ("timeline: [", claim(0)),
    ],
)
def test_a_file_says_at_a_glance_what_it_asks_of_the_machine(tmp_path, text, expected):
    """Its length and whether it has to be alone; what cannot be read is over at once, and says so itself when it is run."""
    file = tmp_path / "scenario.yaml"
    file.write_text(text)

    assert expected == claim_of(file)


def inside(
    environment: dict[str, str], *, alone: bool
) -> tuple[threading.Event, threading.Event, list[str], threading.Thread]:
    """A run in a thread: (it is in, it may leave, what it said, the thread)."""
    entered, leave, said = threading.Event(), threading.Event(), []

    def stay() -> None:
        with room(lambda text: (said.append(text), waiting.set()), alone=alone, environment=environment):  # type: ignore[func-returns-value]
            entered.set()
            leave.wait(LIMIT_S)

    waiting = threading.Event()
    thread = threading.Thread(target=stay, daemon=True)
    thread.start()
    while not entered.wait(0.01) and not waiting.is_set():
        assert thread.is_alive()
    return entered, leave, said, thread


def test_ordinary_runs_share_the_machine(tmp_path):
    """Nobody waits for anybody."""
    environment = {"XDG_STATE_HOME": str(tmp_path)}

    with (
        room(pytest.fail, alone=False, environment=environment),
        room(pytest.fail, alone=False, environment=environment),
    ):
        pass

    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_run_that_needs_the_machine_waits_for_the_others_and_they_for_it(tmp_path):
    """It gets in when the last has left; who comes meanwhile waits behind it, and each says why."""
    environment = {"XDG_STATE_HOME": str(tmp_path)}
    first, first_leaves, _, _ = inside(environment, alone=False)
    alone, alone_leaves, said, _ = inside(environment, alone=True)
    last, last_leaves, said_last, thread = inside(environment, alone=False)

    assert (first.is_set(), alone.is_set(), last.is_set()) == (True, False, False)
    first_leaves.set()
    assert alone.wait(LIMIT_S)
    assert not last.is_set()
    alone_leaves.set()
    assert last.wait(LIMIT_S)
    last_leaves.set()
    thread.join(LIMIT_S)
    assert [EMPTY] == said
    assert {TAKEN} == set(said_last)


SCENARIO = f"""
name: tiny
system: {Path(__file__).parents[2] / "compose" / "shop.yaml"}
load: {{profile: browse, arrivals: 40/s}}
timeline: [{{wait: 1s}}]
expect: [{{availability: {{at_least: 0%}}}}]
"""


@pytest.mark.parametrize(
    ("more", "busy_for", "expected"),
    [("", 0, ["shared"]), ("alone: true", 0, ["by itself"]), ("", 2, ["shared", "by itself", "by itself"])],
)
def test_a_run_has_the_machine_to_itself_when_it_says_so_or_is_tried_again(
    tmp_path, monkeypatch, more, busy_for, expected
):
    """What one process after another would have seen is what a busy machine must not take from it twice."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    places: list[str] = []

    def run(*_: object, **__: object) -> Path:
        places.append(beside(tmp_path / "state" / "harness" / "runs"))
        return tmp_path / "run"

    def judged(*_: object) -> RunVerdict:
        return run_verdict(check(Verdict.INCONCLUSIVE if len(places) <= busy_for else Verdict.PASS))

    monkeypatch.setattr(conductor, "run_plan", run)
    monkeypatch.setattr(quiet, "wait_until_quiet", lambda _: True)
    monkeypatch.setattr(suite, "judge_and_report", judged)
    monkeypatch.setattr(RunVerdict, "worth_another_try", property(lambda self: not self.as_declared))
    file = tmp_path / "tiny.yaml"
    file.write_text(SCENARIO + more)

    result = suite.run_one(file, RunOptions(reports=tmp_path), Silent())

    assert result.error is None
    assert expected == places


def beside(runs: Path) -> str:
    """Whether another run could be there now."""
    descriptor = os.open(runs, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "by itself"
    else:
        return "shared"
    finally:
        os.close(descriptor)
