"""Receipts: what a run has to prove before any promise is judged on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from journals import AVAILABLE, LATENCY, LINK, Run, at, scenario, shop

from harness.judge import judge
from harness.verdict import Receipt, Verdict


def receipt(run: Run, folder: Path, kind: str, subject: str | None = None) -> Receipt:
    """The one receipt of a kind."""
    found = judge(run.write(folder)).receipts
    return next(r for r in found if r.kind == kind and (subject is None or r.subject == subject))


def healthy(**more) -> Run:
    """A run with the latency fault, load and wire as they should be."""
    run = Run(scenario(fault={**LATENCY, **more}), shop([AVAILABLE]))
    return run.load(0, 15)


# -- faults on links -------------------------------------------------------------------------------------------


def test_a_fault_that_was_there_is_applied(tmp_path):
    """A delay of the declared size on all requests between the calls is APPLIED."""
    found = receipt(healthy().slow_fault(), tmp_path, "fault")

    assert found.verdict is Verdict.PASS
    assert found.status == "APPLIED"
    assert found.numbers["delay_ms"] == pytest.approx(200, rel=0.05)


def test_a_fault_without_effect_is_not_applied(tmp_path):
    """Requests as quick as before: NO EFFECT."""
    found = receipt(healthy().fault().crossings(0, 15), tmp_path, "fault")

    assert (found.verdict, found.status) == (Verdict.INCONCLUSIVE, "NO EFFECT")


def test_a_toxicity_of_zero_shows_nothing(tmp_path):
    """A fault declared for no connection at all can prove nothing."""
    found = receipt(healthy(toxicity="0%").fault().crossings(0, 15), tmp_path, "fault")

    assert (found.verdict, found.status) == (Verdict.INCONCLUSIVE, "NO EVIDENCE")


@pytest.mark.parametrize(
    ("start", "end", "delay_ms", "words"),
    [
        (3.003, 9, 120, "declared"),
        (3.003, 6, 200, "before the call"),
        (6, 9, 200, "began"),
        (3.003, 12, 200, "outlived"),
    ],
    ids=["little more than half the delay", "ends early", "starts late", "outlives its window"],
)
def test_a_fault_that_is_not_as_declared_is_unclear(tmp_path, start, end, delay_ms, words):
    """Half of the delay, or edges away from the calls, is not the fault that was asked for."""
    run = healthy().fault().crossings(0, start).crossings(start, end, span_ms=5 + delay_ms).crossings(end, 15)
    found = receipt(run, tmp_path, "fault")

    assert (found.verdict, found.status) == (Verdict.INCONCLUSIVE, "UNCLEAR")
    assert words in found.sentence


def test_a_share_far_below_the_declared_one_is_not_applied(tmp_path):
    """One request in five delayed where all were meant."""
    run = healthy().fault().crossings(0, 3)
    run.crossings(3.003, 9, spoil=lambda n: {"span_ms": 205} if n % 5 == 0 else {}).crossings(9, 15)

    assert receipt(run, tmp_path, "fault").status in ("UNCLEAR", "NO EFFECT")


def test_a_link_nobody_crosses_gives_no_evidence(tmp_path):
    """Four requests while the fault was on are no evidence, and the sentence counts them."""
    run = healthy().fault().crossings(0, 3).crossings(4, 4.1, span_ms=205).crossings(9.5, 15)
    found = receipt(run, tmp_path, "fault")

    assert (found.verdict, found.status) == (Verdict.INCONCLUSIVE, "NO EVIDENCE")
    assert "only 4 requests crossed order->payment" in found.sentence


def test_an_open_breaker_does_not_spoil_the_receipt(tmp_path):
    """Enough crossed before the breaker opened: applied, with edges from the calls where nobody crossed."""
    run = healthy().fault().crossings(0, 3).crossings(3.003, 3.6, span_ms=205)
    for second in (5, 5.01, 5.02, 7, 7.01, 7.02):
        run.exchange(second, span_ms=205)
    run.crossings(10.5, 15)
    found = receipt(run, tmp_path, "fault")

    assert found.status == "APPLIED", found.sentence
    assert found.numbers["edges"] == "by call"
    assert "too few crossed to see its edges" in found.sentence


def test_clients_that_give_up_show_the_delay_too(tmp_path):
    """A client that leaves after 80 ms was delayed by at least that, though the delay is longer."""
    run = healthy().fault().crossings(0, 3)
    run.crossings(3.003, 9, span_ms=80, ending="client_gone").crossings(9.003, 15)
    found = receipt(run, tmp_path, "fault")

    assert found.status == "APPLIED", found.sentence
    assert found.numbers["delay_is_lower_bound"]


def test_a_link_that_speaks_no_http_is_seen_to_be_down_by_its_connections(tmp_path):
    """A connection a question, as to a Redis: those before it ended well, those while it was down were refused."""
    run = Run(scenario(fault={"proxy": "down", "link": LINK}), shop([AVAILABLE])).load(0, 15).fault()
    for number in range(150):
        second = number / 10
        protocol, ending, by = (
            ("unknown", "refused", "upstream") if 3.005 <= second < 9 else ("raw", "closed", "client")
        )
        run.add("connections", LINK, number, protocol, at(second), at(second), at(second + 0.001), by, ending, 20, 10)

    assert receipt(run, tmp_path, "fault").status == "APPLIED"


def test_refused_connections_prove_that_a_link_was_down(tmp_path):
    """Refusals while it was down and answers before and after."""
    run = Run(scenario(fault={"proxy": "down", "link": LINK}), shop([AVAILABLE])).load(0, 15).fault()
    run.crossings(0, 3).crossings(3.003, 9, span_ms=1, ending="refused").crossings(9.003, 15)

    assert receipt(run, tmp_path, "fault").status == "APPLIED"


def test_the_first_three_are_counted(tmp_path):
    """A fault for the first three requests hits three, no more and no fewer."""
    fault = {"http": "status", "link": LINK, "status": 503, "first": 3}
    for hits, expected in ((3, "APPLIED"), (2, "UNCLEAR"), (5, "UNCLEAR"), (0, "NO EFFECT")):
        run = Run(scenario(fault=fault), shop([AVAILABLE])).load(0, 15).fault().crossings(0, 3)
        run.crossings(3.01, 9, spoil=lambda n, h=hits: {"status": 503, "faults": "slow"} if n < h else {})
        run.crossings(9.01, 15)

        assert receipt(run, tmp_path / str(hits), "fault").status == expected, hits


def test_a_gate_fault_needs_its_name_in_the_rows(tmp_path):
    """The upstream's own 503 is not the fault's."""
    fault = {"http": "status", "link": LINK, "status": 503}
    run = Run(scenario(fault=fault), shop([AVAILABLE])).load(0, 15).fault()
    run.crossings(0, 3).crossings(3.01, 9, status=503).crossings(9.01, 15)

    assert receipt(run, tmp_path, "fault").status == "NO EFFECT"


def test_a_fault_that_could_not_be_injected_has_no_effect(tmp_path):
    """An injection that failed is told with its own words."""
    run = (
        healthy().crossings(0, 15).event(3, "fault.injecting", "slow").event(3, "fault.failed", "slow", error="no such")
    )
    found = receipt(run, tmp_path, "fault")

    assert found.status == "NO EFFECT"
    assert "no such" in found.sentence


# -- faults of services ----------------------------------------------------------------------------------------


def killed(*, pid: int | None = None, back_pid: int | None = 999, kind: str = "kill") -> Run:
    run = Run(scenario(fault={"process": kind, "service": "payment"}), shop([AVAILABLE])).load(0, 15).fault()
    away, back = ("paused", "resumed") if kind == "pause" else ("killed", "ready")
    pid = Run.pid("payment") if pid is None else pid
    run.event(3.001, f"service.{away}", "payment", pid=pid, started_at=1.0)
    if back_pid is not None:
        if kind != "pause":
            run.event(9.1, "service.started", "payment", pid=back_pid, started_at=9.0 if back_pid == 999 else 1.0)
        run.event(9.5, f"service.{back}", "payment", pid=back_pid, started_at=9.0)
    return run


@pytest.mark.parametrize("kind", ["kill", "pause", "stop"])
def test_a_service_that_was_away_and_came_back_is_applied(tmp_path, kind):
    """The pid that ran before was hit, and another one (or the same, resumed) was there after."""
    assert receipt(killed(kind=kind), tmp_path, "fault").status == "APPLIED"


@pytest.mark.parametrize(
    "run", [killed(pid=1), killed(back_pid=Run.pid("payment")), killed(back_pid=None)], ids=["other", "same", "never"]
)
def test_the_wrong_process_proves_nothing(tmp_path, run):
    """Another pid hit, the same process back, or none at all: UNCLEAR."""
    assert receipt(run, tmp_path, "fault").status == "UNCLEAR"


def test_a_frozen_service_that_was_seen_running_was_not_frozen(tmp_path):
    """The process table has the last word on a pause."""
    run = killed(kind="pause")
    data = f'{{"pid": {Run.pid("payment")}, "status": "running"}}'
    run.add("probes", 1_005 * 10**9, "processes", "payment", 1, data)

    assert receipt(run, tmp_path, "fault").status == "UNCLEAR"


def test_a_look_while_the_service_is_being_thawed_says_nothing(tmp_path):
    """Between the call that thaws a service and the event that says so it may be seen running already."""
    run = killed(kind="pause")
    data = f'{{"pid": {Run.pid("payment")}, "status": "running"}}'
    run.add("probes", round((1_000 + 9.2) * 10**9), "processes", "payment", 1, data)

    assert receipt(run, tmp_path, "fault").status == "APPLIED"


def test_no_event_of_the_service_is_no_evidence(tmp_path):
    """The call alone does not prove that anything died."""
    run = Run(scenario(fault={"process": "kill", "service": "payment"}), shop([AVAILABLE])).load(0, 15).fault()

    assert receipt(run, tmp_path, "fault").status == "NO EVIDENCE"


REQUEST = {"operator": "request", "service": "order", "path": "/flag", "json": {"level": 1}, "undo": {"level": 0}}


def asked(*answers: tuple[float, int], path: str = "/flag") -> Run:
    """A run with an operator's request from 3 s to 9 s, and what the service answered at which second."""
    run = Run(scenario(fault=REQUEST), shop([AVAILABLE])).load(0, 15).fault()
    for second, status in answers:
        run.event(second, "service.answered", "order", method="POST", path=path, status=status)
    return run


