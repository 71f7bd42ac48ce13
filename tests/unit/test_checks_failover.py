"""Failover and consistency, judged from journals: outages, losses, split brain, and what is no finding."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from journals import LEDGER, ORDERS, Run, at, scenario, shop

from harness.checks.failover import outage_of
from harness.clock import NS_PER_S
from harness.judge import judge
from harness.receipts.nodes import Look, split_brains, writable_spans
from harness.system.model import FailoverObjective, Service
from harness.verdict import Verdict

KILL = {"process": "kill", "service": "pg0"}


def cluster():
    """The small shop with two database nodes."""
    system = shop(ledgers=[LEDGER])
    nodes = {
        name: Service(
            name=name, command=("run", name), environment={}, port=8008, working_dir=None, health=None, depends_on={},
            replication_path="/replication",
        )
        for name in ("pg0", "pg1")
    }  # fmt: skip
    return replace(system, services={**system.services, **nodes})


def run_of(promise, *, outage=(3.0, 3.5), both_writable=False, lost=(), twice=(), phantom=(), timeline=None):
    """15 s of orders, 40 a second; pg0 is killed at 3 s and comes back at 9 s, pg1 leads from the outage's end on."""
    written = scenario(promise, fault=KILL, timeline=timeline)
    run = Run(written, cluster())
    run.event(3.001, "service.killed", "pg0", pid=run.pid("pg0"), started_at=1.0)
    run.event(9.0, "service.started", "pg0", pid=999, started_at=9.0)
    run.event(9.001, "service.ready", "pg0", pid=999, started_at=9.0)
    run.fault()
    entries = []
    for number in range(600):
        second, key = number / 40, f"order-{number}"
        down = outage[0] <= second < outage[1]
        run.request(second, key=key, error="status" if down else None, status=503 if down else 201)
        if not down and key not in lost:
            entries += [key] * (2 if key in twice else 1)
    entries += phantom
    for key in entries:
        run.add("ledger", "orders", key, json.dumps({"key": key}))
    run.event(15.6, "ledger.read", "orders", entries=len(entries))
    for number in range(150):
        second = number / 10
        if second < 3 or second > 9:
            look(run, second, "pg0", writable=second < 3 or both_writable)
        look(run, second, "pg1", writable=second >= outage[1])
    return run


def look(run, second, node, *, writable):
    role = "primary" if writable else "replica"
    data = {"role": role, "writable": writable, "timeline": 1, "replicas": []}
    run.add("probes", at(second), "replication", node, 1, json.dumps(data))


def check_of(run, tmp_path):
    verdict = judge(run.write(tmp_path))
    return verdict.checks[0]


def promise(**words):
    return {"failover": {"ledger": "orders", **words}}


def test_a_failover_in_time_that_loses_nothing_passes(tmp_path):
    """The time is the client's, from the fault's instant, and somebody else leads."""
    result = check_of(run_of(promise(rto_at_most="1s", rpo_writes_at_most=0, primary="pg1")), tmp_path)

    assert result.verdict is Verdict.PASS, result.reason
    assert result.value == pytest.approx(0.52, abs=0.06)


@pytest.mark.parametrize(
    ("promised", "changed", "said"),
    [
        ({"rto_at_most": "300ms"}, {}, "300 ms allowed"),
        ({"rto_at_most": "1s"}, {"outage": (3.0, 99.0)}, "not back in the run"),
        ({"rpo_writes_at_most": 0}, {"lost": ("order-100",)}, "1 acknowledged writes lost, 0 allowed"),
        ({"rpo_at_most": "100ms"}, {"lost": ("order-100",)}, "100 ms allowed"),
        ({"primary": "pg0"}, {}, "pg1 is the primary in the end, pg0 promised"),
        ({"rto_at_most": "1s"}, {"both_writable": True}, "split brain: pg0 and pg1 were writable at once"),
    ],
)
def test_a_failover_that_breaks_its_promise_fails(tmp_path, promised, changed, said):
    """Too slow, never, lost writes, the wrong leader, two writable nodes."""
    result = check_of(run_of(promise(**promised), **changed), tmp_path)

    assert result.verdict is Verdict.FAIL
    assert said in result.reason


@pytest.mark.parametrize(
    ("objective", "verdict", "said"),
    [
        ({"rto_s": 1.0, "rpo_writes": 1}, Verdict.PASS, "1.00 s allowed"),
        ({"rto_s": 0.3}, Verdict.FAIL, "300 ms allowed"),
        ({"rpo_s": 0.1}, Verdict.FAIL, "100 ms allowed"),
        ({"rpo_writes": 0}, Verdict.FAIL, "1 acknowledged writes lost, 0 allowed"),
    ],
)
def test_an_objective_of_the_system_may_be_made_of_rto_and_rpo(tmp_path, objective, verdict, said):
    """Declared once, promised by its name; from the run's first fault on."""
    run = run_of({"slo": {"named": "fail-over"}}, lost=("order-100",))
    own = FailoverObjective(name="fail-over", ledger="orders", **objective)
    run.facts["system"] = replace(cluster(), failovers=(own,)).to_json()

    result = check_of(run, tmp_path)

    assert result.verdict is verdict, result.reason
    assert (result.check, result.title) == ("slo", "objective fail-over: failover after slow")
    assert result.reason.startswith("fail-over: ")
    assert said in result.reason


