"""The recorded rehearsals in tests/drills: whole, on their systems, and at rest: compiled from their own replay they stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drill_samples import compiled, played

from harness.drill.file import load_drill
from harness.drill.replay import plan_of

RECORDED = Path(__file__).parents[1] / "drills"
PATHS = sorted(RECORDED.glob("*.yaml"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_recording_is_planned_for_the_instants_at_which_it_was_done(path):
    """Every edge of every fault is planned within 100 ms of where the real rehearsal had it."""
    then = {fault["name"]: fault for fault in json.loads(path.with_suffix(".json").read_text())["faults"]}
    loaded = load_drill(path)
    plan = plan_of(loaded)

    assert loaded.drill.recorded
    assert then.keys() == {fault.name for fault in plan.faults}
    for fault in plan.faults:
        assert fault.start_s == pytest.approx(then[fault.name]["injecting_s"], abs=0.1)
        assert fault.end_s == pytest.approx(then[fault.name]["healing_s"], abs=0.1)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_recording_compiled_from_its_replay_is_the_same_text(path, tmp_path):
    """What the conductor would write of it compiles to the file that was replayed."""
    loaded = load_drill(path)
    run = played(loaded)
    run.facts["system"] = loaded.system.to_json()

    assert compiled(run.write(tmp_path / "run"), RECORDED) == path.read_text("utf-8")
