"""The JSON Schemas of drills and of answers say what their models say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from documents import files
from drill_samples import DRILL, RECORDED

from harness.cli.main import main
from harness.drill.schema import answers_schema, drill_schema
from harness.faults import FAULTS
from harness.scenario.promises import PROMISES
from harness.system.document import read_document, read_value

ROOT = Path(__file__).parents[2]
WRITTEN = sorted([*(ROOT / "scenarios" / "drills").glob("*.yaml"), *(ROOT / "tests" / "drills").glob("*.yaml")])


def validator_of(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


DRILLS = validator_of(drill_schema())
ANSWERS = validator_of(answers_schema())


def fits(text: str) -> bool:
    return not list(DRILLS.iter_errors(read_document(text, "drill.yaml")[0].data))


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_drill_in_this_repository_fits(file: Path) -> None:
    """Those that are shipped, and the recorded rehearsals."""
    assert list(DRILLS.iter_errors(read_document(file.read_text("utf-8"), file)[0].data)) == []


def test_the_drill_and_the_answers_of_the_documentation_fit() -> None:
    """docs/game-days.md."""
    shown = files(ROOT / "docs" / "game-days.md")

    assert fits(shown["reports/my-drill.yaml"])
    assert list(ANSWERS.iter_errors(read_value(shown["reports/answers.yaml"]))) == []


@pytest.mark.parametrize("kind", FAULTS)
def test_every_fault_fits_where_a_script_takes_one(kind: str) -> None:
    """As a line, and as what a manual step does."""
    fault = read_value(FAULTS[kind].example)["fault"]
    data = read_value(DRILL)
    data["script"][1]["fault"] = fault
    data["script"][2]["does"] = [{"fault": fault, "as": "again", "for": "3s"}]

    assert list(DRILLS.iter_errors(data)) == []


@pytest.mark.parametrize("check", PROMISES)
def test_every_promise_fits(check: str) -> None:
    """A drill promises what a scenario does."""
    assert list(DRILLS.iter_errors(read_value(DRILL) | {"expect": [read_value(PROMISES[check].example)]})) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("goal: To", "gaol: To"),
        ("  - steady: 3s", "  - steady: 3"),
        ("  - steady: 3s", "  - {steady: 3s, wait: 1s}"),
        ("  - steady: 3s", "  - {}"),
        ("  - steady: 3s", "  - {steady: 3s, role: desk}"),
        ("  - recovery: 5s", "  - {recovery: 5s, for: 5s}"),
        ("    prompt: Name the link.\n", ""),
        ("    limit: 30s\n    marks: detected", "    marks: detected"),
        ("marks: detected", "marks: seen"),
        ("missed: heal", "missed: shout"),
        ("does: [{heal: slow}]", "does: [{}]"),
        ("does: [{heal: slow}]", "does: {heal: slow}"),
        ("below: 70%, over", "below: much, over"),
        ("detection: 20s", "detection: soon"),
        ("latency: 2s}", "latancy: 2s}"),
        ("arrivals: 40/s", "arrivals: 40"),
        ("name: payment-slow", "name: Payment Slow"),
    ],
)
def test_what_a_drill_must_not_say_does_not_fit(right: str, wrong: str) -> None:
    """An editor underlines what `harness validate` would refuse."""
    assert right in DRILL
    assert fits(DRILL)
    assert not fits(DRILL.replace(right, wrong, 1))


def test_a_recorded_drill_fits_and_its_answers_are_whole() -> None:
    """Who said what, when."""
    assert fits(RECORDED)
    assert not fits(RECORDED.replace("answer: {said: done, at: 5s, by: ana}", "answer: {said: done}"))
    assert not fits(RECORDED.replace("said: done", "said: perhaps"))


@pytest.mark.parametrize(
    "data", [{}, {"answers": [{"step": "notice", "answer": "maybe"}]}, {"answers": [{"after": 3}]}]
)
def test_wrong_answers_do_not_fit(data: dict[str, Any]) -> None:
    """No list, no such answer, a time without its unit."""
    assert list(ANSWERS.iter_errors(data))


@pytest.mark.parametrize("of", ["drill", "answers"])
def test_the_schemas_are_printed(of: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`harness schema drill`, `harness schema answers`."""
    assert main(["schema", of]) == 0
    assert '"$schema": "https://json-schema.org/draft/2020-12/schema"' in capsys.readouterr().out
