"""Checks: each passes, fails on a planted violation, and refuses to answer without evidence."""

from __future__ import annotations

from pathlib import Path

import pytest
from journals import AVAILABLE, LATENCY, LEDGER, LINK, ORDERS, QUICK, USERS, Run, at, scenario, shop

from harness.checks import CHECKS
from harness.checks.breaker import follows
from harness.judge import judge
from harness.scenario.promises import PROMISES
from harness.verdict import CheckResult, Verdict

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def check(run: Run, folder: Path) -> CheckResult:
    """The answer to the run's only promise."""
    return judge(run.write(folder)).checks[0]


def quiet(promise: dict, *, objectives=(), ledgers=()) -> Run:
    """A run without faults."""
    return Run(scenario(promise), shop(objectives, ledgers))


def hurt(promise: dict, *, objectives=(AVAILABLE, QUICK)) -> Run:
    """A run with the latency fault from 3 s to 9 s, applied."""
    return Run(scenario(promise, fault=LATENCY), shop(objectives)).slow_fault()


def every(number: int, **special):
    """Something special about every so-manyth request."""
    return lambda n: special if n % number == 0 else {}


REQUEST = {"operator": "request", "service": "order", "path": "/flag", "json": {"level": 1}, "undo": {"level": 0}}
BAD = {"error": "status 503", "status": 503}


def test_every_promise_has_a_check():
    """The two tables name the same things."""
    assert CHECKS.keys() == PROMISES.keys()


# -- availability ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "spoil", "expected"),
    [(0, None, PASS), (0, every(20, **BAD), FAIL), (14, None, INCONCLUSIVE)],
    ids=["good", "one in twenty bad", "forty requests"],
)
def test_availability(tmp_path, start, spoil, expected):
    """The share of good outcomes, with enough samples to tell."""
    run = quiet({"availability": {"of": ORDERS, "at_least": "99%"}}).load(start, 15, spoil=spoil)

    assert check(run, tmp_path).verdict is expected


def test_availability_of_a_window_leaves_the_rest_out(tmp_path):
    """Errors outside of the fault do not count during it, and the other way round."""
    for where, expected in (("during", PASS), ("except", FAIL)):
        value = "slow" if where == "during" else ["slow"]
        run = hurt({"availability": {"at_least": "99%", where: value}})
        run.load(0, 3).load(3, 9).load(9, 15, spoil=every(5, **BAD))

        assert check(run, tmp_path / where).verdict is expected, where


def test_a_window_too_short_is_told_how_long_it_has_to_be(tmp_path):
    """The message names the samples needed and the length that would give them."""
    run = hurt({"availability": {"at_least": "99%", "during": "slow", "after": "5s"}}).load(0, 15)
    found = check(run, tmp_path)

    assert found.verdict is INCONCLUSIVE
    assert "39 requests in the window, 100 needed" in found.reason
    assert "lengthen the window to 2.6 s at 39.1/s" in found.reason


def test_a_failed_check_shows_the_worst_requests_with_their_way(tmp_path):
    """Five rows, the slowest first, each with what the wire knows of it."""
    run = quiet({"availability": {"at_least": "99%"}}).load(0, 15)
    for number in range(10):
        trace = f"{number:032x}"
        run.request(5 + number, latency_ms=100 + number, trace=trace, **BAD)
        run.exchange(5.001 + number, trace=trace, span_ms=50, ending="client_gone")
        run.exchange(5.1 + number, trace=trace, span_ms=40)
    rows = check(run, tmp_path).evidence

    assert [row["latency_ms"] for row in rows] == [109, 108, 107, 106, 105]
    assert rows[0]["way"] == (
        "load->order #1 503 109 ms; order->payment #1 client_gone 50 ms; order->payment #2 200 40 ms"
    )


def test_requests_without_an_end_are_judged_both_ways(tmp_path):
    """Requests still open at the end decide nothing alone."""
    run = quiet({"availability": {"at_least": "99%"}}).load(0, 14.8)
    run.load(14.8, 15, latency_ms=None, error="unfinished")

    assert check(run, tmp_path).verdict is INCONCLUSIVE


