"""
Degradation: which source each answer came from, as the answer itself says (`x-source: product=last-known@3.2`), and how
stale it was.

A request without an answer, or with an error, came from no source and counts against a lower bound; so does an answer
that keeps its source to itself.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace

from harness.checks.base import (
    BAD,
    GOOD,
    LEFT_OUT,
    UNFINISHED,
    Answers,
    Codes,
    Evidence,
    Selection,
    inconclusive,
    judge_good,
    of_whom,
    percent,
)
from harness.journal.columns import RequestColumns
from harness.scenario.promises import Degradation
from harness.units import show_duration
from harness.verdict import CheckResult, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an answer says of one of its parts. stale_s is 0 for what is not stale."""

    source: str
    stale_s: float


def told_of(part: str, text: str | None) -> Told | None:
    """What the words of an answer say of a part; None when they say nothing of it."""
    found = re.search(rf"(?:^|[,;\s]){re.escape(part)}=([^@,;\s]+)(?:@(\d+(?:\.\d+)?))?", text or "")
    return None if found is None else Told(source=found[1], stale_s=float(found[2] or 0.0))


def judge(promise: Degradation, evidence: Evidence) -> CheckResult:
    """The share of answers from the sources meant, and the age of the oldest of them."""
    wanted = ", ".join(promise.sources)
    title = f"{promise.part} of {of_whom(promise.of)} from {wanted}"
    window = evidence.window(promise)
    selection = evidence.select(promise.of, window)
    mix, oldest_s = _mix(promise, selection)
    if not mix and not _ever_told(promise, evidence):
        reason = f"no answer says where its {promise.part} is from"
        return inconclusive(promise, title=title, reason=reason, window=window.name)
    results, answers = [], Answers()
    for share, meant in ((promise.at_least, True), (promise.at_most, False)):
        if share is not None:
            codes = _codes(promise, meant=meant)
            least = share if meant else 1 - share
            result = judge_good(promise, evidence, selection, codes, least=least, title=title)
            results.append(result)
            answers.add(result.verdict, result.reason if meant else _other_side(result, share))
    if promise.stale_at_most_s is not None and not mix:
        answers.add(Verdict.INCONCLUSIVE, f"no answer in the window says where its {promise.part} is from")
    elif promise.stale_at_most_s is not None:
        limit_s = promise.stale_at_most_s
        text = f"the oldest was {show_duration(oldest_s)} old, {show_duration(limit_s)} allowed"
        answers.hold(oldest_s <= limit_s, text)
    total = sum(mix.values())
    shares = ", ".join(f"{source} {percent(count / total)}" for source, count in mix.most_common()) or "nothing"
    worst = max(results, key=lambda r: r.verdict.gravity, default=None)
    blank = CheckResult(
        check=promise.check, title=title, verdict=answers.verdict, reason="", bound="", measured="", window=window.name
    )
    return replace(
        worst or blank,
        title=title,
        verdict=answers.verdict,
        reason=f"{answers.reason}; told: {shares}",
        bound=_bound(promise),
        measured=f"{shares}; oldest {show_duration(oldest_s)}",
        samples=max(total, worst.samples if worst is not None else 0),
        thin=bool(worst and worst.thin and worst.verdict is answers.verdict),
        evidence=worst.evidence if worst is not None and answers.verdict is Verdict.FAIL else (),
    )


def _ever_told(promise: Degradation, evidence: Evidence) -> bool:
    """Whether any answer of the run tells the source of this part: then silence in a window is a finding."""
    return any(told_of(promise.part, word) for c in evidence.columns(promise.of) for word in c.fallbacks.words)


def _mix(promise: Degradation, selection: Selection) -> tuple[Counter[str], float]:
    """Answers by source, and the age of the oldest stale one from the sources meant, in seconds."""
    mix: Counter[str] = Counter()
    oldest_s = 0.0
    for columns, low, high in selection.inside:
        told = [told_of(promise.part, word) for word in columns.fallbacks.words]
        for number, count in Counter(columns.fallback[low:high]).items():
            one = told[number]
            if one is not None:
                mix[one.source] += count
                oldest_s = max(oldest_s, one.stale_s if one.source in promise.sources else 0.0)
    return mix, oldest_s


def _codes(promise: Degradation, *, meant: bool) -> Codes:
    """Good is an answer from one of the sources (meant) or from another (not meant)."""
    everybody = promise.of is None  # then only who tells the source of this part is spoken of

    def codes(columns: RequestColumns, low: int, high: int) -> bytes:
        told = [told_of(promise.part, word) for word in columns.fallbacks.words]
        code_of = [_code(one, promise.sources, meant=meant, left_out=everybody) for one in told]
        found = bytearray(map(code_of.__getitem__, columns.fallback[low:high]))
        for place, outcome in enumerate(columns.outcome[low:high]):
            if outcome == UNFINISHED:
                found[place] = UNFINISHED
        return bytes(found)

    return codes


def _code(told: Told | None, sources: tuple[str, ...], *, meant: bool, left_out: bool) -> int:
    if told is None:
        return LEFT_OUT if left_out else BAD if meant else GOOD
    return GOOD if (told.source in sources) is meant else BAD


def _other_side(result: CheckResult, most: float) -> str:
    share = 0.0 if result.value is None else 1 - result.value / 100
    return f"{percent(share)} were from there, at most {percent(most)} promised"


def _bound(promise: Degradation) -> str:
    parts = []
    if promise.at_least is not None:
        parts.append(f"at least {percent(promise.at_least)}")
    if promise.at_most is not None:
        parts.append(f"at most {percent(promise.at_most)}")
    if promise.stale_at_most_s is not None:
        parts.append(f"at most {show_duration(promise.stale_at_most_s)} old")
    return ", ".join(parts)
