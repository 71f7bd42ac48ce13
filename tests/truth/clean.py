"""
Clean runs again and again: each has to pass, and no two of them may be called different.

A run that only a busy machine kept from a verdict is done again, which is counted; any other verdict stands.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.comparison.looks import look
from harness.comparison.recorded import one_against_one
from harness.comparison.rules import FEWEST_PAIRS, late, rules_of
from harness.judge import judge
from harness.slis import Row, Sli, read_row
from harness.verdict import Verdict

from .matrix import record

SCENARIOS = ("first", "kill", "gentle")
PAIRS = 20
FAMILY_ERROR = 0.005
SLOWER = 1.5  # what is put into one side of the same pairs, to see that the rule could have spoken

Pairs = Sequence[tuple[Row, Row]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """One run and what was said of it. tries: how often it was begun, because the machine was busy."""

    scenario: str
    number: int
    verdict: str
    reason: str
    tries: int
    row: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """
    What comparisons of a scenario's runs with each other came to. one_by_one: pairs of single runs called different.
    together: the verdict over all pairs; slowed: the same with one side slowed down, which has to be FAIL.
    """

    scenario: str
    pairs: int
    late: int  # pairs left out because a load was sent too late to be compared
    one_by_one: int
    together: str
    slowed: str
    sentence: str


def run_clean(runs: int, folder: Path, jobs: int, end_s: float, tell: Callable[[Clean], None]) -> list[Clean]:
    """
    So many runs of each scenario, in turns, some at a time; in the order in which they were begun. None is begun after
    end_s (monotonic).
    """
    wanted = [(scenario, number) for number in range(1, runs + 1) for scenario in SCENARIOS]
    found = []
    with ThreadPoolExecutor(jobs) as pool:
        pending = [pool.submit(_one, scenario, number, folder, end_s) for scenario, number in wanted]
        for done in as_completed(pending):
            if (one := done.result()) is not None:
                found.append(one)
                tell(one)
    return sorted(found, key=lambda one: (one.number, SCENARIOS.index(one.scenario)))


def _one(scenario: str, number: int, above: Path, end_s: float) -> Clean | None:
    if time.monotonic() >= end_s:
        return None
    folder = above / f"{scenario}-{number}"
    run = record(scenario, folder)
    verdict = judge(run)
    tries = sum(path.is_dir() and not path.is_symlink() for path in run.parent.iterdir())
    row = read_row(run, verdict)
    shutil.rmtree(folder)
    return Clean(
        scenario=scenario, number=number, verdict=verdict.verdict.value, reason=verdict.reason, tries=tries, row=row
    )


# -- A against A -------------------------------------------------------------------------------------------------------


def compare(runs: Sequence[Clean]) -> list[Compared]:
    """Each scenario's runs in neighbouring pairs, as one version against itself."""
    return [_compare(scenario, [one.row for one in runs if one.scenario == scenario]) for scenario in SCENARIOS]


def _compare(scenario: str, rows: Sequence[Row]) -> Compared:
    every = list(zip(rows[::2], rows[1::2], strict=False))
    pairs = [pair for pair in every if late(pair[0]) is None and late(pair[1]) is None][:PAIRS]
    different = sum(one_against_one(*pair).verdict is Verdict.FAIL for pair in pairs)
    verdict, sentence = judge_pairs(scenario, pairs)
    slowed, _ = judge_pairs(scenario, [(old, _slower(new)) for old, new in pairs])
    return Compared(
        scenario=scenario, pairs=len(pairs), late=sum(any(map(late, pair)) for pair in every), one_by_one=different,
        together=verdict.value, slowed=slowed.value, sentence=sentence,
    )  # fmt: skip


