"""W3C trace context as the shop reads and passes it on."""

from __future__ import annotations

import pytest

from services.shop.trace import Trace

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_trace_is_passed_on_with_a_span_of_its_own():
    """A neighbour sees the caller's trace id and flags, and a parent that is not the caller's."""
    version, trace_id, span, flags = Trace.read(GIVEN).header().split("-")

    assert (version, trace_id, flags) == ("00", "4bf92f3577b34da6a3ce929d0e0e4736", "01")
    assert span != "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        GIVEN.upper(),
        GIVEN + "-more",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
    ],
)
def test_an_unusable_header_starts_a_new_trace(header):
    """Without a trace that can be read, each request gets one of its own."""
    first, second = Trace.read(header), Trace.read(header)

    assert len(first.trace_id) == 32
    assert first.trace_id != second.trace_id
    assert first.trace_id != "4bf92f3577b34da6a3ce929d0e0e4736"
