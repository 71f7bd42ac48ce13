"""
The rules of a gate: every scenario gets an answer, the gravest answer is the job's.

A scenario that ended both as declared and not is FLAKY, with all its runs, and fails unless the policy lets it: trying
a job again must not turn a FAIL into a PASS that nobody hears of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.comparison.document import Comparison
from harness.comparison.rules import Compared
from harness.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS
from harness.gate.evidence import Found, Seen, thin_promises
from harness.gate.policy import Doubt, LoadedPolicy, Policy
from harness.statistics.permutation import clopper_pearson
from harness.units import show_share
from harness.verdict import RunVerdict, Verdict, worst


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A line of a person's file that an answer is about."""

    file: str
    line: int | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the gate says of one scenario, or of one scenario of a comparison."""

    subject: str
    kind: str  # promises | regression
    verdict: Verdict
    word: str  # PASS, FAIL, FLAKY 2/3, INCONCLUSIVE, MISSING
    reason: str
    warning: bool = False  # let through by the policy, and told
    runs: tuple[str, ...] = ()  # each run with how it ended, when there are several
    folders: tuple[Path, ...] = ()
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """The answer of a gate."""

    answers: tuple[Answer, ...]

    @property
    def verdict(self) -> Verdict:
        return worst(answer.verdict for answer in self.answers)

    @property
    def exit_code(self) -> int:
        codes = {Verdict.PASS: EXIT_PASS, Verdict.FAIL: EXIT_FAIL, Verdict.INCONCLUSIVE: EXIT_INCONCLUSIVE}
        return codes[self.verdict]


def judge_gate(loaded: LoadedPolicy, found: Found) -> GateResult:
    """Every scenario that was run or is required, then every comparison."""
    by_name: dict[str, list[Seen]] = {}
    for seen in found.runs:
        by_name.setdefault(seen.scenario, []).append(seen)
    compared = {one.scenario for comparison in found.comparisons for one in comparison.scenarios}
    answers = [_scenario(name, runs, loaded.policy) for name, runs in sorted(by_name.items())]
    answers += [
        _missing(name, line, loaded)
        for name, line in loaded.required.items()
        if name not in by_name and name not in compared
    ]
    answers += [_regression(one, c, loaded.policy) for c in found.comparisons for one in c.scenarios]
    if loaded.policy.regression.required and not found.comparisons:
        reason = "the policy requires a comparison with another version, and none was given"
        absent = Answer(subject="comparison", kind="regression", verdict=Verdict.FAIL, word="MISSING", reason=reason)
        answers.append(_counted(absent, loaded.policy.missing))
    return GateResult(answers=tuple(answers))


def _scenario(name: str, runs: Sequence[Seen], policy: Policy) -> Answer:
    """One scenario's answer from all of its runs."""
    answer = Answer(
        subject=name, kind="promises", verdict=Verdict.PASS, word="PASS", reason="",
        runs=tuple(_told(seen) for seen in runs) if len(runs) > 1 else (), folders=tuple(s.folder for s in runs),
    )  # fmt: skip
    kept = [seen for seen in runs if seen.verdict is not None and seen.verdict.as_declared]
    broken = [seen for seen in runs if seen.verdict is not None and _broken(seen.verdict)]
    conclusive = len(kept) + len(broken)
    if broken:
        return _with_broken(answer, kept, broken, policy)
    if conclusive < policy.runs_at_least:
        reason = _without_verdict(runs, conclusive, policy)
        return _counted(replace(answer, word="INCONCLUSIVE", reason=reason), policy.inconclusive)
    thin = [title for seen in kept if seen.verdict is not None for title in thin_promises(seen.verdict)]
    if thin and policy.thin == "inconclusive":
        reason = f"kept by less than the scatter within the run: {'; '.join(dict.fromkeys(thin))}"
        return _counted(replace(answer, word="THIN", reason=reason), policy.inconclusive)
    reason = kept[0].verdict.reason if kept[0].verdict is not None else ""
    if len(runs) > 1:
        low, _ = clopper_pearson(len(kept), conclusive)
        lost = f", {len(runs) - conclusive} inconclusive" if len(runs) > conclusive else ""
        reason = f"{len(kept)} of {conclusive} runs as declared{lost} (pass rate at least {show_share(low)}); {reason}"
    return replace(answer, reason=reason)


