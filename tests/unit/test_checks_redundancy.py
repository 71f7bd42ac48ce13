"""Instances, regions, sources and storms: each check passes, fails on a planted violation, and asks for its evidence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from journals import ORDERS, USERS, Run, at, scenario, shop

from harness.checks.degradation import told_of
from harness.judge import judge
from harness.system.model import Group, StatePlace, System, SystemLink
from harness.verdict import CheckResult, Verdict

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
ONE, TWO = "order->order-1", "order->order-2"
KILLED = {"process": "kill", "service": "order-2"}


def system() -> System:
    """load -> order, a balancer -> order-1, order-2; each instance is a region of its own."""
    base = shop()
    plain = replace(base.services["order"], depends_on={})
    balancer = replace(plain, state=StatePlace(of="instances", path="/state"))
    names = ("order-1", "order-2")
    return replace(
        base,
        services={"order": balancer, **{name: replace(plain, name=name) for name in names}},
        links=(
            SystemLink(client="load", upstream="order", port=8000),
            *(SystemLink(client="order", upstream=name, port=8000) for name in names),
        ),
        groups={"east": Group(services=("order-2",)), "west": Group(services=("order-1",))},
    )


def run(promise: dict, fault: dict | None = KILLED) -> Run:
    """Looked at five times a second; what becomes of the fault is the test's to say."""
    found = Run(scenario(promise, fault=fault), system())
    for number in range(76):
        found.add("probes", at(number / 5), "instances", "order", 1, json.dumps({"nodes": {}}))
    return found


def away(found: Run, gone: float = 3.0, back: float = 9.3) -> Run:
    """order-2 was killed at 3 s and is ready again at 9.3 s."""
    found.fault()
    found.event(gone, "service.killed", "order-2", pid=found.pid("order-2"), exit_code=-9)
    found.event(back - 0.2, "service.started", "order-2", pid=999, started_at=2.0)
    return found.event(back, "service.ready", "order-2", pid=999, started_at=2.0)


def said(found: Run, second: float, state: str, *, seen: float | None = None, by: str = "order") -> Run:
    """The balancer's word about order-2 at an instant, written down somewhat later."""
    return found.event(seen or second + 0.15, f"instance.{state}", "order-2", by=by, at_ns=at(second), to=state)


def shared(found: Run, start: float, end: float, *, one: float = 20, two: float = 20, **two_is: object) -> Run:
    """Requests that crossed to both instances, so many a second each."""
    found.crossings(start, end, rate=one, link=ONE)
    return found.crossings(start, end, rate=two, link=TWO, **two_is)


def check(found: Run, folder: Path) -> CheckResult:
    return judge(found.load(0, 15, rate=40).write(folder)).checks[0]


# -- instances -------------------------------------------------------------------------------------------------


def instances(**promised: object) -> dict:
    return {"instances": {"behind": "order", "among": ["order-1", "order-2"], **promised}}


@pytest.mark.parametrize(("two", "expected"), [(20, PASS), (5, FAIL)], ids=["even", "one in five"])
def test_each_instance_has_its_share(tmp_path, two, expected):
    """The share of the requests that each instance got is counted on the wire."""
    found = shared(run(instances(share_at_least="40%"), fault=None), 0, 15, two=two)

    assert check(found, tmp_path).verdict is expected


def test_health_checks_are_nobodys_share(tmp_path):
    """What carries no trace was asked by the balancer, not by a client."""
    found = run(instances(share_at_least="40%"), fault=None).crossings(0, 15, rate=20, link=ONE)
    for number in range(300):
        found.add(
            "wire", TWO, 2, number + 1, "GET", "/ready", None, at(number / 20), at(number / 20) + 1, at(number / 20) + 2,
            at(number / 20) + 3, 200, 100, 100, "answered", "", 1,
        )  # fmt: skip

    assert check(found, tmp_path).verdict is FAIL


def test_shares_of_nothing_say_nothing(tmp_path):
    """Instances that nobody asked have no shares."""
    assert check(run(instances(share_at_least="40%"), fault=None), tmp_path).verdict is INCONCLUSIVE


@pytest.mark.parametrize(
    ("ejected", "expected"), [(3.6, PASS), (5.5, FAIL), (None, FAIL)], ids=["in time", "late", "never"]
)
def test_a_dead_instance_is_taken_out_in_time(tmp_path, ejected, expected):
    """Counted from the instance's real end to the balancer's own stamp, however late we looked."""
    found = away(run(instances(ejected_within="1s")))
    if ejected is not None:
        said(found, ejected, "down", seen=8.0)

    assert check(found, tmp_path).verdict is expected


