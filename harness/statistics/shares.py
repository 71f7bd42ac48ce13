"""
Shares: how many of n were bad, whether that breaks a promise, and how sure one can be of it.

Every promise about requests is a count of bad ones. The verdict on a run is a census (count, compare); intervals
are shown beside it and mark a verdict as thin, they never decide. Sources: Brown, Cai, DasGupta 2001 (Wilson's
interval for small n); Kish's design effect, with time slices of the run as the clusters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

from harness.verdict import Verdict

LEAST_SAMPLES = 20
SLICES = 20
CONVICTION_ALPHA = 0.01
Z_90 = NormalDist().inv_cdf(0.95)  # two-sided 90 %
_ROUNDING = 1e-9  # 0.01 * 300 is a hair below 3; a whole bad request must not hang on it


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareJudgement:
    """What a count of bad requests says about a promise."""

    verdict: Verdict
    reason: str
    allowed: int
    needed: int  # samples without which it cannot pass


def samples_needed(budget: float) -> int:
    """Fewest samples that can acquit: enough for one bad request to be allowed, and never under 20."""
    return max(LEAST_SAMPLES, math.ceil(1 / budget - _ROUNDING)) if budget > 0 else LEAST_SAMPLES


def judge_share(
    samples: int, bad: int, pending: int, budget: float, *, what: str = "requests", alpha: float = CONVICTION_ALPHA
) -> ShareJudgement:
    """
    Judge a count. budget is the allowed bad share (0..1). pending are those of `samples` that may be bad or not
    (unfinished, or at an uncertain edge of the window); they are judged both ways.

    A small sample can convict (the count alone refutes the promise at alpha) but not acquit.
    """
    needed = samples_needed(budget)
    allowed = math.floor(budget * samples + _ROUNDING)

    def judged(verdict: Verdict, reason: str) -> ShareJudgement:
        return ShareJudgement(verdict=verdict, reason=reason, allowed=allowed, needed=needed)

    if samples == 0:
        return judged(Verdict.INCONCLUSIVE, f"no {what} in the window")
    if samples < needed:
        if bad and (budget <= 0 or binomial_tail(bad, samples, budget) <= alpha):
            return judged(Verdict.FAIL, f"{bad} of {samples} bad: too many even for so few")
        return judged(Verdict.INCONCLUSIVE, f"{samples} {what} in the window, {needed} needed")
    if bad > allowed:
        return judged(Verdict.FAIL, f"{bad} of {samples} bad, {allowed} allowed")
    if bad + pending > allowed:
        return judged(
            Verdict.INCONCLUSIVE,
            f"{bad} of {samples} bad, {allowed} allowed, and {pending} more, unfinished or at an edge of the window,"
            " would decide it",
        )
    return judged(Verdict.PASS, f"{bad} of {samples} bad, {allowed} allowed")


def binomial_tail(least: int, samples: int, share: float) -> float:
    """Chance of `least` or more bad ones among `samples`, each bad with chance `share`."""
    if least <= 0:
        return 1.0
    return max(0.0, 1.0 - math.fsum(_binomial(k, samples, share) for k in range(least)))


def binomial_quantile(chance: float, samples: int, share: float) -> int:
    """The smallest count that is not exceeded with at least this chance."""
    total = 0.0
    for count in range(samples + 1):
        total += _binomial(count, samples, share)
        if total >= chance:
            return count
    return samples


def _binomial(count: int, samples: int, share: float) -> float:
    if share <= 0 or share >= 1:
        return float(count == (0 if share <= 0 else samples))
    ways = math.lgamma(samples + 1) - math.lgamma(count + 1) - math.lgamma(samples - count + 1)
    return math.exp(ways + count * math.log(share) + (samples - count) * math.log1p(-share))


def t_quantile(chance: float, degrees: int) -> float:
    """Student's t, by Fisher's expansion around the normal; error below 1.3 % from 4 degrees of freedom on."""
    z = NormalDist().inv_cdf(chance)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def design_effect(clusters: Iterable[tuple[int, int]]) -> float:
    """
    How much less a request says than an independent one would, at least 1. clusters: (requests, bad ones) of
    equal time slices. Bad requests come in bursts, so n of them are not n observations.
    """
    held = [(size, bad) for size, bad in clusters if size]
    samples = sum(size for size, _ in held)
    bad = sum(count for _, count in held)
    if len(held) < 3 or bad in (0, samples):
        return 1.0
    share = bad / samples
    scatter = sum((count - size * share) ** 2 for size, count in held)
    return max(1.0, scatter * len(held) / (len(held) - 1) / samples / (share * (1 - share)))


def wilson(share: float, effective: float, z: float = Z_90) -> tuple[float, float]:
    """Wilson's interval of a share measured on `effective` independent samples (n / design effect)."""
    if effective <= 0:
        return 0.0, 1.0
    width = 1 + z * z / effective
    centre = (share + z * z / 2 / effective) / width
    half = z * math.sqrt(share * (1 - share) / effective + z * z / 4 / effective**2) / width
    return max(0.0, centre - half), min(1.0, centre + half)
