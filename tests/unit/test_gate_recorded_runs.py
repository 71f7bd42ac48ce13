"""Real runs that were recorded, replayed: the same version twice, and one whose p95 is half as long again."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

from harness.cli.main import main
from harness.comparison.document import Comparison, dump_comparison
from harness.comparison.looks import look
from harness.comparison.recorded import one_against_one
from harness.comparison.rules import Rules, late
from harness.slis import Row
from harness.verdict import Verdict

ROOT = Path(__file__).parents[2]


def benchmark() -> ModuleType:
    """benchmarks/gate.py, which is a program and no package."""
    spec = importlib.util.spec_from_file_location("gate_benchmark", ROOT / "benchmarks" / "gate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


BENCHMARK = benchmark()
RUNS = BENCHMARK.load(BENCHMARK.ROWS)
PAIRS = BENCHMARK.neighbours([one for one in RUNS if late(one.row) is None])


def gated(tmp_path: Path, pairs: list[tuple[Row, Row]]) -> int:
    """What the gate says of a comparison of these pairs, looked at once."""
    rules = Rules()
    found = look({"gate-orders": pairs}, rules, rules.family_error, last=True)
    (tmp_path / "comparison.json").write_text(
        dump_comparison(Comparison(old="A", new="B", scenarios=tuple(found.values())))
    )
    return main(["gate", str(tmp_path)])


def test_at_least_sixty_real_runs_are_recorded() -> None:
    """Of A, of A again, and of A with one service 20 % slower."""
    assert len(RUNS) >= 60
    assert {one.version for one in RUNS} == {"A1", "A2", "S"}


def test_the_same_version_twice_passes_the_gate(tmp_path: Path) -> None:
    """Real pairs in the order in which they were recorded."""
    pairs = [(old.row, new.row) if place % 2 else (new.row, old.row) for place, (old, new) in enumerate(PAIRS[:20])]

    assert gated(tmp_path, pairs) == 0


def test_too_few_pairs_are_inconclusive_whatever_they_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three real pairs, the new side half as slow again: a change that three pairs can show of nobody."""
    longer = BENCHMARK.slower(1.5)
    pairs = [(old.row, longer(new.row, random.Random(1))) for old, new in PAIRS[:3]]

    assert gated(tmp_path, pairs) == 3
    assert "INCONCLUSIVE" in capsys.readouterr().out


def test_a_real_run_that_kept_its_promises_passes_the_gate(capsys: pytest.CaptureFixture[str]) -> None:
    """The sample report's; without the scenario that is required it fails."""
    sample = str(ROOT / "reports" / "sample")

    assert main(["gate", "--require", "payment-slow", sample]) == 0
    assert main(["gate", "--require", "payment-slow", "--require", "another", sample]) == 1
    assert "another" in capsys.readouterr().out


def test_no_recorded_pair_of_the_same_version_is_called_different_by_itself() -> None:
    """One run each says nothing of noise."""
    assert all(one_against_one(old.row, new.row).verdict is Verdict.INCONCLUSIVE for old, new in PAIRS)


def test_a_p95_half_as_long_again_fails_the_gate_with_the_sli_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same pairs, every p95 of the new side times 1.5."""
    longer = BENCHMARK.slower(1.5)
    pairs = [(old.row, longer(new.row, random.Random(1))) for old, new in PAIRS]

    assert gated(tmp_path, pairs) == 1
    assert "p95 of POST /orders: +" in capsys.readouterr().out


def test_the_slower_service_fails_the_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real change: charges of 120 ms instead of 100."""
    pairs = BENCHMARK.against_slower([one for one in RUNS if late(one.row) is None])

    assert gated(tmp_path, [(old.row, new.row) for old, new in pairs]) == 1
    assert "p50 of POST /orders: +" in capsys.readouterr().out