def test_a_close_call_is_marked_thin(tmp_path):
    """Right at the bound, another run may end otherwise."""
    run = quiet({"availability": {"at_least": "99%"}}).load(0, 15, spoil=every(110, **BAD))
    found = check(run, tmp_path)

    assert found.verdict is PASS
    assert found.thin


# -- latency ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "spoil", "expected"),
    [(0, None, PASS), (0, every(50, latency_ms=900), FAIL), (14, None, INCONCLUSIVE)],
    ids=["quick", "two in a hundred slow", "forty requests"],
)
def test_latency(tmp_path, start, spoil, expected):
    """A percentile is a count of slow requests."""
    run = quiet({"latency": {"p99": "500ms"}}).load(start, 15, spoil=spoil)

    assert check(run, tmp_path).verdict is expected


def test_requests_that_never_got_an_answer_are_slow(tmp_path):
    """Time-outs are not left out of the latency as error answers are."""
    hung = {"error": "read_timeout", "latency_ms": 10_000}
    for spoil, expected in ((every(20, **hung), FAIL), (every(20, **BAD), PASS)):
        run = quiet({"latency": {"p99": "500ms"}}).load(0, 15, spoil=spoil)

        assert check(run, tmp_path / expected.value).verdict is expected


def test_error_answers_count_when_asked_for(tmp_path):
    """answers: all judges slow error answers too."""
    spoil = every(20, **BAD, latency_ms=800)
    run = quiet({"latency": {"p95": "50ms", "p99": "500ms", "answers": "all"}}).load(0, 15, spoil=spoil)

    assert check(run, tmp_path).verdict is FAIL


@pytest.mark.parametrize(
    ("promise", "latency_ms", "expected"),
    [
        ({"p90": 1.5}, 12, PASS),
        ({"p90": 1.5}, 30, FAIL),
        ({"p90": 1.5, "give": "20ms"}, 30, PASS),
        ({"p50": 3, "p90": 1.5}, 30, FAIL),
    ],
)
def test_slowdown(tmp_path, promise, latency_ms, expected):
    """Latency in the window against the same percentiles before the fault: 10 to 14 ms."""
    run = hurt({"slowdown": {"of": ORDERS, "during": "slow", **promise}})
    run.load(0, 3).load(3.01, 9, latency_ms=latency_ms).load(9.01, 15)

    assert check(run, tmp_path).verdict is expected


def test_slowdown_of_an_unknown_usual_is_not_judged(tmp_path):
    """Ten answers before the fault do not tell what their 99th percentile is."""
    run = hurt({"slowdown": {"of": ORDERS, "during": "slow", "p99": 1.2}}).load(2.5, 15)

    assert check(run, tmp_path).verdict is INCONCLUSIVE


# -- errors, throughput ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("promise", "expected"),
    [
        ({"only": ["status 503"]}, PASS),
        ({"only": ["503"], "at_most": "10%"}, PASS),
        ({"only": ["status 503"], "at_most": "1%"}, FAIL),
        ({"only": ["reset"]}, FAIL),
        ({"none_of": ["status 503"]}, FAIL),
        ({"none_of": ["reset"]}, PASS),
    ],
)
def test_errors(tmp_path, promise, expected):
    """Kinds that may appear, kinds that must not, and how often."""
    run = quiet({"errors": promise}).load(0, 15, spoil=every(20, **BAD))

    assert check(run, tmp_path).verdict is expected


def test_no_errors_among_ten_requests_prove_nothing(tmp_path):
    """An absence needs samples too."""
    run = quiet({"errors": {"none_of": ["reset"]}}).load(14.75, 15)

    assert check(run, tmp_path).verdict is INCONCLUSIVE


@pytest.mark.parametrize(("rate", "expected"), [("38/s", PASS), ("45/s", FAIL), ("1/s", INCONCLUSIVE)])
def test_throughput(tmp_path, rate, expected):
    """Good answers a second; a promise of 15 answers in all is too small to judge."""
    run = quiet({"throughput": {"at_least": rate}}).load(0, 15)

    assert check(run, tmp_path).verdict is expected


# -- breaker ---------------------------------------------------------------------------------------------------

GOES = ["closed", "open", "half_open", "closed"]