def test_an_objective_of_failover_does_not_speak_of_a_run_without_a_fault(tmp_path):
    """`slo: {}` promises every objective there is; without one that speaks nothing is promised."""
    run = run_of({"slo": {}}, timeline=[{"steady": "15s"}])
    run.rows["events"] = [row for row in run.rows["events"] if not row[1].startswith("fault.")]
    run.facts["system"] = replace(
        cluster(), failovers=(FailoverObjective(name="fail-over", ledger="orders", rto_s=1.0),)
    ).to_json()

    result = check_of(run, tmp_path)

    assert (result.verdict, "fail-over" in result.reason) == (Verdict.INCONCLUSIVE, True)


def test_a_lost_write_is_named_with_its_instant(tmp_path):
    """Whoever reads the report can look it up."""
    result = check_of(run_of(promise(rpo_writes_at_most=0), lost=("order-100", "order-101")), tmp_path)

    assert [("lost", "order-100"), ("lost", "order-101")] == [(row["what"], row["id"]) for row in result.evidence]


def test_without_anybody_looking_at_the_nodes_nothing_is_judged(tmp_path):
    """Missing evidence is no pass: nobody saw that only one node was writable."""
    run = run_of(promise(rto_at_most="1s"))
    run.rows["probes"] = [row for row in run.rows["probes"] if row[2] != "pg1"]

    result = check_of(run, tmp_path)

    assert result.verdict is Verdict.INCONCLUSIVE
    assert "pg1" in result.reason


def test_every_planted_loss_and_duplicate_is_named(tmp_path):
    """25 rows deleted and 25 doubled behind the system's back: 50 findings, each with its id."""
    lost = {f"order-{number}" for number in range(200, 225)}
    twice = {f"order-{number}" for number in range(400, 425)}
    run = run_of({"consistency": {"ledger": "orders"}}, lost=lost, twice=twice, phantom=["never-asked"])

    result = check_of(run, tmp_path)

    found = {what: {row["id"] for row in result.evidence if row["what"] == what} for what in ("lost", "duplicated")}
    assert result.verdict is Verdict.FAIL
    assert found == {"lost": lost, "duplicated": twice}
    assert [row["id"] for row in result.evidence if row["what"] == "phantom"] == ["never-asked"]
    assert result.measured == "25 lost, 25 duplicated, 1 phantom, 0 in doubt"


def test_fifty_thousand_clean_writes_are_no_finding(tmp_path):
    """A check that cries wolf is not listened to."""
    run = Run(scenario({"consistency": {"ledger": "orders", "in_doubt_at_most": 0}}), cluster())
    for number in range(50_000):
        key = f"order-{number}"
        run.request(number / 4000, name=ORDERS, key=key, crosses=0)
        run.add("ledger", "orders", key, "{}")
    run.event(15.6, "ledger.read", "orders", entries=50_000)

    result = check_of(run, tmp_path)

    assert result.value == 0.0
    assert result.samples == 50_000
    assert result.measured == "0 lost, 0 duplicated, 0 phantom, 0 in doubt"


@pytest.mark.parametrize(
    ("promised", "status", "verdict", "said"),
    [
        ({"stale_reads_at_most": 0}, 200, Verdict.PASS, "0 of 60 reads of acknowledged writes were stale, 0 allowed"),
        ({"stale_reads_at_most": 0}, 404, Verdict.FAIL, "30 of 60 reads of acknowledged writes were stale, 0 allowed"),
        ({"stale_reads_at_most": 30}, 404, Verdict.PASS, "30 of 60 reads"),
        ({}, 404, Verdict.PASS, "1 lost, 1 allowed"),
    ],
)
def test_a_read_that_misses_an_acknowledged_write_is_stale(tmp_path, promised, status, verdict, said):
    """Sent after the answer to the write; neither what was sent before it, nor what is lost, nor an error counts."""
    run = run_of({"consistency": {"ledger": "orders", "lost": 1, **promised}}, lost=("order-10",))
    run.facts["system"] = replace(cluster(), ledgers=(replace(LEDGER, read_by="GET /orders"),)).to_json()
    for number in range(60):
        answer = status if number % 2 else 200
        run.request(number / 40 + 0.6, name="GET /orders", key=f"order-{number + 20}", status=answer)
    for early in (
        {"key": "order-590", "status": 404},
        {"key": "order-10", "status": 404},
        {"key": "never", "status": 404},
    ):
        run.request(2.0, name="GET /orders", **early)
    run.request(2.0, name="GET /orders", key="order-11", error="status 503", status=503)

    result = check_of(run, tmp_path)

    assert result.verdict is verdict, result.reason
    assert said in result.reason
    assert result.measured.endswith(f"{0 if status == 200 else 30} of 60 reads stale")