def test_the_word_of_another_balancer_does_not_count(tmp_path):
    """Only the balancer that is promised of can take its instance out."""
    found = said(away(run(instances(ejected_within="1s"))), 3.5, "down", by="router")

    assert check(found, tmp_path).verdict is FAIL


@pytest.mark.parametrize(
    ("up", "expected"), [(9.5, PASS), (12.0, FAIL), (None, FAIL)], ids=["in time", "late", "never"]
)
def test_an_instance_that_is_back_is_taken_back_in_time(tmp_path, up, expected):
    """Counted from the instance's being ready."""
    found = said(away(run(instances(readmitted_within="1s"))), 3.6, "down")
    if up is not None:
        said(found, up, "up")

    assert check(found, tmp_path).verdict is expected


def test_an_instance_that_was_never_missed_need_not_be_taken_back(tmp_path):
    """A restart quicker than the balancer's checks leaves nothing to readmit."""
    assert check(away(run(instances(readmitted_within="1s"))), tmp_path).verdict is PASS


@pytest.mark.parametrize(("up", "expected"), [(9.6, PASS), (12.0, FAIL)], ids=["in time", "late"])
def test_an_instance_that_is_asked_to_end_is_taken_out_before_it_is_gone(tmp_path, up, expected):
    """A stop is over when the process is; the balancer has missed it since it stopped listening."""
    found = away(run(instances(ejected_within="1s", readmitted_within="1s")), gone=3.4)

    assert check(said(said(found, 3.1, "down"), up, "up"), tmp_path).verdict is expected


def test_an_earlier_absence_is_another_one(tmp_path):
    """What was taken out and back before it was gone does not stand for the readmission."""
    found = said(said(away(run(instances(readmitted_within="1s")), gone=3.4), 3.05, "down"), 3.15, "up")
    said(said(found, 3.6, "down"), 12.0, "up")

    assert check(found, tmp_path).verdict is FAIL


def test_errors_that_nobody_could_see_are_not_forgiven(tmp_path):
    """When the load ended before the instance was back, nobody knows what clients would have seen."""
    found = said(away(run(instances(errors_at_most=0)), back=15.3), 3.6, "down")

    assert check(said(found, 15.4, "up"), tmp_path).verdict is INCONCLUSIVE


def test_a_silent_observer_earns_nothing(tmp_path):
    """Whether it was taken out nobody knows when nobody looked."""
    found = away(Run(scenario(instances(ejected_within="1s"), fault=KILLED), system()))

    assert judge(said(found, 3.5, "down").load(0, 15).write(tmp_path)).verdict is INCONCLUSIVE


@pytest.mark.parametrize(("bad_at", "expected"), [(3.4, FAIL), (11.0, PASS)], ids=["while it happened", "afterwards"])
def test_errors_of_clients_are_counted_until_it_is_taken_back(tmp_path, bad_at, expected):
    """What clients see between the fault and the readmission belongs to it; what comes later does not."""
    found = said(said(away(run(instances(errors_at_most=0))), 3.6, "down"), 9.5, "up")
    found.request(bad_at, error="status 503", status=503)

    assert check(found, tmp_path).verdict is expected


def test_a_fault_of_somebody_else_is_no_absence(tmp_path):
    """Where the fault put none of the instances out of action, nothing can be said of them."""
    found = run(instances(ejected_within="1s"), fault={"process": "kill", "service": "order"}).fault()

    assert check(found, tmp_path).verdict is INCONCLUSIVE