def _broken(verdict: RunVerdict) -> bool:
    """Ended otherwise than declared, and with evidence."""
    return not verdict.as_declared and verdict.verdict is not Verdict.INCONCLUSIVE


def _with_broken(answer: Answer, kept: Sequence[Seen], broken: Sequence[Seen], policy: Policy) -> Answer:
    first = broken[0].verdict
    assert first is not None, "chosen by its verdict"
    failed = replace(answer, verdict=Verdict.FAIL, word="FAIL", reason=_why_broken(first), places=_places(broken))
    if not kept:
        return failed
    runs = len(kept) + len(broken)
    low, high = clopper_pearson(len(kept), runs)
    rate = f"pass rate between {show_share(low)} and {show_share(high)}"
    reason = f"{len(kept)} of {runs} runs as declared ({rate}); otherwise {failed.reason}"
    flaky = replace(failed, word=f"FLAKY {len(kept)}/{runs}", reason=reason)
    return _counted(flaky, policy.flaky)


def _why_broken(verdict: RunVerdict) -> str:
    if verdict.declared is Verdict.PASS:
        return verdict.reason
    because = f" because of {verdict.because}" if verdict.because else ""
    return f"declared {verdict.declared.value}{because}, ended {verdict.verdict.value}: {verdict.reason}"


def _places(broken: Sequence[Seen]) -> tuple[Place, ...]:
    """The lines of the promises that were broken; of a run that should have failed, the scenario's first."""
    found: dict[tuple[str, int | None], Place] = {}
    for seen in broken:
        if seen.scenario_file is None or seen.verdict is None:
            continue
        checks = zip(seen.verdict.checks, seen.lines, strict=False)
        lines = [(line, f"{c.title}: {c.reason}") for c, line in checks if c.verdict is Verdict.FAIL]
        for line, message in lines or [(1, _why_broken(seen.verdict))]:
            found.setdefault((seen.scenario_file, line), Place(file=seen.scenario_file, line=line, message=message))
    return tuple(found.values())


def _without_verdict(runs: Sequence[Seen], conclusive: int, policy: Policy) -> str:
    """Why there are too few conclusive runs."""
    without = next((s for s in runs if s.verdict is None or not s.verdict.as_declared), None)
    why = "" if without is None else without.problem or (without.verdict.reason if without.verdict else "")
    if policy.runs_at_least == 1:
        return why
    return f"{conclusive} conclusive runs, {policy.runs_at_least} needed{f': {why}' if why else ''}"


def _counted(answer: Answer, counts_as: Doubt) -> Answer:
    """An answer whose weight the policy decides."""
    weights = {"inconclusive": Verdict.INCONCLUSIVE, "fail": Verdict.FAIL, "warn": Verdict.PASS}
    return replace(answer, verdict=weights[counts_as], warning=counts_as == "warn")


def _missing(name: str, line: int | None, loaded: LoadedPolicy) -> Answer:
    reason = "the policy requires it, and no run of it was given"
    places = () if loaded.file is None else (Place(file=str(loaded.file), line=line, message=f"{name}: {reason}"),)
    answer = Answer(
        subject=name, kind="promises", verdict=Verdict.FAIL, word="MISSING", reason=reason, places=places
    )  # fmt: skip
    return _counted(answer, loaded.policy.missing)


def _regression(one: Compared, comparison: Comparison, policy: Policy) -> Answer:
    answer = Answer(
        subject=f"{one.scenario} ({comparison.new} against {comparison.old})", kind="regression", verdict=one.verdict,
        word=one.verdict.value, reason="; ".join((one.sentence, *one.notes)),
        folders=() if comparison.folder is None else (comparison.folder,),
    )  # fmt: skip
    return _counted(answer, policy.regression.inconclusive) if one.verdict is Verdict.INCONCLUSIVE else answer


def _told(seen: Seen) -> str:
    if seen.verdict is None:
        return f"{seen.run}: not judged: {seen.problem}"
    met = "as declared" if seen.verdict.as_declared else "NOT as declared"
    return f"{seen.run}: {seen.verdict.verdict.value}, {met}: {seen.verdict.reason}"
