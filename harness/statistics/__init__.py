"""The formulas of verdicts: shares, quantiles, edges of faults, steadiness, recovery. Numbers in, numbers out."""

from __future__ import annotations

from harness.statistics.edges import AffectedShare, affected_share, best_segment
from harness.statistics.quantiles import median, nearest_rank, printable, quantile_interval
from harness.statistics.recovery import Regained, drift, regained
from harness.statistics.shares import (
    LEAST_SAMPLES,
    SLICES,
    ShareJudgement,
    binomial_quantile,
    binomial_tail,
    design_effect,
    judge_share,
    samples_needed,
    t_quantile,
    wilson,
)
from harness.statistics.steadiness import Trend, backlog_grows, trend, warm_up_end

__all__ = [
    "LEAST_SAMPLES",
    "SLICES",
    "AffectedShare",
    "Regained",
    "ShareJudgement",
    "Trend",
    "affected_share",
    "backlog_grows",
    "best_segment",
    "binomial_quantile",
    "binomial_tail",
    "design_effect",
    "drift",
    "judge_share",
    "median",
    "nearest_rank",
    "printable",
    "quantile_interval",
    "regained",
    "samples_needed",
    "t_quantile",
    "trend",
    "warm_up_end",
    "wilson",
]
