"""Recovery: the time from a fault's real end until the objectives hold again, by CUSUM of bad requests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import compress

from harness.checks.base import Codes, Evidence, Selection, Window, inconclusive
from harness.clock import NS_PER_S
from harness.journal.columns import UNFINISHED, RequestColumns, either, flags_of
from harness.receipts.base import FaultSpan, objective_codes
from harness.scenario.promises import Recovery
from harness.statistics import LEAST_SAMPLES, Regained, regained
from harness.system.model import Objective
from harness.units import show_duration
from harness.verdict import CheckResult, Verdict

_BAD_FIRST = bytes([0, 1, 2, 1]) + bytes(252)  # for bytes.translate: bad by one objective, unknown by another is bad
_NOT = bytes([1]) + bytes(255)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What one request name came to."""

    verdict: Verdict
    text: str
    found: Regained | None
    samples: int
    codes: Codes


def judge(promise: Recovery, evidence: Evidence) -> CheckResult:
    """Every request name that has an objective (or the one named) has to be well again in time."""
    limit_s = promise.slo_regained_within_s
    name, span = _fault(promise, evidence)
    title = f"recovery from {name} within {show_duration(limit_s)}"
    bound = f"within {show_duration(limit_s)}"
    by_name: dict[str, list[Objective]] = {}
    for objective in evidence.system.objectives:
        if promise.of in (None, objective.of):
            by_name.setdefault(objective.of, []).append(objective)
    if span is None:
        return inconclusive(promise, title=title, bound=bound, reason=f"there is no fault to recover from: {name}")
    if not by_name:
        of = promise.of or "any request"
        return inconclusive(promise, title=title, bound=bound, reason=f"the system declares no objective for {of}")
    answers = {of: _judge(evidence, of, objectives, span, limit_s) for of, objectives in sorted(by_name.items())}
    decisive = max(answers.values(), key=lambda a: (a.verdict.gravity, (a.found.at_s or 0.0) if a.found else 0.0))
    at_s = decisive.found.at_s if decisive.found else None
    window = Window(name=f"after {name}", spans=((span.end[1], evidence.record.arrivals_end_ns),))
    worst_of = next(of for of, answer in answers.items() if answer is decisive)
    shown = (
        evidence.worst(evidence.select(worst_of, window), decisive.codes) if decisive.verdict is Verdict.FAIL else ()
    )
    return CheckResult(
        check=promise.check,
        title=title,
        verdict=decisive.verdict,
        reason="; ".join(
            f"{of}: {answer.text}" for of, answer in answers.items() if answer.verdict is decisive.verdict
        ),
        bound=bound,
        measured=show_duration(at_s) if at_s is not None else "not seen",
        value=None if at_s is None else round(at_s, 4),
        unit="s",
        samples=sum(answer.samples for answer in answers.values()),
        window=window.name,
        evidence=shown,
    )


def regained_after(
    evidence: Evidence, zone: tuple[int, int], limit_s: float
) -> tuple[Verdict, float | None, str]:  # fmt: skip
    """
    The same question counted from any instant, known to lie in a zone: verdict, seconds until the last of the system's
    objectives held again (0: none ever broke), and why.
    """
    by_name: dict[str, list[Objective]] = {}
    for objective in evidence.system.objectives:
        by_name.setdefault(objective.of, []).append(objective)
    since = FaultSpan(start=zone, end=zone)
    found = {of: _judge(evidence, of, o, since, limit_s) for of, o in sorted(by_name.items()) if evidence.columns(of)}
    if not found:
        return Verdict.INCONCLUSIVE, None, "no request that has an objective was sent"
    gravest = max(answer.verdict.gravity for answer in found.values())
    decisive = {of: answer for of, answer in found.items() if answer.verdict.gravity == gravest}
    instants = [answer.found.at_s for answer in found.values() if answer.found is not None]
    known = [at_s for at_s in instants if at_s is not None]
    at_s = max(known) if known and len(known) == len(found) else None
    told = "; ".join(f"{of}: {_since_start(answer, limit_s)}" for of, answer in decisive.items())
    return next(iter(decisive.values())).verdict, at_s, told