def test_a_request_that_was_answered_twice_is_applied(tmp_path):
    """The service said yes to an operator's request, and to the one that took it back."""
    found = receipt(asked((3.001, 200), (9.001, 204)), tmp_path, "fault")

    assert (found.verdict, found.status) == (Verdict.PASS, "APPLIED")
    assert (found.numbers["status"], found.numbers["undo_status"]) == (200, 204)


@pytest.mark.parametrize(
    ("run", "status"),
    [
        (asked(), "NO EVIDENCE"),
        (asked((2.5, 200), (9.001, 200)), "NO EVIDENCE"),
        (asked((3.001, 200), (9.001, 200), path="/other"), "NO EVIDENCE"),
        (asked((3.001, 500), (9.001, 200)), "NO EVIDENCE"),
        (asked((3.001, 200)), "UNCLEAR"),
        (asked((3.001, 200)).event(9.001, "fault.failed", "slow", error="status 404"), "NO EFFECT"),
    ],
    ids=["no answer", "too early", "another request", "a no", "not taken back", "refused"],
)
def test_a_request_without_its_answers_is_not_applied(tmp_path, run, status):
    """Without an answer to the request, and to its undoing, nobody knows whether the service heard of it."""
    found = receipt(run, tmp_path, "fault")

    assert (found.verdict, found.status) == (Verdict.INCONCLUSIVE, status)


