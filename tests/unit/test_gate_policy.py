"""`harness gate`: what finished runs must show before a CI job may pass, and what it says when they do not."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from unit.report_samples import check, receipt, run_verdict, write_journal
from unit.sli_rows import Versions

from harness.cli.main import main
from harness.comparison.bank import read_bank
from harness.comparison.document import Comparison, dump_comparison, read_comparison
from harness.comparison.pairs import Alternation
from harness.comparison.rules import Rules
from harness.errors import InputError
from harness.gate.policy import Policy, policy_schema, read_policy
from harness.report.verdict_file import dump_verdict
from harness.verdict import Verdict


def finished(
    folder: Path, verdict: Verdict = Verdict.PASS, *, run: str = "run-1", scenario: str = "checkout", **more
) -> Path:
    """A run's folder with a verdict in it."""
    home = folder / run
    home.mkdir(parents=True)
    (home / "verdict.json").write_text(dump_verdict(run_verdict(check(verdict), run=run, scenario=scenario, **more)))
    return home


def compared(folder: Path, **versions: float) -> Path:
    """A comparison's folder."""
    folder.mkdir(parents=True)
    scenarios = tuple(Alternation(["checkout"], Rules(), Versions(**versions)).run())
    (folder / "comparison.json").write_text(dump_comparison(Comparison(old="v1", new="v2", scenarios=scenarios)))
    return folder


