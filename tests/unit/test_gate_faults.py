"""Which requests a gate fault hits."""

from __future__ import annotations

import pytest

from harness.links.gate.answers import status_answer
from harness.links.gate.faults import FaultSpec, FaultSpecError, GateFault, LinkFaults

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def fault(**spec):
    return GateFault("f", FaultSpec.of({"kind": "abort", **spec}))


def hits(subject, count, method="GET", path="/", trace=None):
    return [subject.hit(method, path, trace, 0) for _ in range(count)]


def test_first_hits_so_many_and_no_more():
    """`first: 2` hits the first two requests that match."""
    assert hits(fault(first=2), 4) == [True, True, False, False]


def test_every_hits_the_nth():
    """`every: 3` hits the third, the sixth and so on."""
    assert hits(fault(every=3), 6) == [False, False, True, False, False, True]


def test_without_a_choice_all_are_hit():
    """A fault without first, every or share hits every request that matches."""
    assert hits(fault(), 3) == [True] * 3


def test_the_same_seed_gives_the_same_picks():
    """`share` draws from the seed alone: the same seed picks the same requests, another seed others."""
    picks = hits(fault(share=0.3, seed=11), 500)

    assert picks == hits(fault(share=0.3, seed=11), 500)
    assert picks != hits(fault(share=0.3, seed=12), 500)
    assert 100 < sum(picks) < 200


@pytest.mark.parametrize(("share", "expected"), [(0, 0), (1, 50)])
def test_shares_at_the_ends(share, expected):
    """A share of nothing hits nothing, a share of all hits all."""
    assert expected == sum(hits(fault(share=share), 50))


@pytest.mark.parametrize(
    ("spec", "request_seen", "expected"),
    [
        ({"methods": ["post"]}, ("POST", "/", None), True),
        ({"methods": ["POST"]}, ("GET", "/", None), False),
        ({"path": "/payments*"}, ("GET", "/payments/7/items?x=1", None), True),
        ({"path": "/payments"}, ("GET", "/payments?x=1", None), True),
        ({"path": "/payments"}, ("GET", "/payments/7", None), False),
        ({"trace": [TRACE.upper()]}, ("GET", "/", TRACE), True),
        ({"trace": [TRACE]}, ("GET", "/", None), False),
    ],
)
def test_matchers(spec, request_seen, expected):
    """Method, path without its query, and trace narrow a fault down."""
    assert expected is fault(**spec).hit(*request_seen, 0)


def test_only_matching_requests_are_counted():
    """`first` counts the requests that match, not those that pass by."""
    subject = fault(path="/a", first=1)

    assert [subject.hit("GET", path, None, 0) for path in ("/b", "/a", "/a")] == [False, True, False]
    assert (subject.matched, subject.hits) == (2, 1)


def test_an_expired_fault_is_inert():
    """From expires_ns on a fault neither hits nor counts."""
    subject = fault(expires_ns=100)

    assert [subject.hit("GET", "/", None, now_ns) for now_ns in (99, 100)] == [True, False]
    assert subject.matched == 1


def test_delays_add_up_and_the_first_ending_wins():
    """Several faults on one request: all delays, one ending, and the ending that lost does not count it."""
    faults = LinkFaults()
    faults.switch_on("slow", FaultSpec.of({"kind": "delay", "delay_ms": 20}))
    faults.switch_on("broken", FaultSpec.of({"kind": "status", "status": 503}))
    cut = faults.switch_on("cut", FaultSpec.of({"kind": "abort"}))
    faults.switch_on("slower", FaultSpec.of({"kind": "delay", "delay_ms": 30}))
    decision = faults.decide("GET", "/", None, 0)

    assert decision.delay_ms == 50
    assert decision.ends is not None
    assert decision.ends.status == 503
    assert decision.names == ("slow", "broken", "slower")
    assert cut.matched == 0


def test_no_request_is_held_beyond_the_lease():
    """A delay ends with the lease of its fault at the latest."""
    faults = LinkFaults()
    faults.switch_on("slow", FaultSpec.of({"kind": "delay", "delay_ms": 1000, "expires_ns": 5_000_000}))

    assert faults.decide("GET", "/", None, 2_000_000).delay_ms == 3


def test_renewing_a_lease_keeps_the_count():
    """The same fault with a later expiry goes on counting; with another spec it begins again."""
    faults = LinkFaults()
    faults.switch_on("f", FaultSpec.of({"kind": "abort", "first": 1, "expires_ns": 10}))
    faults.decide("GET", "/", None, 0)
    renewed = faults.switch_on("f", FaultSpec.of({"kind": "abort", "first": 1, "expires_ns": 20}))
    replaced = faults.switch_on("f", FaultSpec.of({"kind": "abort", "first": 2}))

    assert (renewed.matched, replaced.matched) == (1, 0)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"kind": "explode"},
        {"kind": "status"},
        {"kind": "status", "status": 99},
        {"kind": "status", "status": "503"},
        {"kind": "delay"},
        {"kind": "delay", "delay_ms": -1},
        {"kind": "delay", "delay_ms": float("nan")},
        {"kind": "abort", "first": 0},
        {"kind": "abort", "first": 1, "every": 2},
        {"kind": "abort", "share": 1.5},
        {"kind": "abort", "share": "20%"},
        {"kind": "abort", "methods": "GET"},
        {"kind": "abort", "colour": "red"},
        {"kind": "status", "status": 503, "headers": {"x": "a\r\nb"}},
        {"kind": "status", "status": 503, "headers": {"Content-Length": "3"}},
        {"kind": "status", "status": 503, "headers": ["x"]},
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(spec):
    """What cannot be carried out is refused when it is switched on, not when a request comes."""
    with pytest.raises(FaultSpecError):
        FaultSpec.of(spec)


@pytest.mark.parametrize(
    ("status", "method", "length", "body"),
    [
        (503, "GET", b"content-length: 4", b"busy"),
        (503, "HEAD", b"content-length: 4", b""),
        (204, "GET", None, b""),
        (599, "GET", b"content-length: 4", b"busy"),
    ],
)
def test_own_answers_are_framed_as_http_asks(status, method, length, body):
    """HEAD gets the length without the body, 204 neither; every other answer carries both."""
    spec = FaultSpec.of({"kind": "status", "status": status, "body": "busy", "headers": {"Retry-After": "1"}})
    head, _, sent = status_answer(spec, method=method, keep_alive=True).partition(b"\r\n\r\n")

    assert sent == body
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"retry-after: 1" in head
    assert (length in head) if length else (b"content-length" not in head)
