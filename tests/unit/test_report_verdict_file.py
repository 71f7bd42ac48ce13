"""verdict.json: what is written can be read again, and its schema says all of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from report_samples import check, nasty_verdict, run_verdict

from harness.errors import InputError
from harness.report.verdict_file import FILE_NAME, document, dump_verdict, load_verdict, parse_verdict
from harness.report.verdict_schema import verdict_schema, verdict_schema_text
from harness.verdict import RunVerdict, Verdict

ROOT = Path(__file__).parents[2]

VERDICTS = [
    run_verdict(),
    run_verdict(check(), facts={}),
    run_verdict(check(Verdict.FAIL), check(Verdict.INCONCLUSIVE, value=None, interval=None), because="availability"),
    nasty_verdict(),
]


def _lists(verdict: RunVerdict) -> RunVerdict:
    """Evidence as JSON gives it back: lists for tuples."""
    text = json.dumps([one.evidence for one in verdict.checks])
    checks = zip(verdict.checks, json.loads(text), strict=True)
    return replace(verdict, checks=tuple(replace(one, evidence=tuple(rows)) for one, rows in checks))


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_verdict_survives_its_file(verdict: RunVerdict, tmp_path: Path) -> None:
    """Writing a verdict and reading it again gives the same verdict."""
    (tmp_path / FILE_NAME).write_text(dump_verdict(verdict))

    assert load_verdict(tmp_path) == _lists(verdict)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_document_keeps_the_schema(verdict: RunVerdict) -> None:
    """The schema holds for everything that is written."""
    jsonschema.Draft202012Validator(verdict_schema()).validate(json.loads(dump_verdict(verdict)))


def test_the_schema_describes_every_key() -> None:
    """No key is written that the schema does not describe, and none is described that is not written."""
    schema = verdict_schema()
    found = document(run_verdict(check()))

    assert schema["properties"].keys() == found.keys()
    assert schema["properties"]["checks"]["items"]["properties"].keys() == found["checks"][0].keys()
    assert schema["properties"]["receipts"]["items"]["properties"].keys() == found["receipts"][0].keys()


def test_the_shipped_schema_is_the_one_the_program_prints() -> None:
    """docs/verdict.schema.json is what `harness schema verdict` says."""
    assert (ROOT / "docs/verdict.schema.json").read_text("utf-8") == verdict_schema_text()


def test_numbers_json_cannot_hold_become_null() -> None:
    """An open interval and a value nobody could measure are null, and the file stays strict JSON."""
    one = check(value=math.nan, interval=(0.5, math.inf), evidence=({"rate": math.inf},))
    verdict = run_verdict(one)
    found = json.loads(dump_verdict(verdict), parse_constant=pytest.fail)["checks"][0]
    back = parse_verdict(document(verdict)).checks[0]

    assert (found["value"], found["interval"], found["evidence"]) == (None, [0.5, None], [{"rate": None}])
    assert back.interval == (0.5, math.inf)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "verdict": "FINE"}', "null"])
def test_a_file_that_is_no_verdict_is_wrong_input(text: str, tmp_path: Path) -> None:
    """Whatever stands in the file, the answer names the file and a way out."""
    path = tmp_path / "verdict.json"
    path.write_text(text)

    with pytest.raises(InputError, match=r"verdict\.json") as caught:
        load_verdict(path)

    assert caught.value.hint


def test_a_missing_file_is_wrong_input(tmp_path: Path) -> None:
    """A folder without a verdict says what would make one."""
    with pytest.raises(InputError, match="cannot be read"):
        load_verdict(tmp_path)
