"""
No lie passes: mutants of real recorded runs, and of live ones, get their verdict with a sentence that names them.

The recorded ones cost one real run a scenario and milliseconds each. The live ones cost a run each, so they are only
run when asked for: `pytest -m slow tests/truth`, or `make truth`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from truth.live import LIVE, LiveMutant, live_row
from truth.matrix import BASES, Row, as_json, as_markdown, clean_row, figures, record, recorded_row
from truth.recorded import MUTANTS, Mutant


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a real run of each base scenario, recorded when first asked for."""
    folder = tmp_path_factory.mktemp("recorded")
    return cache(lambda base: record(base, folder))


def assert_as_expected(row: Row) -> None:
    assert row.got != "PASS"
    assert row.as_expected, f"{row.name}: expected {row.expected} and {row.words!r}, got {row.got}: {row.reason}"


@pytest.mark.system
@pytest.mark.parametrize("base", BASES)
def test_the_run_as_it_was_passes(recorded, base):
    """What the mutants are made of is sound, so it is the lie that costs them the verdict."""
    row = clean_row(base, recorded(base))

    assert row.got == "PASS", row.reason


@pytest.mark.system
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_recorded_lie_is_named(recorded, tmp_path, mutant: Mutant):
    """A lie in the journal of a real run: never PASS, and the sentence says what was wrong."""
    assert_as_expected(recorded_row(mutant, recorded(mutant.base), tmp_path))


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.parametrize("mutant", [m for m in LIVE if m.available], ids=lambda mutant: mutant.name)
def test_a_live_lie_is_named(request, tmp_path, mutant: LiveMutant):
    """A rig that lies while it runs: no verdict to believe, and the sentence says what was wrong."""
    if "slow" not in (request.config.option.markexpr or ""):
        pytest.skip("costs a run each: pytest -m slow tests/truth")
    assert_as_expected(live_row(mutant, tmp_path))


def test_the_table_of_lies_is_long_and_its_names_are_unique():
    """Thirty are asked for; no lie is told twice."""
    names = Counter(mutant.name for mutant in (*MUTANTS, *LIVE))

    assert len(names) >= 30
    assert set(names.values()) == {1}


def test_a_verdict_without_the_right_reason_is_not_as_expected():
    """INCONCLUSIVE for another reason than the lie counts as a failure of the matrix."""
    row = Row(kind="recorded", name="x", done="x", expected="FAIL", got="FAIL", reason="two were lost", words="lost")
    other = Row(kind="recorded", name="x", done="x", expected="FAIL", got="FAIL", reason="slow", words="lost")

    assert (row.as_expected, other.as_expected) == (True, False)
    assert figures([row, other])["named"] == 1
    assert "**no**" in as_markdown([row, other])
    assert '"as_expected": false' in as_json([row, other])
