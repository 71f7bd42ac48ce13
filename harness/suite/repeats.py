"""
A scenario run several times: every run has to end as declared, and one that ends both ways is FLAKY, never a pass.

Repeats are for learning: a scenario that holds in 98 % of runs fails "every one of ten" 18 % of the time, so the
interval of the pass rate stands beside the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS
from harness.statistics.permutation import clopper_pearson
from harness.suite.result import Result
from harness.units import show_share
from harness.verdict import Verdict

MOST_REPEATS = 1000
_LEAST_VALID, _VALID_SHARE = 3, 0.8

Run = Callable[[Sequence[Path]], Sequence[Result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """What all runs of one scenario come to."""

    scenario: str
    word: str  # PASS, FAIL, FLAKY k/K, INCONCLUSIVE, ERROR
    sentence: str
    exit_code: int
    results: tuple[Result, ...]


def run_repeatedly(paths: Sequence[Path], repeats: int, run: Run, say: Callable[[str], None]) -> list[Repeated]:
    """
    Run every scenario `repeats` times, scenario after scenario, those that ended INCONCLUSIVE once more. run: runs
    scenarios and gives their results, in order.
    """
    found = []
    for path in paths:
        results = list(run([path] * repeats))
        again = sum(_open(result) for result in results)
        if again:
            say(f"{path.stem}: {again} of {repeats} runs were inconclusive; running so many again")
            results += run([path] * again)
        found.append(judge_repeats(results, repeats))
    return found


def judge_repeats(results: Sequence[Result], repeats: int) -> Repeated:
    """The answer of at least one result of a scenario that was to be run so many times."""
    errors = [result for result in results if result.error is not None]
    kept = [result for result in results if result.verdict is not None and result.verdict.as_declared]
    broken = [
        r for r in results if r.error is None and r.verdict is not None and not r.verdict.as_declared and not _open(r)
    ]
    conclusive = len(kept) + len(broken)
    needed = min(repeats, max(_LEAST_VALID, math.ceil(_VALID_SHARE * repeats)))

    def answer(word: str, sentence: str, exit_code: int) -> Repeated:
        name = results[0].scenario
        return Repeated(scenario=name, word=word, sentence=sentence, exit_code=exit_code, results=tuple(results))

    if errors:
        return answer("ERROR", f"{len(errors)} of {len(results)} runs: {errors[0].error}", errors[0].exit_code)
    counted = _counted(len(kept), conclusive, len(results))
    if broken:
        reason = broken[0].verdict.reason if broken[0].verdict is not None else ""
        word = f"FLAKY {len(kept)}/{conclusive}" if kept else "FAIL"
        return answer(word, f"{counted}; otherwise {reason}", EXIT_FAIL)
    if conclusive < needed:
        reason = next((r.verdict.reason for r in results if r.verdict is not None and _open(r)), "")
        return answer("INCONCLUSIVE", f"{counted}, {needed} conclusive ones needed: {reason}", EXIT_INCONCLUSIVE)
    return answer("PASS", counted, EXIT_PASS)


def _open(result: Result) -> bool:
    verdict = result.verdict
    return verdict is not None and verdict.verdict is Verdict.INCONCLUSIVE and not verdict.as_declared


def _counted(kept: int, conclusive: int, runs: int) -> str:
    if not conclusive:
        return f"0 of {runs} runs were conclusive"
    low, high = clopper_pearson(kept, conclusive)
    lost = f", {runs - conclusive} inconclusive" if runs > conclusive else ""
    rate = f"at least {show_share(low)}" if kept == conclusive else f"{show_share(low)} .. {show_share(high)}"
    return f"{kept} of {conclusive} conclusive runs ended as declared (pass rate {rate}){lost}"
