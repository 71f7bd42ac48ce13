"""What is killed, when, and what counts as left behind: the rules of `make survival`, and two kills of it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from survival.draws import (
    JUDGING,
    LOAD,
    PARTS,
    RUNNER,
    SCENARIOS,
    SHARES,
    SUITE,
    TAKE_DOWN,
    WATCHDOG,
    draw,
)
from survival.experiment import Row
from survival.leftovers import MARK, Place, blocks, look
from survival.results import document, figures, line, page, table
from survival.running import Timeline

ROOT = Path(__file__).parents[2]
LIMIT_S = 400.0


def row(**more):
    known = {"number": 1, "victim": RUNNER, "scenarios": ("toxic",), "drawn": "load", "phase": "load", "clean_s": 0.4}
    return Row(**{**known, **more})


def test_a_seed_draws_the_same_kills_again():
    """What failed once can be done again by its seed and number."""
    assert draw(100, 7) == draw(100, 7)
    assert draw(100, 7) != draw(100, 8)


@pytest.mark.parametrize("kills", [8, 10, 37, 100])
def test_every_victim_is_killed_in_its_share(kills):
    """So many kills as asked for; each victim at least once, a hundred of them by the shares."""
    drawn = Counter(kill.victim for kill in draw(kills, 1))

    assert drawn.total() == kills
    assert set(drawn) == set(SHARES)
    assert kills != 100 or drawn == SHARES


def test_the_instants_are_spread_over_every_phase_and_scenario():
    """No phase and no scenario is left out of a hundred kills, and only runners are killed while the judge is at work."""
    drawn = draw(100, 1)
    phases = Counter(kill.phase for kill in drawn)

    assert min(phases[phase] for phase in phases if phase != JUDGING) >= 15
    assert {kill.victim for kill in drawn if kill.phase == JUDGING} == {RUNNER}
    assert {name for kill in drawn for name in kill.scenarios} == set(SCENARIOS)
    assert {len(kill.scenarios) for kill in drawn if kill.victim == SUITE} == {2}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_phases_of_a_scenario_follow_its_plan(scenario):
    """An instant drawn for a phase lies in it."""
    timeline = Timeline.of(scenario)

    for kill in draw(100, 2):
        if kill.phase not in {"start-up", JUDGING}:
            assert timeline.phase(timeline.offset_s(kill)) == kill.phase


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_load_is_killed_while_it_is_there(scenario):
    """Its child goes first when a run is taken down: a later instant would find nobody to kill, at every try."""
    timeline = Timeline.of(scenario)
    offsets = [timeline.offset_s(kill) for kill in draw(400, 3) if (kill.victim, kill.phase) == (LOAD, TAKE_DOWN)]

    assert offsets
    assert max(offsets) <= timeline.end_s + 0.15


def test_a_process_a_file_and_a_link_of_a_run_are_left_over(tmp_path):
    """Whoever carries the mark, a file in the temporary folder, an entry in the register, a half-made link: all is told."""
    place = Place(folder=tmp_path, mark="of this test")
    assert not look(place, ())
    (place.temporary / "forgotten").touch()
    (place.reports / ".latest-1").symlink_to("nowhere")
    (place.state / "run.json").touch()
    (place.reports / "a-run").mkdir()

    assert set(look(place, ()).files) == {"file tmp/forgotten", "file reports/.latest-1", "file state/run.json"}


def test_the_addresses_of_a_run_are_read_from_what_it_wrote_before_it_started_anything(tmp_path):
    """Only the blocks that runs take: 127.0.0.1 and people's own are none."""
    (tmp_path / "leases.jsonl").write_text('{"argv": ["toxiproxy", "-host", "127.201.0.2", "127.0.0.1", "127.62.1.1"]}')

    assert blocks([tmp_path]) == {"127.201."}


def test_the_figures_count_what_had_a_problem():
    """Survived is who left nothing, whatever else is told."""
    rows = [row(), row(victim=WATCHDOG, exit_code=4, ended_s=1.0, problems=["left behind: a listener"])]
    found = figures(rows, seed=3, seconds=10.2)

    assert (found["kills"], found["survived"], found["victims"]) == (2, 1, {RUNNER: 1, WATCHDOG: 1})
    assert (found["clean_s_median"], found["runner_ended_s_worst"]) == (0.4, 1.0)
    assert "left behind" in line(rows[1])
    assert "| **no** |" in page(rows, found)
    assert "| all | 2 | 1 |" in table(rows)
    assert '"survived": 1' in document(rows, found)
    assert MARK
    assert set(PARTS) < set(SHARES)


@pytest.mark.system
def test_a_run_survives_the_loss_of_its_watchdog_and_of_itself(tmp_path):
    """A kill of the watchdog is noticed and said, one of the runner is undone: two real ones, by the program itself."""
    for victim in (WATCHDOG, RUNNER):
        done = subprocess.run(
            [sys.executable, "-m", "tests.survival", "--kills", "8", "--seed", "4", "--victim", victim,
             "--reports", str(tmp_path), "--keep", str(tmp_path / victim)],
            cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip

        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
        assert "1 of 1 kills left nothing behind" in done.stdout
