"""
Waits until this machine can keep a schedule, before a run that a busy machine kept from its verdict is tried again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

QUIET_P99_S = 0.005  # a dry run this precise is quiet (half of the 10 ms that the load's receipt allows)
TICK_S = 0.01
TICKS = 100
LONGEST_WAIT_S = 60.0


def oversleep_p99_s(*, sleep: Callable[[float], None] = time.sleep, now: Callable[[], float] = time.monotonic) -> float:
    """By how many seconds this process wakes up late, at p99, over a dry run of a second."""
    late = []
    for _ in range(TICKS):
        start = now()
        sleep(TICK_S)
        late.append(now() - start - TICK_S)
    return sorted(late)[math.ceil(0.99 * TICKS) - 1]


def wait_until_quiet(say: Callable[[str], None], *, measure: Callable[[], float] = oversleep_p99_s) -> bool:
    """
    Dry runs of a second each until one is quiet, a minute at most; says what it waits for.

    Returns whether the machine became quiet.
    """
    started = time.monotonic()
    while (late_s := measure()) > QUIET_P99_S:
        if time.monotonic() - started > LONGEST_WAIT_S:
            return False
        say(f"waiting for a quiet machine: it wakes {late_s * 1000:.0f} ms late (quiet: {QUIET_P99_S * 1000:.0f} ms)")
    return True