def judge_pairs(scenario: str, pairs: Pairs) -> tuple[Verdict, str]:
    """What `harness compare` says of these pairs: looked at as often as it looks, the first FAIL or PASS stands."""
    if len(pairs) < FEWEST_PAIRS:
        return Verdict.INCONCLUSIVE, f"{len(pairs)} pairs, {FEWEST_PAIRS} needed"
    rules = rules_of(FAMILY_ERROR, len(pairs))
    found = None
    for count, p_limit in rules.looks:
        found = look({scenario: pairs[:count]}, rules, p_limit, last=count == rules.most_pairs)[scenario]
        if found.verdict is not Verdict.INCONCLUSIVE:
            break
    assert found is not None
    return found.verdict, found.sentence


def _slower(row: Row) -> Row:
    def slow(sli: Sli) -> Sli:
        times = {name: getattr(sli, name) for name in ("p50_ms", "p95_ms", "p99_ms")}
        return replace(sli, **{name: value and value * SLOWER for name, value in times.items()})

    return replace(row, slis={name: slow(sli) for name, sli in row.slis.items()})


# -- telling -----------------------------------------------------------------------------------------------------------


def figures(runs: Sequence[Clean], compared: Sequence[Compared]) -> dict[str, Any]:
    """What it all comes to."""
    return {
        "scenarios": len({one.scenario for one in runs}),
        "runs": len(runs),
        "passed": sum(one.verdict == Verdict.PASS.value for one in runs),
        "begun_again": sum(one.tries - 1 for one in runs),
        "pairs": sum(one.pairs for one in compared),
        "pairs_late": sum(one.late for one in compared),
        "pairs_different": sum(one.one_by_one for one in compared),
        "comparisons": len(compared),
        "comparisons_different": sum(one.together == Verdict.FAIL.value for one in compared),
        "slowed_seen": sum(one.slowed == Verdict.FAIL.value for one in compared),
    }


def exit_code(found: dict[str, Any]) -> int:
    """1: a clean run did not pass, or A was called different from A. 3: too few pairs to say. 0: all well."""
    if found["passed"] < found["runs"] or found["pairs_different"] or found["comparisons_different"]:
        return 1
    return 3 if found["pairs"] < PAIRS or not found["slowed_seen"] else 0


def summary(found: dict[str, Any]) -> str:
    """Two sentences."""
    return (
        f"{found['passed']} of {found['runs']} clean runs of {found['scenarios']} scenarios passed"
        f" ({found['begun_again']} more were begun and left by a busy machine)."
        f" Of {found['pairs']} A/A pairs {found['pairs_different']} were called different, and"
        f" {found['comparisons_different']} of {found['comparisons']} comparisons of all pairs of a scenario; with one"
        f" side {SLOWER:g} times as slow {found['slowed_seen']} were ({found['pairs_late']} pairs too late to compare)."
    )


def page(runs: Sequence[Clean], compared: Sequence[Compared]) -> str:
    """All of it as Markdown."""
    return "\n".join(_lines(runs, compared)) + "\n"


def _lines(runs: Sequence[Clean], compared: Sequence[Compared]) -> Iterator[str]:
    yield "# Clean runs: what is not broken passes, and is not different from itself"
    yield f"\nWritten by `make truth-clean`. {summary(figures(runs, compared))}\n"
    yield "| scenario | runs | PASS | begun again | A/A pairs | called different | all together | with one side slowed |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for one in compared:
        own = [run for run in runs if run.scenario == one.scenario]
        cells = (
            one.scenario, len(own), sum(run.verdict == "PASS" for run in own), sum(run.tries - 1 for run in own),
            one.pairs, one.one_by_one, one.together, one.slowed,
        )  # fmt: skip
        yield "| " + " | ".join(map(str, cells)) + " |"
    yield from (f"\n{one.scenario}: {one.sentence}" for one in compared)
    yield from (
        f"\n**{run.verdict}** {run.scenario} {run.number}: {run.reason}" for run in runs if run.verdict != "PASS"
    )


def document(runs: Sequence[Clean], compared: Sequence[Compared]) -> str:
    """All of it for machines."""
    told = {
        "figures": figures(runs, compared), "compared": [asdict(one) for one in compared],
        "runs": [asdict(one) for one in runs],
    }  # fmt: skip
    return json.dumps(told, indent=1) + "\n"