def broken(promise: dict, *changes, crossing: float = 0.6) -> Run:
    """A breaker under the latency fault: calls cross until it opens and after the fault."""
    run = Run(scenario({"breaker": {"on": LINK, **promise}}, fault=LATENCY), shop([AVAILABLE])).load(0, 15).fault()
    run.crossings(0, 3).crossings(3.003, 3 + crossing, span_ms=205).crossings(10, 15)
    return run.breaker(*changes)


LIFE = (
    (3.6, "OPEN"),
    (5.6, "HALF_OPEN"),
    (5.9, "OPEN"),
    (7.9, "HALF_OPEN"),
    (8.2, "OPEN"),
    (9.8, "HALF_OPEN"),
    (9.9, "CLOSED"),
)


@pytest.mark.parametrize(
    ("promise", "expected"),
    [
        ({"goes": GOES, "opens_within": "1s", "closes_within": "2s"}, PASS),
        ({"goes": ["closed", "open"]}, FAIL),
        ({"goes": GOES, "opens_within": "0.5s"}, FAIL),
        ({"goes": GOES, "closes_within": "0.5s"}, FAIL),
        ({"stays": "closed"}, FAIL),
        ({"calls_while_open_at_most": 0}, PASS),
        ({"not_permitted_at_least": 5}, FAIL),
        ({"failure_rate_at_least": "50%"}, PASS),
        ({"failure_rate_at_least": "70%"}, FAIL),
    ],
)
def test_breaker(tmp_path, promise, expected):
    """Order, times and refusals of a breaker that opened, probed in vain twice, and closed."""
    assert check(broken(promise, *LIFE), tmp_path).verdict is expected


def test_a_breaker_that_never_opens_fails(tmp_path):
    """The planted violation: a breaker switched off."""
    run = broken({"goes": GOES, "opens_within": "3s"}, crossing=6)
    found = check(run, tmp_path)

    assert found.verdict is FAIL
    assert "did not open" in found.reason


def test_a_broken_chain_of_transitions_is_not_believed(tmp_path):
    """OPEN followed by CLOSED_TO_OPEN: something was lost."""
    run = broken({"goes": GOES}, *LIFE)
    lost = [row for row in run.rows["app_events"] if "OPEN_TO_HALF_OPEN" not in str(row[6])]
    run.rows["app_events"] = lost

    assert check(run, tmp_path).verdict is INCONCLUSIVE


def test_a_lapped_ring_is_not_believed(tmp_path):
    """Events that were overwritten between two looks leave the check without an answer."""
    run = broken({"goes": GOES}, *LIFE).event(6, "observer.gap", "actuator/order", ring_lapped=True)

    assert check(run, tmp_path).verdict is INCONCLUSIVE


def test_a_breaker_that_says_open_while_calls_cross_is_not_believed(tmp_path):
    """Word and wire have to agree."""
    assert check(broken({"goes": GOES}, *LIFE, crossing=6), tmp_path).verdict is INCONCLUSIVE


def test_failed_probes_may_repeat_but_not_be_missing():
    """More rounds than promised are fine, fewer are not, another order is not."""
    assert follows(["closed", "open", "half_open", "open", "half_open", "closed"], GOES)
    assert not follows(GOES, ["closed", "open", "half_open", "open", "half_open", "closed"])
    assert not follows(["closed", "open", "half_open"], GOES)
    assert not follows(["closed"], GOES)


# -- fallback, retries, bulkhead -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("promise", "often", "expected"),
    [
        ({"serves_at_least": "90%"}, 1, PASS),
        ({"serves_at_least": "90%"}, 2, FAIL),
        ({"serves_at_most": "10%"}, 20, PASS),
        ({"serves_at_most": "10%"}, 2, FAIL),
    ],
)
def test_fallback(tmp_path, promise, often, expected):
    """The share of answers that name the fallback, bounded from either side."""
    spoil = every(often, fallback="cache, payment-deferred")
    run = quiet({"fallback": {"named": "payment-deferred", **promise}}).load(0, 15, spoil=spoil)

    assert check(run, tmp_path).verdict is expected


def test_fallback_of_five_answers_is_not_judged(tmp_path):
    """Too few answers to say."""
    run = quiet({"fallback": {"named": "x", "serves_at_least": "90%"}}).load(14.8, 15, fallback="x")

    assert check(run, tmp_path).verdict is INCONCLUSIVE


