"""
The numbers of a comparison, and what was found: changes of SLIs, with a verdict each.

Where the numbers come from: a simulation of run summaries and several hundred real runs; `benchmarks/gate.py` measures
the error rates anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.slis import Row, Sli
from harness.verdict import Verdict

LATENCIES = ("p50", "p95", "p99")
AVAILABILITY = "availability"
LEAST_REQUESTS = {"p50": 20, "p95": 100, "p99": 500, AVAILABILITY: 100}  # a run; below that a value says too little
LOG_FLOOR, ARCSINE_FLOOR = 0.02, 0.008  # what a standard deviation is at least taken for
# Schedule error p99 above which a run says more of the machine than of the version. A run may be judged up to 10 ms; to
# be compared it has to be more punctual: the load runs at a higher priority than the services, so what starves them shows
# less in it. Noise of p95 between runs of one version, measured: below 7 ms 7 to 9 %, above it 20 to 40 %.
LATEST_MS = 7.0
LATENESS_UNKNOWN = "how late its requests were sent is not known"

_LOOKS = {0.005: ((7, 0.001), (10, 0.001), (16, 0.0015), (24, 0.0015)),
          0.01: ((6, 0.002), (10, 0.002), (16, 0.003), (24, 0.003))}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """
    looks: after how many pairs the data are looked at, and the p-value at which a look may end in FAIL; their sum is
    the chance of a false alarm in the whole comparison. A FAIL needs the size too, a PASS a bound below the tolerance.
    """

    looks: tuple[tuple[int, float], ...] = _LOOKS[0.005]
    size: float = 0.10  # latency: share by which it must have grown
    size_ms: float = 2.0
    size_share: float = 0.005  # availability: share of requests
    tolerance: float = 0.20
    tolerance_ms: float = 4.0  # a latency that can have grown by no more has not grown, whatever share of it that is
    tolerance_share: float = 0.01

    @property
    def family_error(self) -> float:
        return sum(p for _, p in self.looks)

    @property
    def most_pairs(self) -> int:
        return self.looks[-1][0]


def rules_of(family_error: float, most_pairs: int | None = None) -> Rules:
    """
    The rules at a family error of 0.5 % or 1 %. most_pairs ends earlier: looks beyond it are left out, and a number
    below the first look is one look of its own, at the whole error. Raises KeyError, ValueError.
    """
    looks = _LOOKS[family_error]
    if most_pairs is None or most_pairs >= looks[-1][0]:
        return Rules(looks=looks)
    if most_pairs < FEWEST_PAIRS:
        raise ValueError(f"{most_pairs} pairs can never show a change beyond chance; at least {FEWEST_PAIRS} can")
    kept = [look for look in looks if look[0] <= most_pairs]
    spent = sum(p for _, p in kept)
    if not kept or kept[-1][0] < most_pairs:
        kept.append((most_pairs, family_error - spent))
    return Rules(looks=tuple(kept))


FEWEST_PAIRS = 5  # with 3 or 4 the smallest p there is is 1/20 or 1/70


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One SLI of one scenario, old against new."""

    scenario: str
    of: str  # the request's name
    sli: str  # p50, p95, p99 or availability
    old: float  # ms, or a share of good requests
    new: float
    shift: float  # latency: share by which it grew; availability: share of requests by which it fell
    low: float  # 95 % interval of the shift
    high: float
    bound: float  # the shift is below this with 99 % chance
    p: float  # one-sided, over all SLIs at once
    noise: float  # standard deviation between runs: of the log of a latency, or of the share
    verdict: Verdict
    gated: bool = True

    @property
    def name(self) -> str:
        return f"{self.sli} of {self.of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a comparison says of one scenario."""

    scenario: str
    verdict: Verdict
    pairs: int
    sentence: str
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()


def late(row: Row) -> str | None:
    """Why a run may not be compared: its own doubt, or a load that was sent too late. None: it may."""
    if row.doubt is not None:
        return row.doubt
    error_ms = row.schedule_error_p99_ms
    if error_ms is not None and error_ms > LATEST_MS:
        return f"schedule error p99 {error_ms:.0f} ms (limit {LATEST_MS:.0f} ms to be compared)"
    return None


def value_of(sli: Sli, name: str) -> float | None:
    """An SLI's value in the run: ms, or the share of good requests. None where the run is too small for it."""
    if name == AVAILABILITY:
        return None if sli.bad_share is None or sli.requests < LEAST_REQUESTS[name] else 1 - sli.bad_share
    value: float | None = getattr(sli, f"{name}_ms")
    return value if sli.good >= LEAST_REQUESTS[name] else None


def scaled(name: str, value: float) -> float:
    """The value on the scale on which noise is even, larger being worse."""
    if name == AVAILABILITY:
        return math.asin(math.sqrt(max(0.0, min(1.0, 1 - value))))
    return math.log(max(value, 1e-6))


def floor_of(name: str) -> float:
    return ARCSINE_FLOOR if name == AVAILABILITY else LOG_FLOOR


def shared_slis(rows: Sequence[Row]) -> tuple[list[tuple[str, str]], list[str]]:
    """The (request, SLI) pairs that every run has a value of, and sentences on those that only some have."""
    names = sorted({name for row in rows for name in row.slis})
    found, notes = [], []
    for of in names:
        for sli in (*LATENCIES, AVAILABILITY):
            having = sum(of in row.slis and value_of(row.slis[of], sli) is not None for row in rows)
            if having == len(rows):
                found.append((of, sli))
            elif sli == "p95" or (having and sli != "p99"):
                fewest = min(row.slis[of].requests if of in row.slis else 0 for row in rows)
                notes.append(
                    f"{sli} of {of} is not compared: a run has {fewest} requests, {LEAST_REQUESTS[sli]} needed"
                )
    return found, notes
