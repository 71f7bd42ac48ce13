"""A drill file read: what is right becomes a drill, what is wrong is told with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from drill_samples import DRILL, RECORDED, SYSTEM, drill
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.cli.main import main
from harness.drill.file import load_drill, looks_like_drill
from harness.drill.persons import read_answers
from harness.drill.replay import recorded
from harness.errors import EXIT_WRONG_INPUT, InputError
from harness.suite import looks_like_scenario

DRILLS = Path(__file__).parents[2] / "scenarios" / "drills"


def mistakes_of(tmp_path, text):
    with pytest.raises(InputError) as caught:
        drill(tmp_path, text)
    assert caught.value.exit_code == EXIT_WRONG_INPUT
    return caught.value.mistakes


def test_a_drill_is_a_scenario_with_people(tmp_path):
    """What is right is read: a script that waits for people, or one that is recorded and waits for nobody."""
    assert not drill(tmp_path).drill.recorded
    assert drill(tmp_path, RECORDED).drill.recorded


TABLE = [
    ("    role: on-call\n", "    role: oncall\n", 22, "role is 'oncall', which the drill does not declare"),
    ("    limit: 30s\n    marks: detected\n", "    marks: detected\n", 21, "step notice has no limit"),
    ("    prompt: Name the link.\n", "", 21, "needs a role and a prompt"),
    ("    marks: detected\n", "", 11, "no step marks `detected`"),
    ("    marks: detected\n", "    marks: seen\n", 25, "marks is 'seen'"),
    ("  - step: repair", "  - step: notice", 26, "two lines are called 'notice'"),
    ("does: [{heal: slow}]", "does: [{heal: slwo}]", 31, "heal names 'slwo'"),
    ("does: [{heal: slow}]", "does: [{}]", 31, "does takes {heal: NAME}"),
    ("    for: 60s\n", "", 18, "nothing says how long at most"),
    ("link: order->payment", "link: order->paiment", 18, "link is 'order->paiment', which the system does not have"),
    ("incident: slow", "incident: fast", 10, "incident names 'fast'"),
    ("ledger: orders", "ledger: order", 13, "ledger is 'order'"),
    ("slo: orders-available", "slo: orders", 15, "slo is 'orders'"),
    ("below: 70%", "below: 70", 15, "70 is not a share"),
    ("arrivals: 40/s", "arrivals: [{rate: 4/s, for: 3s}]", 16, "nobody knows how long people take"),
    ("during: slow", "during: slwo", 34, "during names 'slwo'"),
    ("missed: heal", "missed: shout", 30, "missed is 'shout'"),
    ("  - steady: 3s\n", "  - {steady: 3s, role: desk}\n", 18, "role belongs to a manual step"),
    ("  - steady: 3s\n", "  - {steady: 3s, at: 0s}\n", 19, "has no `at`"),
    ("  - steady: 3s\n", "  - {}\n", 18, "says one thing"),
    ("goal: To", "gaol: To", 4, "unknown key 'gaol'"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "message"), TABLE, ids=[row[3] for row in TABLE])
def test_what_is_wrong_is_told_with_its_line(tmp_path, right, wrong, line, message):
    """File, line, the value; most say what would be right."""
    assert right in DRILL
    found = mistakes_of(tmp_path, DRILL.replace(right, wrong, 1))

    assert any(message in one.message for one in found), [str(one) for one in found]
    told = next(one for one in found if message in one.message)
    assert abs((told.line or 0) - line) <= 1, str(told)
    assert str(told.file).endswith("drill.yaml")


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (", answer: {said: done, at: 5s, by: ana}", "", "no answer that was recorded"),
        ("answer: {said: done, at: 5s", "answer: {said: done, at: 3s", "before it is asked"),
        ("{at: 4s, note: 'who is paged?', by: ben}", "{at: 4s, heal: slow}", "a recorded fault ends by its `for`"),
    ],
)
def test_a_recorded_script_is_whole(tmp_path, right, wrong, message):
    """It waits for nobody, so every step has its answer and every fault its end."""
    assert any(message in one.message for one in mistakes_of(tmp_path, RECORDED.replace(right, wrong)))


def test_a_replay_needs_the_links_of_the_recorded_system(tmp_path):
    """On a system that lacks one, the line of the recorded drill is told."""
    path = tmp_path / "drill.yaml"
    path.write_text(RECORDED.replace("order->payment", "order->stock"))

    with pytest.raises(InputError) as caught:
        recorded(path, SYSTEM)

    assert str(caught.value).startswith(f"{path}:7: link is 'order->stock', which the system does not have")


def test_a_drill_that_waits_for_people_is_not_replayed(tmp_path):
    """And one that is recorded is not led: each says which command is meant."""
    path = tmp_path / "drill.yaml"
    path.write_text(DRILL)

    with pytest.raises(InputError, match="waits for people"):
        recorded(path, SYSTEM)


def test_answers_name_steps_of_the_drill(tmp_path):
    """A file of answers is held against its drill, line by line."""
    path = tmp_path / "answers.yaml"
    path.write_text("answers:\n  - {step: notice, after: 1s}\n  - {step: notise}\n")

    with pytest.raises(InputError) as caught:
        read_answers(path, drill(tmp_path).drill)

    assert str(caught.value).startswith(f"{path}:3: step is 'notise'")


def test_drills_are_no_scenarios(tmp_path):
    """`harness run FOLDER` leaves them alone: they wait for people."""
    path = tmp_path / "drill.yaml"
    path.write_text(DRILL)

    assert (looks_like_drill(path), looks_like_scenario(path)) == (True, False)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_nothing_that_is_written_is_a_bug_of_ours(tmp_path, data):
    """Lines left out, twice, out of place, with other values: a drill, or wrong input with what is wrong."""
    lines = data.draw(st.sampled_from([DRILL, RECORDED])).splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(lines) - 1))
        how = data.draw(st.sampled_from(["gone", "twice", "value", "moved"]))
        if how == "gone" and len(lines) > 1:
            del lines[place]
        elif how == "twice":
            lines.insert(place, lines[place])
        elif how == "moved":
            lines.insert(data.draw(st.integers(0, len(lines) - 1)), lines.pop(place))
        else:
            value = data.draw(st.sampled_from(["", "7", "[]", "{}", "null", "-1s", "3s", "slow", "[{}]", "a: b"]))
            lines[place] = f"{lines[place].partition(':')[0]}: {value}"
    try:
        drill(tmp_path, "\n".join(lines))
    except InputError as error:
        assert error.mistakes  # noqa: PT017  # either is right


@pytest.mark.parametrize("path", sorted(DRILLS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_drills_can_be_led(path, capsys):
    """Each is read without a mistake, waits for people, and is validated like a scenario."""
    loaded = load_drill(path)

    assert loaded.drill.name == path.stem
    assert not loaded.drill.recorded
    assert loaded.drill.goal
    assert main(["validate", str(path)]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["drill"], "what is to be done"),
        (["drill", "rnu"], "did you mean 'run'"),
        (["drill", "run", "none.yaml"], "none.yaml"),
        (["drill", "compile", "nowhere"], "no journal here"),
        (["up", "none.yaml"], "none.yaml"),
    ],
)
def test_a_wrong_command_line_is_wrong_input(arguments, said, capsys):
    """Exit code 2 and what would be right."""
    assert main(arguments) == EXIT_WRONG_INPUT
    assert said in capsys.readouterr().err