@pytest.mark.parametrize(("read_by", "said"), [(None, "read_by"), ("GET /orders", "reads needed")])
def test_reads_that_nobody_made_are_not_called_fresh(tmp_path, read_by, said):
    """Missing evidence is INCONCLUSIVE."""
    run = run_of({"consistency": {"ledger": "orders", "stale_reads_at_most": 0}})
    run.facts["system"] = replace(cluster(), ledgers=(replace(LEDGER, read_by=read_by),)).to_json()

    result = check_of(run, tmp_path)

    assert (result.verdict, said in result.reason) == (Verdict.INCONCLUSIVE, True), result.reason


def test_a_write_whose_client_got_an_error_is_in_doubt_not_lost(tmp_path):
    """It may be there or not; it is counted apart, and only a promise about doubt is broken by it."""
    run = run_of({"consistency": {"ledger": "orders", "in_doubt_at_most": 0}})
    run.add("ledger", "orders", "order-125", "{}")
    run.rows["events"] = [row for row in run.rows["events"] if row[1] != "ledger.read"]
    run.event(15.6, "ledger.read", "orders", entries=581)

    result = check_of(run, tmp_path)

    assert result.verdict is Verdict.FAIL
    assert [("in doubt", "order-125")] == [(row["what"], row["id"]) for row in result.evidence]


@pytest.mark.parametrize(
    ("acknowledged_s", "longest_s", "from_fault_s"),
    [
        ([1, 2, 3, 4, 5], 1.0, 0.5),  # nothing happened
        ([1, 2, 4.5, 5, 5.5], 2.5, 2.0),  # one gap from before the fault until after it
        ([1, 2, 2.6, 4.6, 5], 2.0, 2.1),  # one acknowledged write after the fault was asked for, then the gap
        ([1, 2], 4.0, None),  # never again
    ],
)
def test_an_outage_is_the_first_long_gap_after_the_fault(acknowledged_s, longest_s, from_fault_s):
    """The fault is at 2.5 s, writes are asked for until 6 s; times are of the client."""
    instants = [round(second * NS_PER_S) for second in acknowledged_s]

    found = outage_of(instants, round(2.5 * NS_PER_S), 6 * NS_PER_S)

    assert (found.longest_s, found.from_fault_s) == (longest_s, from_fault_s)


@pytest.mark.parametrize(("healing_s", "from_fault_s"), [(4.0, 0.6), (None, 4.5)])
def test_the_gap_of_undoing_a_fault_is_not_the_faults(healing_s, from_fault_s):
    """A switchover and the one that gives the lead back: each has its own gap, the longest of both is told."""
    instants = [round(second * NS_PER_S) for second in (2.4, 2.5, 3.1, 3.5, 4.0, 4.5, 5.0, 7.0, 7.5, 8.0)]
    healing_ns = None if healing_s is None else round(healing_s * NS_PER_S)

    found = outage_of(instants, round(2.5 * NS_PER_S), 8 * NS_PER_S, healing_ns)

    assert (found.longest_s, found.from_fault_s) == (2.0, from_fault_s)


def looks(*seen):
    return [Look(t_ns=round(second * NS_PER_S), data={"writable": writable}) for second, writable in seen]


def test_a_node_is_taken_to_be_writable_only_between_looks_near_each_other():
    """A node that was frozen for seconds said so before and after, and nobody knows what it was meanwhile."""
    spans = writable_spans(looks((1, True), (1.5, True), (5, True), (5.5, True), (6, False)))

    assert spans == [(NS_PER_S, round(1.5 * NS_PER_S)), (5 * NS_PER_S, round(5.5 * NS_PER_S))]


@pytest.mark.parametrize(
    ("old", "new", "times"),
    [
        (looks((1, True), (1.2, True)), looks((1.3, False), (1.4, True), (1.6, True)), 0),
        (looks((1, True), (5, True), (5.2, True)), looks((2, True), (2.5, True), (3, True)), 0),
        (looks((1, True), (5, True), (5.3, True)), looks((2, True), (2.5, True), (4.9, True), (5.1, True), (5.4, True)), 3),
    ],
)  # fmt: skip
def test_two_writable_nodes_are_found_only_when_it_is_certain(old, new, times):
    """One after the other is a failover; a look at one inside the certain time of another is a split brain."""
    assert times == len(split_brains({"old": old, "new": new}))
