"""A suite finds scenarios, chooses among them, and sums up how they ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError, SetUpError
from harness.suite import Result, SuiteResult, find, matches
from harness.verdict import RunVerdict, Verdict

SHIPPED = Path(__file__).parents[2] / "scenarios"


def result(got: Verdict | None, declared: Verdict = Verdict.PASS, error=None) -> Result:
    verdict = got and RunVerdict(
        scenario="x", run="r", verdict=got, reason="", declared=declared, because=None,
        as_declared=got is declared, checks=(), receipts=(),
    )  # fmt: skip
    return Result(path=Path("x.yaml"), scenario="x", run_dir=None, verdict=verdict, error=error, seconds=1)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([result(Verdict.PASS)], 0),
        ([result(Verdict.FAIL, Verdict.FAIL)], 0),
        ([result(Verdict.PASS), result(Verdict.FAIL)], 1),
        ([result(Verdict.PASS, Verdict.FAIL)], 1),
        ([result(Verdict.INCONCLUSIVE)], 3),
        ([result(Verdict.INCONCLUSIVE), result(Verdict.FAIL)], 1),
        ([result(Verdict.FAIL), result(None, error=SetUpError("no room"))], 4),
        ([result(None, error=SetUpError("no room")), result(None, error=InputError("bad"))], 2),
    ],
)
def test_the_exit_code_says_whether_all_ended_as_declared(results, expected):
    """0 when every scenario ended as it declares, otherwise the gravest of what went wrong."""
    assert expected == SuiteResult(results=tuple(results)).exit_code


def test_a_folder_is_searched_and_compose_files_are_left_alone():
    """Every shipped scenario is found below its folder, and nothing that is no scenario."""
    found = find([SHIPPED])

    assert len(found) >= 28
    assert found == sorted(set(found))


def test_scenarios_are_chosen_by_words_and_tags():
    """-k looks into paths, names and tags; every --tag has to be there."""
    breaker = find([SHIPPED], keyword="breaker and not must_fail")
    quick = find([SHIPPED], tags=["quick"])

    assert SHIPPED / "payment-slow.yaml" in breaker
    assert not any("must_fail" in str(path) for path in breaker)
    assert SHIPPED / "steady-state.yaml" in quick


@pytest.mark.parametrize("path", ["nowhere", "nowhere.yaml"])
def test_what_is_not_there_is_wrong_input(tmp_path, path):
    """A path that does not exist, or holds no scenario, is said by name."""
    with pytest.raises(InputError, match="nowhere"):
        find([tmp_path / path])


def test_an_empty_folder_is_wrong_input(tmp_path):
    """A folder without scenarios is a mistake, not a suite that passes."""
    with pytest.raises(InputError, match="no scenario"):
        find([tmp_path])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("slow", True), ("slow and quick", True), ("not slow", False), ("(fast or quick) and not must", True)],
)
def test_keywords_are_joined_as_in_pytest(expression, expected):
    """Words, and, or, not, brackets."""
    assert expected is matches(expression, ["payment-slow", "quick"])


def test_a_broken_keyword_expression_is_wrong_input():
    """An expression that cannot be read is said, with the expression."""
    with pytest.raises(InputError, match="and and"):
        matches("slow and and", ["slow"])
