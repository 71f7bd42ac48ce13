"""
Recorded rehearsals of the shipped drills, played again: edges where they were, the same text compiled again.

tests/drills/ has of each the compiled drill and what was seen then; both come from real runs led by keys.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from live_rig import Living

pytestmark = [pytest.mark.system, pytest.mark.slow]

RECORDED = Path(__file__).parents[1] / "drills"
NAMES = sorted(path.stem for path in RECORDED.glob("*.yaml"))
EDGE_LIMIT_S = 0.1
TRIES = 3


def test_each_shipped_drill_has_been_rehearsed():
    """One recording of each."""
    shipped = {path.stem for path in (Path(__file__).parents[2] / "scenarios" / "drills").glob("*.yaml")}

    assert shipped == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_rehearsal_is_played_as_it_was(name, tmp_path):
    """At least 99 % of the edges within 100 ms of the recorded ones, and compiled again it is the recorded text."""
    recorded = RECORDED / f"{name}.yaml"
    then = json.loads((RECORDED / f"{name}.json").read_text())
    for attempt in range(TRIES):
        living = Living(tmp_path / str(attempt))
        told = living.harness("drill", "replay", recorded, "--json", "--reports", living.reports, code=None)
        now = json.loads(told[told.index("{") : told.rindex("}") + 1])
        assert "run_dir" in now, told
        off_s = edges_off_s(then["faults"], now["faults"])
        compiled = living.harness("drill", "compile", now["run_dir"], "-o", RECORDED / f".again-{name}.yaml")
        again = RECORDED / f".again-{name}.yaml"
        try:
            assert again.read_text() == recorded.read_text(), compiled
        finally:
            again.unlink()
        if sum(abs(off) <= EDGE_LIMIT_S for off in off_s) >= 0.99 * len(off_s):
            return
    pytest.fail(f"edges lie off by {off_s} s in each of {TRIES} replays")


def edges_off_s(then, now):
    """How far each edge lies from the recorded one; of a service, the instants at which the harness acted."""
    found = []
    for before in then:
        after = next(fault for fault in now if fault["name"] == before["name"])
        edges = ("injecting_s", "healing_s") if before["family"] == "process" else ("injected_s", "healed_s")
        found += [after[edge] - before[edge] for edge in edges]
    return found
