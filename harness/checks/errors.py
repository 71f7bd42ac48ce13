"""Errors: which kinds may appear and how often. A kind is `refused`, `reset`, `read_timeout`, `status 503` ..."""

from __future__ import annotations

from collections import Counter

from harness.checks.base import GOOD, UNFINISHED, Codes, Evidence, bad_interval, is_thin, of_whom, percent
from harness.journal.columns import RequestColumns, either, flags_of
from harness.scenario.promises import Errors
from harness.statistics import judge_share
from harness.verdict import CheckResult, Verdict

_PENDING = bytes([GOOD, UNFINISHED]) + bytes(254)  # for bytes.translate: a flag as the code UNFINISHED


def judge(promise: Errors, evidence: Evidence) -> CheckResult:
    """A kind that must not appear convicts by one request; the share of errors is judged as a count."""
    window = evidence.window(promise)
    selection = evidence.select(promise.of, window)
    kinds: Counter[str] = Counter()
    for columns, low, high in selection.inside:
        words = columns.errors.words
        numbers = Counter(columns.error[low:high])
        kinds.update({str(words[number]): times for number, times in numbers.items() if words[number] is not None})
    codes = _codes(promise, evidence)
    strangers = selection.count(codes)
    any_error = selection.count(evidence.outcomes)
    forbidden = judge_share(strangers.samples, strangers.bad, strangers.pending, 0.0)
    undecided = any_error.pending if promise.at_most < 1 else 0  # with no bound there is nothing left to decide
    often = judge_share(any_error.samples, any_error.bad, undecided, promise.at_most)
    decisive = forbidden if _chooses(promise) and forbidden.verdict.gravity >= often.verdict.gravity else often
    seen = ", ".join(f"{times} {kind}" for kind, times in kinds.most_common(6)) or "no error"
    reason = f"{seen} among {any_error.samples} requests"
    if decisive is forbidden and forbidden.verdict is not Verdict.INCONCLUSIVE:
        reason += f"; {strangers.bad} of a kind that must not appear"
    else:
        reason += f"; {decisive.reason}"
    interval = bad_interval(any_error)
    share = any_error.bad / any_error.samples if any_error.samples else 0.0
    return CheckResult(
        check=promise.check,
        title=f"errors of {of_whom(promise.of)}: {_bound(promise)}",
        verdict=decisive.verdict,
        reason=reason,
        bound=_bound(promise),
        measured=f"{percent(share)}: {seen}" if any_error.samples else "nothing",
        value=round(share * 100, 4) if any_error.samples else None,
        unit="%",
        samples=any_error.samples,
        window=window.name,
        thin=decisive is often and promise.at_most < 1 and is_thin(often.verdict, interval, promise.at_most),
        interval=(round(interval[0] * 100, 4), round(interval[1] * 100, 4)),
        evidence=(
            evidence.worst(selection, codes if decisive is forbidden else evidence.outcomes)
            if decisive.verdict is Verdict.FAIL
            else ()
        ),
    )


def _chooses(promise: Errors) -> bool:
    return promise.only is not None or bool(promise.none_of)


def _codes(promise: Errors, evidence: Evidence) -> Codes:
    """Bad are only requests with an error of a kind that must not appear."""
    allowed = None if promise.only is None else {_kind(word) for word in promise.only}
    barred = {_kind(word) for word in promise.none_of}

    def codes(columns: RequestColumns, low: int, high: int) -> bytes:
        words = columns.errors.words
        bad = [
            word is not None and word != "unfinished"
            and (_kind(word) in barred or (allowed is not None and _kind(word) not in allowed))
            for word in words
        ]  # fmt: skip
        own = bytes(map(bad.__getitem__, columns.error[low:high]))
        return either(own, flags_of(evidence.outcomes(columns, low, high), UNFINISHED).translate(_PENDING))

    return codes


def _kind(word: str) -> str:
    """`503` and `status 503` are the same kind."""
    word = " ".join(str(word).split())
    return f"status {word}" if word.isdigit() else word


def _bound(promise: Errors) -> str:
    parts = []
    if promise.only is not None:
        parts.append(f"only {', '.join(promise.only) or 'none'}")
    if promise.none_of:
        parts.append(f"no {', '.join(promise.none_of)}")
    if promise.at_most < 1 or not parts:
        parts.append(f"at most {percent(promise.at_most)}")
    return ", ".join(parts)