def retried(promise: dict, attempts: int, calls: int = 100, wait_s: float = 0.02) -> Run:
    run = quiet({"retries": {"on": LINK, **promise}}).load(0, 15)
    for number in range(calls):
        trace = f"{number:032x}"
        for attempt in range(attempts if number % 2 else 1):
            run.exchange(1 + number / 10 + attempt * (wait_s + 0.005), trace=trace)
    return run


@pytest.mark.parametrize(
    ("promise", "attempts", "expected"),
    [
        ({"attempts_at_most": 3}, 3, PASS),
        ({"attempts_at_most": 3}, 5, FAIL),
        ({"attempts_at_least": 2}, 3, PASS),
        ({"attempts_at_least": 2}, 1, FAIL),
        ({"amplification_at_most": 2.0}, 3, PASS),
        ({"amplification_at_most": 1.5}, 3, FAIL),
        ({"waits_at_least": "15ms"}, 2, PASS),
        ({"waits_at_least": "50ms"}, 2, FAIL),
        ({"waits_at_least": "50ms"}, 1, INCONCLUSIVE),
        ({"waits": ["20ms", "20ms"], "give": "2ms"}, 3, PASS),
        ({"waits": ["20ms", "40ms"], "give": "15ms"}, 3, FAIL),
        ({"waits": ["20ms", "40ms"], "give": "25ms"}, 3, PASS),
        ({"waits": ["20ms", "20ms"], "give": "2ms"}, 2, INCONCLUSIVE),
    ],
)
def test_retries(tmp_path, promise, attempts, expected):
    """Attempts, amplification and waits as the wire shows them."""
    assert check(retried(promise, attempts), tmp_path).verdict is expected


@pytest.mark.parametrize(("odd_s", "expected"), [(0.5, PASS), (0.001, FAIL)], ids=["late", "early"])
def test_a_client_may_wake_late_and_not_early(tmp_path, odd_s, expected):
    """A quarter of the waits longer than promised is the machine's doing, a quarter shorter is the client's."""
    run = quiet({"retries": {"on": LINK, "waits": ["20ms"], "give": "5ms"}}).load(0, 15)
    for number in range(100):
        second, wait_s = 1 + number / 10, odd_s if number % 4 == 0 else 0.02
        run.exchange(second, trace=f"{number:032x}").exchange(second + 0.005 + wait_s, trace=f"{number:032x}")

    assert check(run, tmp_path).verdict is expected


def test_retries_of_five_calls_are_not_judged(tmp_path):
    """Too few calls to say."""
    assert check(retried({"attempts_at_most": 3}, 1, calls=5), tmp_path).verdict is INCONCLUSIVE


def test_retries_without_trace_ids_are_not_judged(tmp_path):
    """Attempts that cannot be told from calls are no evidence."""
    run = retried({"attempts_at_most": 3}, 1)
    run.rows["wire"] = [(*row[:5], None, *row[6:]) for row in run.rows["wire"]]

    assert check(run, tmp_path).verdict is INCONCLUSIVE


@pytest.mark.parametrize(
    ("promise", "rate", "expected"),
    [
        ({"at_most": "0/s"}, 0, PASS),
        ({"at_most": "0/s"}, 1, FAIL),
        ({"at_most": "10/s"}, 9, PASS),
        ({"at_most": "10/s"}, 12, FAIL),
        ({"at_least": "10/s"}, 12, PASS),
        ({"at_least": "10/s"}, 9, FAIL),
        ({"at_least": "8/s", "at_most": "10/s"}, 9, PASS),
    ],
)
def test_crossings(tmp_path, promise, rate, expected):
    """Requests a second on a link, in the window of a fault."""
    run = Run(scenario({"crossings": {"on": LINK, "during": "slow", **promise}}, fault=REQUEST), shop([AVAILABLE]))
    run.load(0, 15).fault().crossings(0, 3).crossings(3.003, 9, rate).crossings(9.003, 15)
    for second in (3.001, 9.001):
        run.event(second, "service.answered", "order", method="POST", path="/flag", status=200)

    assert check(run, tmp_path).verdict is expected