def test_instances_restarted_one_after_another_are_each_judged(tmp_path):
    """One that was taken back late among several that were in time is found."""
    rolling = {"process": "rolling_restart", "services": ["order-1", "order-2"]}
    timeline = [{"steady": "3s"}, {"fault": rolling, "as": "slow"}, {"wait": "12s"}]
    found = Run(scenario(instances(readmitted_within="1s"), timeline=timeline), system())
    for number in range(76):
        found.add("probes", at(number / 5), "instances", "order", 1, json.dumps({"nodes": {}}))
    found.event(3, "fault.injecting", "slow").event(9, "fault.injected", "slow")
    for name, gone, up in (("order-1", 3.1, 4.5), ("order-2", 6.0, 9.8)):
        found.event(gone, "service.stopped", name, pid=found.pid(name))
        found.event(gone + 0.4, "service.started", name, pid=999, started_at=2.0)
        found.event(gone + 1, "service.ready", name, pid=999, started_at=2.0)
        found.event(gone + 0.5, "instance.down", name, by="order", at_ns=at(gone + 0.5))
        found.event(up, "instance.up", name, by="order", at_ns=at(up))
    result = check(found, tmp_path)

    assert result.verdict is FAIL
    assert "order-2 was readmitted after 2.80 s" in result.reason


# -- receipts of faults of several services --------------------------------------------------------------------


def lost(promise: dict, *, comes_back: bool = True) -> Run:
    """The region east (order-2) is lost from 3 s to 9 s."""
    found = run(promise, fault={"process": "lose_region", "region": "east"}).fault()
    found.event(3.001, "service.killed", "order-2", pid=found.pid("order-2"), exit_code=-9)
    if comes_back:
        found.event(9.1, "service.started", "order-2", pid=999, started_at=2.0)
        found.event(9.3, "service.ready", "order-2", pid=999, started_at=2.0)
    return found


@pytest.mark.parametrize(("comes_back", "expected"), [(True, "APPLIED"), (False, "UNCLEAR")])
def test_a_lost_region_has_a_receipt(tmp_path, comes_back, expected):
    """Every service of it was gone and came back, or its receipt says which did not."""
    found = lost({"availability": {"at_least": "99%"}}, comes_back=comes_back)
    receipts = judge(found.load(0, 15).write(tmp_path)).receipts

    assert [expected] == [receipt.status for receipt in receipts if receipt.kind == "fault"]


# -- region ----------------------------------------------------------------------------------------------------


REGION = {"group": "east", "from": "slow"}


@pytest.mark.parametrize(("last", "expected"), [(4.0, PASS), (7.0, FAIL)], ids=["moved", "still asked"])
def test_traffic_moves_away_from_a_lost_region(tmp_path, last, expected):
    """The last request that was sent into it tells, not what the router says."""
    found = shared(lost({"region": {**REGION, "moved_within": "2s"}}), 0, 3)
    found.crossings(3.01, last, rate=20, link=TWO, ending="reset").crossings(3.01, 9, rate=40, link=ONE)

    assert check(found, tmp_path).verdict is expected


def test_a_region_that_nobody_used_cannot_be_left(tmp_path):
    """Silence towards it means nothing when there was silence before."""
    found = lost({"region": {**REGION, "moved_within": "2s"}}).crossings(0, 15, rate=40, link=ONE)

    assert check(found, tmp_path).verdict is INCONCLUSIVE


def test_traffic_that_went_nowhere_has_not_moved(tmp_path):
    """Nobody is sent into the lost region, and nobody anywhere else: that is an outage."""
    found = shared(lost({"region": {**REGION, "moved_within": "2s"}}), 0, 3)

    assert check(found, tmp_path).verdict is INCONCLUSIVE


@pytest.mark.parametrize(
    ("first", "expected"), [(10.0, PASS), (13.5, FAIL), (None, FAIL)], ids=["soon", "late", "never"]
)
def test_a_region_that_is_back_answers_again(tmp_path, first, expected):
    """Counted from its return to the first request it answers without an error."""
    found = shared(lost({"region": {**REGION, "returned_within": "2s"}}), 0, 3)
    found.crossings(9.4, 15, rate=20, link=TWO, status=503)
    if first is not None:
        found.crossings(first, 15, rate=20, link=TWO)

    assert check(found, tmp_path).verdict is expected


# -- degradation -----------------------------------------------------------------------------------------------


def degradation(**promised: object) -> dict:
    return {"degradation": {"part": "product", "of": ORDERS, "sources": ["cache", "service"], **promised}}


def told(promise: dict, words: list[str | None]) -> Run:
    """Requests whose answers say these words in turn."""
    found = Run(scenario(promise))
    return found.load(0, 15, spoil=lambda number: {"fallback": words[number % len(words)]})


