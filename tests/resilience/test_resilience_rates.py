"""Percentages in 32 bits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.resilience.rates import java_text, least_count, rate_percent, reaches, to_float32


@given(
    total=st.integers(1, 1000),
    threshold=st.floats(2**-10, 100, width=32),
    data=st.data(),
)
def test_the_integer_verdict_is_the_verdict_of_the_rounded_rate(total, threshold, data):
    """Comparing counts with the least tripping count decides as comparing 32-bit rates does."""
    part = data.draw(st.integers(0, total))
    expected = rate_percent(part, total) >= to_float32(threshold)

    assert expected == (part >= least_count(to_float32(threshold), total))
    assert expected == reaches(part, total, to_float32(threshold))


@given(total=st.integers(1, 5000), data=st.data())
def test_a_threshold_equal_to_a_rate_is_reached(total, data):
    """A threshold written as the rate that Java prints is met by that rate."""
    part = data.draw(st.integers(1, total))
    threshold = to_float32(float(java_text(rate_percent(part, total))))

    assert least_count(threshold, total) <= part


@pytest.mark.parametrize(
    ("value", "text"),
    [(-1.0, "-1.0"), (0.0, "0.0"), (50.0, "50.0"), (100.0, "100.0"), (100 / 3, "33.333332"), (200 / 3, "66.666664"),
     (14.285714285714286, "14.285714"), (0.001, "0.001"), (0.0001, "1.0E-4"), (0.00125, "0.00125"), (1e10, "1.0E10")],
)  # fmt: skip
def test_floats_are_printed_as_java_prints_them(value, text):
    """The fewest digits that mean this 32-bit number, at least one after the point."""
    assert text == java_text(value)
