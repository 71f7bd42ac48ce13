"""Arrival schedules: when requests are meant to start."""

from __future__ import annotations

import itertools

import pytest

from harness.clock import NS_PER_S
from harness.errors import InputError
from harness.load.schedule import Piece, arrivals_ns, pieces_of
from harness.scenario.model import Load, RateSegment


def schedule(arrivals, *, pattern="even", seed=1, duration_s=None, most=100_000):
    pieces = pieces_of(Load(arrivals=arrivals).arrivals)
    return list(itertools.islice(arrivals_ns(pieces, pattern=pattern, seed=seed, duration_s=duration_s), most))


def within(offsets, start_s, end_s):
    return sum(start_s * NS_PER_S <= offset < end_s * NS_PER_S for offset in offsets)


def test_a_constant_rate_is_evenly_spaced_from_the_start():
    """The n-th arrival of a constant rate is due n intervals after the start, to the nanosecond."""
    expected = [n * 25_000_000 for n in range(80)]

    assert expected == schedule("40/s", duration_s=2.0)


def test_even_spacing_does_not_drift():
    """After a million arrivals at a rate that no float holds exactly, the instant is still right."""
    offsets = arrivals_ns([Piece(from_per_s=300, to_per_s=300)], pattern="even", seed=1, duration_s=None)

    assert round(999_999 / 300 * NS_PER_S) == next(itertools.islice(offsets, 999_999, None))


@pytest.mark.parametrize("pattern", ["even", "poisson"])
def test_without_an_end_arrivals_never_stop(pattern):
    """A last piece without a length goes on for as long as it is asked."""
    assert len(schedule("1000/s", pattern=pattern, most=5000)) == 5000


@pytest.mark.parametrize("pattern", ["even", "poisson"])
def test_no_arrival_at_or_after_the_end(pattern):
    """A duration cuts the schedule, whatever pieces are left."""
    arrivals = [{"rate": "100/s", "for": "1s"}, {"from": "100/s", "to": "900/s", "for": "5s"}, {"rate": "50/s"}]
    offsets = schedule(arrivals, pattern=pattern, duration_s=3.0)

    assert offsets[-1] < 3 * NS_PER_S
    assert offsets == sorted(offsets)


def test_steps_hold_as_many_arrivals_as_their_rates_say():
    """Each piece of a step curve has rate times length arrivals, a silent one has none."""
    arrivals = [{"rate": "10/s", "for": "2s"}, {"rate": "0/s", "for": "1s"}, {"rate": "40/s", "for": "1s"}]
    offsets = schedule(arrivals)

    assert [20, 0, 40] == [within(offsets, 0, 2), within(offsets, 2, 3), within(offsets, 3, 4)]
    assert len(offsets) == 60


@pytest.mark.parametrize(("start", "end"), [(0, 100), (100, 0), (20, 60)])
def test_a_ramp_grows_in_a_straight_line(start, end):
    """Up to any instant, a ramp has seen the area under its line, give or take the one arrival under way."""
    offsets = schedule([{"from": f"{start}/s", "to": f"{end}/s", "for": "4s"}])

    for at_s in (1, 2, 3, 4):
        area = start * at_s + (end - start) / 4 * at_s**2 / 2
        assert abs(within(offsets, 0, at_s) - area) <= 1


def test_a_rate_of_nothing_without_an_end_ends():
    """A schedule that can never bring another arrival stops instead of searching for one."""
    assert schedule("0/s") == []


@pytest.mark.parametrize("pattern", ["even", "poisson"])
def test_the_same_seed_gives_the_same_schedule(pattern):
    """Two schedules of one seed are equal; only poisson depends on the seed at all."""
    arrivals = [{"from": "10/s", "to": "200/s", "for": "3s"}, {"rate": "200/s", "for": "2s"}]
    first, again, other = (schedule(arrivals, pattern=pattern, seed=seed) for seed in (7, 7, 8))

    assert first == again
    assert (first == other) == (pattern == "even")


def test_poisson_arrivals_have_the_rate_and_the_irregularity_they_should():
    """Gaps of a Poisson schedule average one over the rate, and their spread equals their mean."""
    offsets = schedule("100/s", pattern="poisson", seed=3, most=20_000)
    gaps_s = [(after - before) / NS_PER_S for before, after in itertools.pairwise(offsets)]
    mean_s = sum(gaps_s) / len(gaps_s)
    spread_s = (sum((gap - mean_s) ** 2 for gap in gaps_s) / len(gaps_s)) ** 0.5

    assert mean_s == pytest.approx(0.01, rel=0.03)
    assert spread_s == pytest.approx(mean_s, rel=0.05)


def test_a_poisson_ramp_follows_its_rate():
    """Poisson arrivals of a ramp are spread as its area is: a quarter of them in the first half of a ramp from zero."""
    offsets = schedule([{"from": "0/s", "to": "4000/s", "for": "10s"}], pattern="poisson", seed=5)

    assert within(offsets, 0, 5) / len(offsets) == pytest.approx(0.25, abs=0.02)


def test_a_piece_without_an_end_must_be_the_last():
    """A piece that would hide those behind it is refused, by number and rate."""
    with pytest.raises(InputError, match="piece 1 of 2 of the arrivals, 10/s"):
        pieces_of([RateSegment(rate="10/s"), RateSegment(rate="20/s")])
