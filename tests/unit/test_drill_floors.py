"""Floors of a drill that is played again: they heal nothing, and one that gives way fails the replay."""

from __future__ import annotations

import pytest
from drill_samples import RECORDED, drill, played

from harness.drill.outcome import outcome_of
from harness.drill.report import report_text
from harness.judge import judge
from harness.verdict import Verdict

FLOOR = "abort:\n  - {slo: orders-available, below: 70%, over: 2s, least: 10}\nload:"
ABORTED = "  - {at: 6s, abort: {how: person, why: enough, by: ana}}\n  - {at: 9s, recovery: 6s, as: recovery}"


def outcome(tmp_path, text, failing=range(0)):
    """What a replay comes to in which these of its requests fail; even ones are orders, 40 requests a second."""
    loaded = drill(tmp_path, text)
    run = played(loaded, spoil=lambda n: {"status": 503, "error": "status 503"} if n in failing else {})
    folder = run.write(tmp_path / "run")
    return outcome_of(folder, judge(folder))


def test_a_floor_that_gives_way_in_a_replay_fails_it(tmp_path):
    """Orders fail from 4 s on: of the last two seconds' less than 70 % are good soon after, and the report says when."""
    found = outcome(tmp_path, RECORDED.replace("load:", FLOOR), failing=range(160, 280))

    (fell,) = found.fallen
    assert found.verdict is Verdict.FAIL
    assert fell.slo == "orders-available"
    assert 4.4 <= fell.at_s <= 5.2
    assert f"a floor gave way at {fell.at_s:.1f} s: orders-available at" in found.reason
    assert "the drill would have been broken off" in report_text(found)
    assert found.document()["floors_fallen"][0]["at_s"] == fell.at_s


@pytest.mark.parametrize("failing", [range(0), range(160, 170)])
def test_a_floor_that_holds_says_nothing(tmp_path, failing):
    """Nobody failed, or too few."""
    assert outcome(tmp_path, RECORDED.replace("load:", FLOOR), failing=failing).fallen == ()


def test_without_a_floor_nothing_gives_way(tmp_path):
    """However many fail."""
    assert outcome(tmp_path, RECORDED, failing=range(600)).fallen == ()


def test_a_recording_that_was_broken_off_is_not_told_of_its_floors_again(tmp_path):
    """It ended early then; the replay ends at the same instant."""
    text = RECORDED.replace("load:", FLOOR).replace("  - {at: 9s, recovery: 6s, as: recovery}", ABORTED)

    found = outcome(tmp_path, text, failing=range(160, 280))

    assert found.fallen == ()
    assert found.reason == "broken off at 6.0 s: enough"