def gate(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = main(["gate", *map(str, arguments)])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_a_good_suite_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0; a folder of runs may be named instead of each."""
    finished(tmp_path, run="run-1")
    finished(tmp_path, run="run-2", scenario="browse")

    code, text = gate(capsys, tmp_path)

    assert code == 0
    assert text.startswith("PASS  gate: 2 PASS")


def test_a_failed_run_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, with the reason."""
    finished(tmp_path, Verdict.FAIL)

    code, text = gate(capsys, tmp_path)

    assert code == 1
    assert "FAIL          checkout: 1 of 1 promises decided it" in text


def test_a_run_that_fails_as_it_declares_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A must_fail scenario is fine when it fails, and broken when it passes."""
    good = finished(tmp_path, Verdict.FAIL, declared=Verdict.FAIL, as_declared=True)
    wrong = finished(tmp_path, Verdict.PASS, run="run-2", scenario="other", declared=Verdict.FAIL, as_declared=False)

    assert gate(capsys, good)[0] == 0
    code, text = gate(capsys, wrong)
    assert code == 1
    assert "declared FAIL, ended PASS" in text


@pytest.mark.parametrize(("counts_as", "expected"), [(None, 3), ("fail", 1), ("warn", 0)])
def test_an_inconclusive_run_ends_with_three_unless_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], counts_as: str | None, expected: int
) -> None:
    """What the policy lets through is told all the same."""
    finished(tmp_path, Verdict.INCONCLUSIVE)

    code, text = gate(capsys, tmp_path, *(["--inconclusive", counts_as] if counts_as else []))

    assert code == expected
    assert "INCONCLUSIVE" in text
    assert ("let through by the policy" in text) == (counts_as == "warn")


def test_a_required_scenario_without_a_run_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the line of the policy that requires it."""
    finished(tmp_path / "reports")
    policy = tmp_path / "gate.yaml"
    policy.write_text("require:\n  - checkout\n  - payment-slow\n")

    code, text = gate(capsys, "--policy", policy, tmp_path / "reports")

    assert code == 1
    assert "MISSING       payment-slow" in text
    assert f"{policy}:3" in text


def test_every_scenario_of_a_folder_can_be_required(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its own name, with its tags."""
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "a.yaml").write_text("name: checkout\ntags: [gate]\ntimeline:\n")
    (tmp_path / "scenarios" / "b.yaml").write_text("name: browse\ntags: [night]\ntimeline:\n")
    policy = tmp_path / "gate.yaml"
    policy.write_text("require_in: scenarios\ntags: [gate]\n")

    assert read_policy(policy).required == {"checkout": 1}


def test_a_scenario_that_ended_both_ways_is_flaky_and_fails_with_all_its_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job that is tried again cannot turn a FAIL into a PASS that nobody hears of."""
    finished(tmp_path / "attempt-1", Verdict.FAIL, run="run-1")
    finished(tmp_path / "attempt-2", Verdict.PASS, run="run-2")

    code, text = gate(capsys, tmp_path / "attempt-1", tmp_path / "attempt-2")

    assert code == 1
    assert "FLAKY 1/2" in text
    assert "run-1: FAIL, NOT as declared" in text
    assert "run-2: PASS, as declared" in text
    assert gate(capsys, tmp_path, "--flaky", "warn")[0] == 0


def test_a_run_named_twice_is_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also by the link to the newest."""
    home = finished(tmp_path)
    (tmp_path / "latest").symlink_to(home.name)

    assert "run-1: " not in gate(capsys, tmp_path, tmp_path / "latest")[1]


def test_an_inconclusive_try_beside_a_conclusive_one_is_told_and_does_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A busy machine is tried again; that is no flakiness of the system."""
    finished(tmp_path, Verdict.INCONCLUSIVE, run="run-1")
    finished(tmp_path, Verdict.PASS, run="run-2")

    code, text = gate(capsys, tmp_path)

    assert code == 0
    assert "1 of 1 runs as declared, 1 inconclusive" in text


def test_a_policy_can_ask_for_several_conclusive_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Too few are INCONCLUSIVE."""
    finished(tmp_path / "reports")
    policy = tmp_path / "gate.yaml"
    policy.write_text("runs_at_least: 3\n")

    code, text = gate(capsys, "--policy", policy, tmp_path / "reports")

    assert code == 3
    assert "1 conclusive runs, 3 needed" in text


def test_a_p95_half_as_long_again_fails_the_gate_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A regression counts like a broken promise."""
    compared(tmp_path / "compared", slower=1.5)

    code, text = gate(capsys, tmp_path)

    assert code == 1
    assert "checkout (v2 against v1): p95 of POST /orders: +" in text


def test_the_same_version_twice_passes_the_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A/A is no regression."""
    compared(tmp_path / "compared")

    assert gate(capsys, tmp_path)[0] == 0


def test_an_open_comparison_is_inconclusive_unless_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`regression: {inconclusive: warn}` for machines that are too noisy."""
    compared(tmp_path / "compared", noise=0.6)
    policy = tmp_path / "gate.yaml"
    policy.write_text("regression: {required: true, inconclusive: warn}\n")

    assert gate(capsys, tmp_path / "compared")[0] == 3
    assert gate(capsys, "--policy", policy, tmp_path / "compared")[0] == 0


def test_a_required_comparison_that_is_not_there_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Forgetting to compare is no pass."""
    finished(tmp_path / "reports")
    policy = tmp_path / "gate.yaml"
    policy.write_text("regression: {required: true}\n")

    assert gate(capsys, "--policy", policy, tmp_path / "reports")[0] == 1


def test_thin_promises_can_be_held_against_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`thin: inconclusive`."""
    finished(tmp_path / "reports")
    policy = tmp_path / "gate.yaml"
    policy.write_text("thin: inconclusive\n")

    code, text = gate(capsys, "--policy", policy, tmp_path / "reports")

    assert code == 3
    assert "THIN" in text


def test_a_folder_with_nothing_in_it_is_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Never a pass by absence."""
    assert gate(capsys, tmp_path)[0] == 2
    assert gate(capsys, tmp_path / "nowhere")[0] == 2


def test_a_run_that_ended_before_it_began_is_inconclusive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Among others; its folder tells which scenario it was."""
    finished(tmp_path)
    write_journal(_made(tmp_path / "20260102T030405.000Z-browse"))

    code, text = gate(capsys, tmp_path)

    assert code == 3
    assert "browse" in text


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_annotations_name_file_and_line_of_the_broken_promise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As GitHub's workflow commands have them, with what it would misread spelt out."""
    from harness.journal.writer import JournalWriter

    monkeypatch.chdir(tmp_path)
    home = finished(tmp_path, Verdict.FAIL)
    text = "name: checkout\nexpect:\n  - latency: {}\n"
    writer = JournalWriter(home / "journal.db")
    writer.put({"scenario_text": text, "scenario_file": "scenarios/checkout.yaml"})
    writer.close()

    _, printed = gate(capsys, tmp_path, "--annotate", "github")

    expected = (
        "::error file=scenarios/checkout.yaml,line=3,title=FAIL%3A checkout::"
        "POST /orders at least 99 %25: 237 of 240 requests were good, 98.75 %25"
    )
    assert expected in printed.splitlines()


def test_what_did_not_pass_is_annotated_even_without_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A hostile reason cannot begin a command of its own."""
    reason = "x\n::error::boo 100%"
    finished(tmp_path, Verdict.INCONCLUSIVE, receipts=(receipt(Verdict.INCONCLUSIVE),), reason=reason)

    _, printed = gate(capsys, tmp_path, "--annotate", "github")

    commands = [line for line in printed.splitlines() if line.startswith("::")]
    assert len(commands) == 1
    assert commands[0].startswith("::warning title=INCONCLUSIVE%3A checkout::")


def test_the_summary_is_markdown_and_is_appended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A step summary may hold what other steps wrote."""
    finished(tmp_path / "reports", Verdict.FAIL)
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")

    gate(capsys, tmp_path / "reports", "--summary", summary)

    assert summary.read_text().startswith("before\n## FAIL  gate: 1 FAIL\n\n| | scenario |")


def test_the_answer_can_be_had_as_one_json_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For other programs."""
    finished(tmp_path, Verdict.FAIL)

    code, text = gate(capsys, tmp_path, "--json")

    found = json.loads(text)
    assert (code, found["exit_code"], found["answers"][0]["word"]) == (1, 1, "FAIL")


def test_a_wrong_policy_is_told_with_every_line_and_what_would_be_right(tmp_path: Path) -> None:
    """As scenario files are."""
    policy = tmp_path / "gate.yaml"
    policy.write_text("requires: [a]\nflaky: maybe\nruns_at_least: many\ntags: [x]\n")

    with pytest.raises(InputError) as caught:
        read_policy(policy)

    assert [mistake.line for mistake in caught.value.mistakes] == [1, 2, 3]
    assert caught.value.mistakes[0].hint == "did you mean 'require'?"


def test_a_folder_that_is_not_there_is_a_mistake_of_its_line(tmp_path: Path) -> None:
    """As is one without scenarios; and tags without a folder."""
    policy = tmp_path / "gate.yaml"
    policy.write_text("missing: warn\nrequire_in: nowhere\n")
    with pytest.raises(InputError, match=r"gate.yaml:2: require_in is 'nowhere'"):
        read_policy(policy)

    policy.write_text("tags: [gate]\n")
    with pytest.raises(InputError, match="tags stand without require_in"):
        read_policy(policy)


def test_the_schema_of_a_policy_takes_what_the_model_takes() -> None:
    """And refuses an unknown key."""
    validator = Draft202012Validator(policy_schema())

    assert validator.is_valid({"require": ["a"], "regression": {"required": True}, "inconclusive": "warn"})
    assert not validator.is_valid({"requires": ["a"]})
    assert Policy().flaky == "fail"


@given(
    st.text(max_size=200) | st.dictionaries(st.text(max_size=12), st.integers() | st.text(max_size=8)).map(json.dumps)
)
def test_no_policy_comparison_or_baseline_however_wrong_crashes_the_reader(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """Whatever stands in the file, it is read or it is wrong input."""
    folder = tmp_path_factory.mktemp("wrong")
    for reader, name in ((read_policy, "gate.yaml"), (read_comparison, "comparison.json"), (read_bank, "bank.json")):
        file = folder / name
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(InputError):
            reader(file)