def _since_start(answer: _Answer, limit_s: float) -> str:
    if answer.found is not None and answer.found.at_s == 0 and answer.verdict is Verdict.PASS:
        return f"its objectives never broke, {show_duration(limit_s)} allowed"
    return answer.text.replace("after the fault's end", "after the incident began")


def _fault(promise: Recovery, evidence: Evidence) -> tuple[str, FaultSpan | None]:
    """The fault named, or the last one that ends."""
    spans = evidence.receipts.spans
    name = promise.from_ or promise.during
    if name is not None:
        return name, evidence.named(name)
    if not spans:
        return "no fault was ever on", None
    last = max(spans, key=lambda known: spans[known].end[1])
    return last, spans[last]


def _judge(evidence: Evidence, of: str, objectives: list[Objective], span: FaultSpan, limit_s: float) -> _Answer:
    codes = _codes(evidence, objectives)
    instants, bad, watched_s = _rows(evidence, of, objectives, span, codes)
    if len(instants) < LEAST_SAMPLES:
        text = f"{len(instants)} requests after the fault, {LEAST_SAMPLES} needed"
        return _Answer(verdict=Verdict.INCONCLUSIVE, text=text, found=None, samples=len(instants), codes=codes)
    budget = max(1 - objective.target for objective in objectives)
    found = regained(instants, bad, budget, watched_s)
    uncertain_s = (span.end[1] - span.end[0]) / NS_PER_S
    verdict, text = _verdict(found, limit_s, uncertain_s)
    return _Answer(verdict=verdict, text=text, found=found, samples=len(instants), codes=codes)


def _verdict(found: Regained, limit_s: float, uncertain_s: float) -> tuple[Verdict, str]:
    allowed = f"{show_duration(limit_s)} allowed"
    if found.at_s is None:
        text = f"not recovered in the {found.observed_s:.1f} s observed, {allowed}"
        return (Verdict.FAIL if found.observed_s >= limit_s else Verdict.INCONCLUSIVE), text
    text = f"well again {show_duration(found.at_s)} after the fault's end, {allowed}"
    if found.at_s > limit_s:
        return Verdict.FAIL, text
    if found.held is None:
        text += f", but only {found.observed_s - found.at_s:.1f} s of it were observed, {found.window_s:.1f} s needed"
        return Verdict.INCONCLUSIVE, text
    if not found.held:
        return Verdict.FAIL, f"{text}, but {found.bad_in_window} were bad in the {found.window_s:.1f} s after that"
    if found.relapse_s is not None:
        return Verdict.FAIL, f"{text}, but it relapsed at {show_duration(found.relapse_s)}"
    if found.at_s > 0 and found.at_s + uncertain_s > limit_s:
        return Verdict.INCONCLUSIVE, f"{text}, but the fault's end is only known to {show_duration(uncertain_s)}"
    return Verdict.PASS, text


def _codes(evidence: Evidence, objectives: list[Objective]) -> Codes:
    """Bad is what fails any of the objectives."""

    def codes(columns: RequestColumns, low: int, high: int) -> bytes:
        now_ns = evidence.record.load_ended_ns
        each = (objective_codes(columns, low, high, objective, now_ns) for objective in objectives)
        return reduce(either, each).translate(_BAD_FIRST)

    return codes


def _rows(
    evidence: Evidence, of: str, objectives: list[Objective], span: FaultSpan, codes: Codes
) -> tuple[list[float], bytes, float]:
    """Seconds since the fault's end, bad or not, and how long was watched: the last arrivals had no time to fail."""
    limit_ns = round(max((o.limit_s or 0.0 for o in objectives), default=0.0) * NS_PER_S)
    start_ns = span.end[1]
    end_ns = max(start_ns, evidence.record.arrivals_end_ns - limit_ns)
    window = Window(name="after", spans=((start_ns, end_ns),))
    instants: list[float] = []
    bad = b""
    for columns, low, high in Selection(evidence.columns(of), window).inside:
        own = codes(columns, low, high)
        known = flags_of(own, UNFINISHED).translate(_NOT)
        instants += [(t_ns - start_ns) / NS_PER_S for t_ns in compress(columns.intended_ns[low:high], known)]
        bad += bytes(compress(own, known))
    return instants, bad, (end_ns - start_ns) / NS_PER_S
