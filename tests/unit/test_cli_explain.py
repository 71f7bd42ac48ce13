"""list, explain, schema and the reference: what is registered can be found out, and reads as one would write it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import described
from harness.cli.list import opening
from harness.cli.main import COMMANDS, main
from harness.cli.reference import FILE, reference
from harness.faults import FAULTS
from harness.scenario.promises import PROMISES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", [*FAULTS, *PROMISES, "scenario", "load", "arrivals", "timeline"])
def test_everything_registered_can_be_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each fault and check shows a summary, its keys and an example."""
    assert main(["explain", name]) == 0
    assert "key" in capsys.readouterr().out


@pytest.mark.parametrize("one", described.everything(), ids=lambda one: f"{one.group}-{one.name}")
def test_every_key_has_a_form(one: described.Described) -> None:
    """No key is left without how it is written, and no Python value leaks into a default."""
    assert one.summary
    for key in one.keys:
        assert key.form
        assert key.default not in {"None", "()", "{}", "True", "False"}
        assert not key.name.endswith(("_s", "_ms", "_"))


@pytest.mark.parametrize("one", [*described.faults(), *described.checks()], ids=lambda one: f"{one.group}-{one.name}")
def test_faults_and_checks_say_what_each_key_means(one: described.Described) -> None:
    """A key without a meaning is a key nobody dares to use."""
    assert all(key.description for key in one.keys)
    assert one.example


def test_a_name_that_is_both_shows_both(capsys: pytest.CaptureFixture[str]) -> None:
    """`latency` is something done and something promised."""
    main(["explain", "latency"])
    text = capsys.readouterr().out

    assert "latency (fault, toxic, on a link)" in text
    assert "latency (check)" in text


def test_units_and_defaults_read_as_one_would_write_them() -> None:
    """Durations, shares and links are shown in the scenario's own notation."""
    keys = {key.name: key for key in next(one for one in described.faults() if one.name == "latency").keys}

    assert (keys["jitter"].form, keys["jitter"].default) == ("duration such as 250ms", "0ms")
    assert keys["toxicity"].default == "100%"
    assert (keys["link"].required, keys["toxic"].required, keys["toxic"].form) == (True, True, "latency")


def test_an_unknown_name_is_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the fingers is answered by the likeliest name."""
    assert main(["explain", "latancy"]) == 2
    assert "did you mean 'latency'?" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "table"), [("faults", FAULTS), ("checks", PROMISES)])
def test_lists_hold_the_whole_table(kind: str, table: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    """What is in the table is in the list, for people and for machines."""
    assert main(["list", kind, "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == list(table)

    main(["list", kind])
    assert all(name in capsys.readouterr().out for name in list(table)[:1])


def test_explanations_for_machines_hold_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    """--json gives the same as structured values."""
    main(["explain", "breaker", "--json"])
    (found,) = json.loads(capsys.readouterr().out)

    assert {"name", "form", "required", "default", "description"} == found["keys"][0].keys()


def test_only_scenarios_are_looked_for_in_paths(capsys: pytest.CaptureFixture[str]) -> None:
    """A path behind `list faults` is a misunderstanding, and is said to be one."""
    assert main(["list", "faults", "scenarios"]) == 2
    assert "harness list scenarios PATH" in capsys.readouterr().err


def test_a_scenario_is_introduced_by_its_opening_comment() -> None:
    """The sentence a file opens with, over as many lines as it takes, without the editor's own line."""
    text = "# yaml-language-server: $schema=x.json\n# The order service must\n# shed load.\nname: x\n# not this\n"

    assert opening(text) == "The order service must shed load."


def test_what_is_registered_is_documented() -> None:
    """Every fault, check and command has a heading in the reference."""
    text = (ROOT / FILE).read_text("utf-8").splitlines()

    assert {f"### {name}" for name in [*FAULTS, *PROMISES]} <= set(text)
    assert {f"### harness {name}" for name in COMMANDS} <= set(text)


def test_the_reference_is_up_to_date() -> None:
    """docs/reference.md says what the program says: `python -m harness.cli.reference` writes it again."""
    assert (ROOT / FILE).read_text("utf-8") == reference()


def test_the_verdict_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`harness schema verdict` is the shipped schema."""
    assert main(["schema", "verdict"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((ROOT / "docs/verdict.schema.json").read_text("utf-8"))