@pytest.mark.parametrize(
    ("requests", "steady"), [((0, 3), (0, 3)), ((0, 15), (2.9, 3))], ids=["no load in the window", "link unused"]
)
def test_silence_on_a_link_that_nobody_needed_is_not_judged(tmp_path, requests, steady):
    """No request on a link says something only where there were some before, and reason for more."""
    run = Run(scenario({"crossings": {"on": LINK, "at_most": "0/s", "during": "slow"}}, fault=REQUEST), shop())
    run.load(*requests).fault().crossings(*steady)
    for second in (3.001, 9.001):
        run.event(second, "service.answered", "order", method="POST", path="/flag", status=200)

    assert check(run, tmp_path).verdict is INCONCLUSIVE


def crowded(promise: dict, most: int, over_ms: float = 100) -> Run:
    """Groups of `most` exchanges open at once for over_ms."""
    run = quiet({"bulkhead": {"on": LINK, **promise}}).load(0, 15)
    for group in range(10):
        for number in range(most):
            run.exchange(1 + group + number * 0.0001, span_ms=over_ms, in_flight=number + 1)
    return run


@pytest.mark.parametrize(
    ("promise", "most", "expected"),
    [
        ({"concurrent_at_most": 5}, 5, PASS),
        ({"concurrent_at_most": 5}, 8, FAIL),
        ({"concurrent_at_most": 9}, 5, INCONCLUSIVE),
        ({"concurrent_at_most": 9, "reached": False}, 5, PASS),
        ({"concurrent_at_most": 5, "rejects_within": "50ms"}, 5, INCONCLUSIVE),
    ],
)
def test_bulkhead(tmp_path, promise, most, expected):
    """The limit holds on the wire, and has to have been reached to mean anything."""
    run = crowded(promise, most)
    for second in range(15):
        run.look(second + 0.1)

    assert check(run, tmp_path).verdict is expected


@pytest.mark.parametrize(("took_ms", "expected"), [(3, PASS), (200, FAIL)])
def test_refusals_of_a_bulkhead_have_to_be_quick(tmp_path, took_ms, expected):
    """The service's own events tell how long a refusal took."""
    run = crowded({"concurrent_at_most": 5, "rejects_within": "50ms"}, 5)
    for number in range(150):
        data = f'{{"durationInMs": {took_ms}}}'
        run.add("app_events", at(1 + number / 20), at(2), "order", "bulkhead", "payment", "CALL_REJECTED", data)
    for tick in range(76):
        run.look(tick / 5)

    assert check(run, tmp_path).verdict is expected


def test_a_moment_of_hand_over_is_not_over_the_limit(tmp_path):
    """The gate hears of a client that gave up a moment after its next request."""
    run = crowded({"concurrent_at_most": 5}, 5)
    for group in range(10):
        run.exchange(1.099 + group, span_ms=100, in_flight=6)

    assert check(run, tmp_path).verdict is PASS


# -- recovery, effects, slo ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad_until", "within", "expected"),
    [(10, "4s", PASS), (12, "2s", FAIL), (15, "4s", FAIL), (15, "6s", INCONCLUSIVE), (9, "1s", PASS)],
    ids=["in time", "late", "never", "never, watched too short", "at once"],
)
def test_recovery(tmp_path, bad_until, within, expected):
    """From the fault's real end until the objectives hold again."""
    run = hurt({"recovery": {"slo_regained_within": within}})
    run.load(0, 3).load(3, bad_until, latency_ms=800).load(bad_until, 15)
    found = check(run, tmp_path)

    assert found.verdict is expected, found.reason
    if bad_until < 15:
        assert found.value == pytest.approx(bad_until - 9, abs=0.15)


def test_recovery_without_objectives_is_not_judged(tmp_path):
    """Nothing says what well means."""
    run = hurt({"recovery": {"slo_regained_within": "4s"}}, objectives=()).load(0, 15)

    assert check(run, tmp_path).verdict is INCONCLUSIVE


def effects(*, read: bool = True, keys=None, **promise) -> Run:
    run = quiet({"effects": {"ledger": "orders", **promise}}, ledgers=[LEDGER])
    for number in range(400):
        run.request(number / 40, key=f"k{number}")
    run.request(12, key="doubt", latency_ms=9000, error="read_timeout")
    entries = [f"k{number}" for number in range(400)] + ["doubt"] if keys is None else keys
    for key in entries:
        run.add("ledger", "orders", key, "{}")
    return run.event(16, "ledger.read", "orders", entries=len(entries)) if read else run