LIMIT = {"resources": "limit", "service": "order", "cpus": 0.5, "memory": "64MB"}


def limited(freed_s: float | None = 9.001, **freed) -> Run:
    """A run with order held to half a core and 64 MB from 3 s to 9 s, and what that kept it from."""
    run = Run(scenario(fault=LIMIT), shop([AVAILABLE])).load(0, 15).fault()
    run.event(3.001, "service.limited", "order", cpus=0.5, memory_bytes=64_000_000)
    if freed_s is not None:
        run.event(freed_s, "service.unlimited", "order", **{"throttled_s": 1.5, "memory_hits": 3, **freed})
    return run


def test_a_limit_that_was_run_into_is_applied(tmp_path):
    """The service had to wait for a processor, and memory was refused: both with their figures."""
    found = receipt(limited(), tmp_path, "fault")

    assert (found.verdict, found.status) == (Verdict.PASS, "APPLIED")
    assert (found.numbers["cpus"], found.numbers["throttled_s"], found.numbers["memory_hits"]) == (0.5, 1.5, 3)
    assert "waited 1.50 s for a processor and was refused memory 3 times" in found.sentence


@pytest.mark.parametrize(
    ("run", "status"),
    [
        (limited(throttled_s=0.0), "NO EFFECT"),
        (limited(memory_hits=0), "NO EFFECT"),
        (limited(throttled_s=None), "NO EVIDENCE"),
        (limited(None), "UNCLEAR"),
        (Run(scenario(fault=LIMIT), shop([AVAILABLE])).load(0, 15).fault(), "NO EVIDENCE"),
    ],
    ids=["never waited", "never refused", "not to be seen", "not given back", "no event"],
)
def test_a_limit_that_hurt_nobody_is_not_applied(tmp_path, run, status):
    """A service that never needed what it was denied proves nothing, nor does one of which nobody knows."""
    found = receipt(run, tmp_path, "fault")

    assert (found.verdict, found.status) == (Verdict.INCONCLUSIVE, status)


