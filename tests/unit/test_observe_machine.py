"""What is seen of the machine."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from harness.clock import NS_PER_MS, FakeClock
from harness.observe.machine import StolenShare
from harness.observe.metronome import Metronome


class Times(NamedTuple):
    """Processor seconds as a Linux guest tells them."""

    user: float
    idle: float
    steal: float


class Mac(NamedTuple):
    """Processor seconds as macOS tells them."""

    user: float
    idle: float


def test_the_share_that_the_host_took_counts_from_the_last_question() -> None:
    told = iter([Times(10, 10, 1), Times(15, 14, 2), Times(16, 14, 2)])
    share = StolenShare(lambda: next(told))
    assert [share(), share(), share()] == [None, 0.1, 0.0]


def test_an_operating_system_without_the_word_tells_no_share() -> None:
    told = iter([Mac(1, 1), Mac(2, 2)])
    share = StolenShare(lambda: next(told))
    assert [share(), share()] == [None, None]


def test_a_metronome_keeps_the_latest_tick_of_all_until_it_is_asked() -> None:
    clock = FakeClock()
    metronome = Metronome(clock)
    for late_ms in (0, 131, 3):
        metronome.tick()
        clock.t_ns += (10 + late_ms) * NS_PER_MS
    metronome.tick()
    assert [metronome.longest_gap_s(), metronome.longest_gap_s()] == [pytest.approx(0.131), 0.0]