ALL = [f"k{number}" for number in range(400)]


@pytest.mark.parametrize(
    ("keys", "word"), [(ALL[1:], "1 lost"), ([*ALL, "k7"], "1 duplicated"), ([*ALL, "ghost"], "1 phantom")]
)
def test_effects_that_are_wrong_are_told_with_their_keys(tmp_path, keys, word):
    """Lost, duplicated or phantom: one is enough to fail, and it is named."""
    found = check(effects(keys=keys), tmp_path)

    assert found.verdict is FAIL
    assert word in found.measured
    assert found.evidence[0]["key"] in {"k0", "k7", "ghost"}


@pytest.mark.parametrize(("keys", "verdict"), [(["k7"], INCONCLUSIVE), (["of-yesterday"], FAIL), ([], PASS)])
def test_a_ledger_that_held_the_keys_before_the_load_tells_nothing(tmp_path, keys, verdict):
    """A constant list, or an earlier run's: the run's own keys were there before anybody asked for them."""
    run = effects(keys=[*ALL, *keys]) if verdict is FAIL else effects()
    found = check(run.event(-0.2, "ledger.before", "orders", entries=len(keys), keys=keys), tmp_path)

    assert found.verdict is verdict
    assert verdict is not INCONCLUSIVE or "before the load began" in found.reason


def test_effects_that_are_right_pass_and_doubtful_ones_are_counted_apart(tmp_path):
    """An effect that was never acknowledged may exist."""
    found = check(effects(), tmp_path)

    assert found.verdict is PASS
    assert "1 in doubt" in found.reason


@pytest.mark.parametrize(
    ("told", "keys", "verdict", "words"),
    [
        ({"settling_s": 1.4, "owed": 0}, ALL, PASS, "the last came 1.4 s after the load"),
        ({"settling_s": 5.0, "owed": 1}, ALL[1:], FAIL, "1 were still owed 5 s after the load"),
        ({"settling_s": 0.0, "owed": 0}, ALL, PASS, "in doubt exist)"),
        ({"settling_s": "soon", "owed": []}, ALL, PASS, "in doubt exist)"),
    ],
)
def test_effects_that_settle_late_count_and_the_wait_for_them_is_told(tmp_path, told, keys, verdict, words):
    """A put-off charge may come within the ledger's own time; what is still owed then is lost."""
    run = effects(read=False, keys=keys).event(16, "ledger.read", "orders", entries=len(keys), **told)
    found = check(run, tmp_path)

    assert found.verdict is verdict
    assert words in found.reason


def test_a_ledger_nobody_read_proves_nothing(tmp_path):
    """No entry and no word that it was read: no verdict."""
    assert check(effects(read=False), tmp_path).verdict is INCONCLUSIVE


def test_lost_effects_stand_whatever_else_is_missing(tmp_path):
    """A run cut short cannot bring a lost order back."""
    run = effects(keys=ALL[1:])
    run.how = "interrupted"

    assert check(run, tmp_path).verdict is FAIL


@pytest.mark.parametrize(
    ("promise", "often", "expected"),
    [
        ({}, 200, PASS),
        ({}, 20, FAIL),
        ({"budget_left_at_least": "80%"}, 200, FAIL),
        ({"named": "orders-available", "budget_left_at_least": "20%"}, 200, PASS),
        ({"named": "nobody"}, 200, INCONCLUSIVE),
    ],
)
def test_slo(tmp_path, promise, often, expected):
    """Objectives by their error budget."""
    run = quiet({"slo": promise}, objectives=[AVAILABLE, QUICK]).load(0, 15, spoil=every(often, **BAD))

    assert check(run, tmp_path).verdict is expected


def test_a_name_nobody_knows_is_not_judged(tmp_path):
    """A request or a window that the run did not have gives no verdict, and the known names are told."""
    for number, promise in enumerate(({"of": "GET /nothing"}, {"during": "nowhere"})):
        run = quiet({"availability": {"at_least": "99%", **promise}}).load(0, 15).load(0, 15, name=USERS)
        found = check(run, tmp_path / str(number))

        assert found.verdict is INCONCLUSIVE
        assert "known" in found.reason or "it had" in found.reason