# -- load ------------------------------------------------------------------------------------------------------


def test_a_load_sent_on_time_is_valid(tmp_path):
    """All requests sent, none late."""
    found = receipt(Run(scenario()).load(0, 15), tmp_path, "load")

    assert (found.verdict, found.status) == (Verdict.PASS, "VALID")


@pytest.mark.parametrize(
    ("late_ms", "ended", "machine"),
    [(34, {}, True), (0.2, {"cpu_share_max": 0.95}, True), (0.2, {"intended": 900}, False)],
    ids=["late", "busy", "rows missing"],
)
def test_a_load_that_was_not_as_meant_is_invalid(tmp_path, late_ms, ended, machine):
    """Late, short of processor time, or incomplete; only the first two are the machine's fault."""
    run = Run(scenario()).load(0, 15, late_ms=late_ms)
    run.ended |= ended
    found = receipt(run, tmp_path, "load")

    assert (found.verdict, found.status) == (Verdict.INCONCLUSIVE, "INVALID")
    assert found.machine_to_blame is machine


def machine(run, *, second=5.0, other_cores=0.1, stolen_share=0.0, missing_s=0.0):
    """What the observer of the machine wrote down at a second of a run, on two cores."""
    data = {
        "cores": 2, "busy_cores": 0.6, "services_cores": 0.3, "harness_cores": 0.2, "other_cores": other_cores,
        "stolen_share": stolen_share, "missing_s": missing_s,
    }  # fmt: skip
    run.add("probes", at(second), "machine", "machine", 1, json.dumps(data))
    return run


def test_processors_that_the_host_took_explain_a_late_load_and_decide_nothing(tmp_path):
    """The load's own lateness measures what they cost: on time it is valid, late it says who else had them."""
    on_time = receipt(machine(Run(scenario()).load(0, 15), stolen_share=0.07), tmp_path / "on time", "load")
    late = receipt(machine(Run(scenario()).load(0, 15, late_ms=34), stolen_share=0.07), tmp_path / "late", "load")

    assert (on_time.status, late.status, late.machine_to_blame) == ("VALID", "INVALID", True)
    assert "other processes used 0.1 of 2 cores; the host of this machine took 7 %" in late.sentence


def test_a_late_load_says_that_the_machine_stood_still(tmp_path):
    """A pause in one piece explains a late load that no other process does."""
    found = receipt(machine(Run(scenario()).load(0, 15, late_ms=34), missing_s=0.131), tmp_path, "load")

    assert "other processes used 0.1 of 2 cores; the runner stood still for 131 ms in one piece" in found.sentence


def test_requests_dropped_in_quiet_times_make_the_load_invalid(tmp_path):
    """A request that could not be sent while no fault was on is the load's failure, not the system's."""
    run = Run(scenario()).load(
        0, 15, spoil=lambda n: {"late_ms": None, "latency_ms": None, "error": "dropped"} if n == 9 else {}
    )
    found = receipt(run, tmp_path, "load")

    assert found.status == "INVALID"
    assert not found.machine_to_blame


