"""Receipts against liars: a load that reports what did not cross, a gate whose rows are not whole or not of this run."""

from __future__ import annotations

import json

import pytest
from journals import ENTRY, LATENCY, LINK, ORDERS, T0_NS, USERS, Run, scenario

from harness.judge import judge
from harness.verdict import Receipt, Verdict


def ordinary(rate: int = 40, *, mix: bool = True) -> Run:
    """A run of 40/s; rate is what the scenario declares."""
    run = Run(scenario(fault=LATENCY, load={"arrivals": f"{rate}/s"}))
    run.facts["plan"]["load"] = {}
    if mix:
        for number in range(600):
            run.request(number / 40, name=(ORDERS, USERS)[number % 2])
        return run.slow_fault()
    return run.load(0, 15).slow_fault()


def receipt(run: Run, folder, kind: str) -> Receipt:
    return next(r for r in judge(run.write(folder)).receipts if r.kind == kind)


def assert_doubted(run: Run, folder, kind: str, words: str) -> None:
    found = receipt(run, folder, kind)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert words in found.sentence


def test_an_honest_run_is_not_doubted(tmp_path):
    """A load whose requests crossed once each, and a gate whose rows are whole."""
    found = judge(ordinary().write(tmp_path)).receipts

    assert {r.status for r in found if r.kind in ("journal", "load")} == {"COMPLETE", "VALID"}


@pytest.mark.parametrize(
    ("crosses", "words"), [(0, "never crossed load->order"), (2, "more than once")], ids=["bypass", "hidden retries"]
)
def test_requests_cross_their_entry_link_once(tmp_path, crosses, words):
    """A load that goes past the gate, or asks twice where it reports one request, is no valid load."""
    run = ordinary()
    for number in range(5):
        run.request(5 + number, crosses=crosses)

    assert_doubted(run, tmp_path, "load", words)


def test_a_stranger_on_the_entry_link_is_seen(tmp_path):
    """Requests on the load's link that the load does not report."""
    assert_doubted(ordinary().exchange(5, link=ENTRY), tmp_path, "load", "none that the load reports")


def test_a_status_that_the_wire_did_not_carry_is_seen(tmp_path):
    """The load says 201 where the service said 503."""
    run = ordinary()
    rows = [list(row) for row in run.rows["wire"]]
    next(row for row in rows if row[0] == ENTRY)[10] = 503
    run.rows["wire"] = rows

    assert_doubted(run, tmp_path, "load", "another status")


@pytest.mark.parametrize(("off_ms", "words"), [(-300, "before the load sent them"), (300, "clock is another")])
def test_clocks_that_differ_are_seen(tmp_path, off_ms, words):
    """Requests that arrive before they are sent, or none of them at once."""
    run = ordinary()
    for row in (rows := [list(row) for row in run.rows["wire"]]):
        row[6] += off_ms * 1_000_000 if row[0] == ENTRY else 0
    run.rows["wire"] = rows

    assert_doubted(run, tmp_path, "load", words)


def test_a_tenth_of_the_declared_load_is_not_the_load(tmp_path):
    """The load's own count agrees with itself, and not with the scenario."""
    assert_doubted(ordinary(rate=400), tmp_path, "load", "6000 declared")


def test_another_mix_than_declared_is_not_the_load(tmp_path):
    """Half of the requests should have been another kind."""
    assert_doubted(ordinary(mix=False), tmp_path, "load", f"600 of 600 requests were {ORDERS}")


@pytest.mark.parametrize(
    ("gate", "words"),
    [(None, "never came to its end"), ({"rows_lost": 3}, "lost 3 rows")],
    ids=["killed", "could not write"],
)
def test_the_gate_has_to_come_to_its_end_with_all_its_rows(tmp_path, gate, words):
    """A gate that died or lost rows leaves a wire that proves nothing."""
    run = ordinary()
    run.gate = gate

    assert_doubted(run, tmp_path, "journal", words)


def test_a_gate_that_was_started_anew_is_seen(tmp_path):
    """Two ends of one gate."""
    assert_doubted(ordinary().event(7, "gate.ended", "gate", rows_lost=0), tmp_path, "journal", "ended 2 times")


@pytest.mark.parametrize(("spoil", "words"), [("lose", "missing from the wire"), ("double", "twice")])
def test_rows_lost_or_doubled_break_the_numbering(tmp_path, spoil, words):
    """The exchanges of a connection are numbered without a gap."""
    run = ordinary()
    place = next(n for n, row in enumerate(run.rows["wire"]) if row[0] == LINK)
    if spoil == "lose":
        del run.rows["wire"][place]
    else:
        run.rows["wire"].append(run.rows["wire"][place])

    assert_doubted(run, tmp_path, "journal", words)


def test_fewer_rows_than_the_gate_counted_are_seen(tmp_path):
    """The gate says every second how many exchanges it has seen."""
    run = ordinary()
    run.add("probes", T0_NS, "gate", LINK, 1, json.dumps({"exchanges": 100_000}))

    assert_doubted(run, tmp_path, "journal", "counted 100000 exchanges")


@pytest.mark.parametrize(("link", "second"), [("cart->stock", 5), (LINK, 5000)], ids=["link", "time"])
def test_a_wire_of_another_run_is_seen(tmp_path, link, second):
    """Links that the system does not have, or times outside of the run."""
    assert_doubted(ordinary().exchange(second, link=link), tmp_path, "journal", "another run's")


def test_a_journal_of_two_runs_is_seen(tmp_path):
    """A run starts once."""
    assert_doubted(ordinary().event(1, "run.started", "run-2"), tmp_path, "journal", "2 starts of a run")


def test_a_service_that_ended_with_the_run_was_not_killed(tmp_path):
    """The kill call did nothing; that the service ended at the end of the run is no proof of it."""
    run = Run(scenario(fault={"process": "kill", "service": "payment"})).load(0, 15).fault().crossings(0, 15)
    run.event(15.7, "service.stopped", "payment", pid=run.pid("payment"), started_at=1.0)

    found = receipt(run, tmp_path, "fault")

    assert found.status == "NO EVIDENCE"
    assert "no event says that payment was ended by it" in found.sentence