@pytest.mark.parametrize(
    ("promise", "words", "expected"),
    [
        ({"at_least": "99%"}, ["product=cache@0.0", "product=service@0.0"], PASS),
        ({"at_least": "99%"}, ["product=cache@0.0", "product-stale,product=last-known@3.2"], FAIL),
        ({"at_least": "99%"}, ["product=cache@0.0", None], FAIL),
        ({"at_most": "10%"}, ["product=last-known@1.0"], PASS),
        ({"at_most": "10%"}, ["product=cache@0.0"], FAIL),
        ({"sources": ["last-known"], "stale_at_most": "2s"}, ["product=last-known@1.9"], PASS),
        ({"sources": ["last-known"], "stale_at_most": "2s"}, ["product=last-known@1.9"] * 99 + ["product=last-known@2.1"], FAIL),
        ({"at_least": "99%"}, [None], INCONCLUSIVE),
        ({"at_least": "99%"}, ["user=cache@0.0"], INCONCLUSIVE),
    ],
    ids=["kept", "stale", "keeps its source to itself", "seldom", "often", "young", "one too old", "says nothing", "of another part"],
)  # fmt: skip
def test_degradation(tmp_path, promise, words, expected):
    """Which source answered is what the answer says; an answer that says nothing came from none of them."""
    assert judge(told(degradation(**promise), words).write(tmp_path)).checks[0].verdict is expected


def test_an_error_came_from_no_source(tmp_path):
    """A request that failed counts against a lower bound."""
    found = Run(scenario(degradation(at_least="99%")))
    spoiled = {"error": "status 503", "status": 503}
    found.load(0, 15, spoil=lambda n: spoiled if n % 10 == 0 else {"fallback": "product=cache@0.0"})

    assert judge(found.write(tmp_path)).checks[0].verdict is FAIL


def test_silence_after_words_is_a_finding(tmp_path):
    """Where answers told their source before, a stretch without any came from none of the sources meant."""
    found = Run(scenario(degradation(at_least="90%", after="5s")))
    found.load(0, 5, fallback="product=cache@0.0").load(5, 15, error="status 503", status=503)

    assert judge(found.write(tmp_path)).checks[0].verdict is FAIL


def test_who_never_speaks_of_a_part_is_not_asked_for_it(tmp_path):
    """Without a request's name only answers that tell the source of this part are judged."""
    found = Run(scenario({"degradation": {"part": "product", "sources": ["cache"], "at_least": "99%"}}))
    found.load(0, 15, rate=20, fallback="product=cache@0.0").load(0.01, 15, rate=20, name=USERS)

    assert judge(found.write(tmp_path)).checks[0].verdict is PASS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user-guest,product=last-known@3.2", ("last-known", 3.2)),
        ("product=cache", ("cache", 0.0)),
        ("byproduct=cache@1.0", None),
        (None, None),
    ],
)
def test_the_words_of_an_answer_are_read_by_their_part(text, expected):
    """A part's name is a whole word."""
    found = told_of("product", text)

    assert expected == (None if found is None else (found.source, found.stale_s))


# -- connections -----------------------------------------------------------------------------------------------


def connected(promise: dict, *lives: tuple[float, float | None], link: str = "order->payment") -> Run:
    found = Run(scenario({"connections": {"on": "order->payment", **promise}}))
    for number, (start, end) in enumerate(lives):
        ends = None if end is None else at(end)
        found.add("connections", link, number, "http", at(start), at(start) + 1, ends, "client", "closed", 10, 10)
    return found


@pytest.mark.parametrize(
    ("promise", "lives", "expected"),
    [
        ({"open_at_most": 2}, [(1, 3), (2, 4), (3.5, 5)], PASS),
        ({"open_at_most": 2}, [(1, 3), (2, 4), (2.5, 5)], FAIL),
        ({"open_at_most": 2}, [(-1, None), (2, None), (2.5, None)], FAIL),
        ({"opened_at_most": "2/s"}, [(1, 1.1), (1.5, 1.6), (2.2, 2.3)], PASS),
        ({"opened_at_most": "2/s"}, [(1, 1.1), (1.5, 1.6), (1.9, 2.3)], FAIL),
        ({"open_at_most": 2}, [], INCONCLUSIVE),
    ],
    ids=["two at once", "three at once", "never closed", "spread", "within a second", "none"],
)
def test_connections(tmp_path, promise, lives, expected):
    """The most that were open at one instant, and the most that came within any second."""
    found = connected(promise, *lives).load(0, 15)

    assert judge(found.write(tmp_path)).checks[0].verdict is expected