def test_no_load_at_all_is_invalid(tmp_path):
    """A run without requests proves nothing."""
    verdict = judge(Run(scenario()).write(tmp_path))

    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert next(r for r in verdict.receipts if r.kind == "load").status == "INVALID"


# -- steady state, observers, journal --------------------------------------------------------------------------


def test_a_system_that_was_well_before_the_fault_is_healthy(tmp_path):
    """Objectives kept, no trend, no backlog."""
    assert receipt(healthy().slow_fault(), tmp_path, "steady_state").status == "HEALTHY"


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda n: {"error": "status 500", "status": 500} if n % 5 == 0 else {}, "NOT HEALTHY"),
        (lambda n: {"latency_ms": 10 + n * 0.4}, "MOVING"),
        (lambda n: {"latency_ms": 10 if n % 3 else 100 + n * 20}, "OVERLOADED"),
    ],
    ids=["errors", "creeping", "backlog"],
)
def test_a_system_that_was_unwell_before_the_fault_is_told(tmp_path, spoil, status):
    """Errors, a creeping latency or a growing backlog before the fault spoil what comes after."""
    run = Run(scenario(fault=LATENCY), shop([AVAILABLE])).load(0, 3, spoil=spoil).load(3, 15).slow_fault()

    assert receipt(run, tmp_path, "steady_state").status == status


def test_a_steady_phase_of_a_moment_is_too_short(tmp_path):
    """Ten requests tell nothing of a steady state."""
    run = Run(scenario(fault=LATENCY), shop([AVAILABLE])).load(2.6, 15).slow_fault()

    assert receipt(run, tmp_path, "steady_state").status == "TOO SHORT"


@pytest.mark.parametrize("crowded", [False, True])
@pytest.mark.parametrize("begins_s", [0, 2.6], ids=["sick", "too short"])
def test_a_bad_beginning_on_a_crowded_machine_is_worth_another_try(tmp_path, begins_s, crowded):
    """No verdict either way; whether the machine may have been the reason says who else used its processors."""
    sick = {"error": "status 500", "status": 500}
    run = Run(scenario(fault=LATENCY), shop([AVAILABLE]))
    run.load(begins_s, 3, spoil=lambda n: sick if n % 5 == 0 else {}).load(3, 15).slow_fault()
    verdict = judge(machine(run, second=2.8, other_cores=1.6 if crowded else 0.1).write(tmp_path))

    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert verdict.worth_another_try is crowded


BREAKER = {"breaker": {"on": LINK, "stays": "closed"}}


def test_an_observer_that_answers_nothing_matters_to_a_breaker(tmp_path):
    """A promise about a breaker needs the word of its service."""
    run = Run(scenario(BREAKER)).load(0, 15)
    found = receipt(run, tmp_path, "observer", "actuator/order")

    assert (found.verdict, found.status) == (Verdict.INCONCLUSIVE, "NO SAMPLES")


def test_silence_is_told_and_expected_while_the_service_is_down(tmp_path):
    """Two silent seconds spoil a breaker's word, unless the service was killed meanwhile."""
    for down, expected in ((False, "SILENT"), (True, "STEADY")):
        run = Run(scenario(BREAKER)).load(0, 15)
        for tick in range(76):
            if not 5 < tick / 5 < 8:
                run.look(tick / 5)
        if down:
            run.event(5, "service.killed", "order", pid=1).event(8, "service.ready", "order", pid=2)

        assert receipt(run, tmp_path / str(down), "observer").status == expected


def test_a_silent_observer_nobody_needs_is_no_trouble(tmp_path):
    """Without a promise that rests on it, silence is only mentioned."""
    run = Run(scenario()).load(0, 15).look(1)

    assert receipt(run, tmp_path, "observer").verdict is Verdict.PASS


@pytest.mark.parametrize("how", [None, "interrupted", "failed"])
def test_a_run_cut_short_is_inconclusive(tmp_path, how):
    """Whatever was measured, a run that did not finish gives no verdict."""
    run = Run(scenario()).load(0, 15)
    run.how = how
    verdict = judge(run.write(tmp_path))

    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert "cut short" in verdict.reason
    assert verdict.checks[0].verdict is Verdict.INCONCLUSIVE
