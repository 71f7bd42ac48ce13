"""Rows of runs that never were, for tests of comparisons: log-normal latencies, binomial errors, seeded."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from harness.slis import Row, Sli

ORDERS = "POST /orders"


def row(
    number: int = 0, *, p50: float = 50.0, p95: float = 100.0, requests: int = 1000, bad: int = 0, **other: Any
) -> Row:
    sli = Sli(requests=requests, bad=bad, good=requests - bad, p50_ms=p50, p95_ms=p95, p99_ms=1.5 * p95)
    values: dict[str, Any] = {
        "run": f"run-{number}", "scenario": "checkout", "verdict": "PASS", "as_declared": True, "reason": "kept",
        "started_s": 1_700_000_000.0 + number, "doubt": None, "machine_to_blame": False, "schedule_error_p99_ms": 2.0,
        "seed": 1, "harness": "0.1.0", "commit": "abc", "machine": {"system": "Linux", "cores": 2},
        "slis": {ORDERS: sli},
    }  # fmt: skip
    return Row(**{**values, **other})


class Versions:
    """Draws runs of two versions: the new one's p95 is `slower` times the old one's, its bad share is `worse` more."""

    def __init__(self, *, noise: float = 0.08, slower: float = 1.0, worse: float = 0.0, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.noise, self.slower, self.worse = noise, slower, worse
        self.asked: list[tuple[int, str, int]] = []

    def __call__(self, side: int, scenario: str, seed: int) -> Row:
        self.asked.append((side, scenario, seed))
        wobble = math.exp(self.random.gauss(0, self.noise))
        p50, p95 = 50 * math.exp(self.random.gauss(0, self.noise / 2)), 100 * wobble * (self.slower if side else 1)
        share = 0.003 + (self.worse if side else 0)
        bad = sum(self.random.random() < share for _ in range(1000))
        return row(len(self.asked), p50=p50, p95=p95, bad=bad, scenario=scenario)

    def runs(self, side: int, count: int) -> Sequence[Row]:
        return [self(side, "checkout", number) for number in range(count)]
