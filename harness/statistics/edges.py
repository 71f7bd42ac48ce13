"""
When a fault was really on, and on how much of the traffic, from the rows of one link.

Share by Abbott's formula (what was affected beyond the background); edges by the best-scoring segment of the
sequence of affected and unaffected rows (Kadane; Karlin and Altschul's maximal scoring segment).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import sub

from harness.statistics.shares import design_effect, wilson


@dataclass(frozen=True, slots=True, kw_only=True)
class AffectedShare:
    """The share of rows a fault affected, beyond those that looked so without it, with its 90 % bounds."""

    share: float
    lower: float
    upper: float
    before: float  # share that looks affected in the steady phase
    during: float


def affected_share(before: Sequence[tuple[int, int]] | None, during: Sequence[tuple[int, int]]) -> AffectedShare:
    """
    Abbott's corrected share. Both arguments: (rows, affected rows) of equal time slices; neither may be empty.
    before: None where nothing but the fault can make a row look affected, so that there is no background.
    """
    steady, steady_low, steady_high = (0.0, 0.0, 0.0) if before is None else _share(before)
    hurt, hurt_low, hurt_high = _share(during)

    def beyond(affected: float, background: float) -> float:
        return (affected - background) / (1 - background) if background < 1 else 0.0

    return AffectedShare(
        share=beyond(hurt, steady),
        lower=beyond(hurt_low, steady_high),
        upper=beyond(hurt_high, steady_low),
        before=steady,
        during=hurt,
    )


def _share(slices: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
    rows = sum(size for size, _ in slices)
    share = sum(bad for _, bad in slices) / rows
    low, high = wilson(share, rows / design_effect(slices))
    return share, low, high


def best_segment(affected: bytes, share: AffectedShare, samples: tuple[int, int]) -> tuple[int, int] | None:
    """
    The best-scoring segment of affected rows, as the places of its first row and of the row after it. affected: 1 for
    each affected row, 0 for the others, in the order in which they passed; samples: rows in the steady phase and
    during the fault, which keep the two shares away from 0 and 1. None: no segment scores.
    """
    steady_rows, fault_rows = samples
    off = min(max(share.before, 0.5 / max(1, steady_rows)), 0.9)
    on = min(max(share.during, off + 0.02), 1 - 0.5 / max(1, fault_rows))
    if on <= off or not affected:
        return None
    scores = (math.log((1 - on) / (1 - off)), math.log(on / off))
    totals = list(accumulate(map(scores.__getitem__, affected), initial=0.0))
    gains = list(map(sub, totals, accumulate(totals, min)))
    best = max(gains)
    if best <= 0:
        return None
    stop = gains.index(best)
    return totals.index(min(totals[: stop + 1])), stop
