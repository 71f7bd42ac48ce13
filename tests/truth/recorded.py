"""
The mutants of recorded runs: each one way in which a chaos tool has lied, or could, put into a copy of a real journal.

`expected` is the verdict that is true of the mutated run. `words` is a piece of the sentence that has to name what was
wrong. `base` is the recorded run it is made from, `promise` what is promised of it instead, where its own promises do
not rest on what is mutated.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .tampering import ENTRY, MS, S, Tampered

INCONCLUSIVE, FAIL, REFUSED = "INCONCLUSIVE", "FAIL", "REFUSED"
USER, PAYMENT = "order->user", "order->payment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One lie."""

    name: str
    done: str
    base: str
    words: str
    mutate: Callable[[Tampered], None]
    expected: str = INCONCLUSIVE
    promise: dict[str, Any] | None = None


MUTANTS: list[Mutant] = []


def mutant(base: str, done: str, words: str, **more: Any) -> Callable[[Callable[[Tampered], None]], Any]:
    """Put a function into the table, by its own name."""

    def add(mutate: Callable[[Tampered], None]) -> Callable[[Tampered], None]:
        name = mutate.__name__.replace("_", "-")
        MUTANTS.append(Mutant(name=name, done=done, base=base, words=words, mutate=mutate, **more))
        return mutate

    return add


# -- faults on links -------------------------------------------------------------------------------------------


def calm(run: Tampered, since_ns: int = 0, until_ns: int = 1 << 62, more: str = "1") -> None:
    """The slow user service answers as quickly as ever in a stretch of time."""
    run.delay(USER, -100 * MS, max(run.on_ns, since_ns), until_ns, f"ended_ns - arrived_ns > 95000000 AND {more}")


@mutant("gentle", "the toxic is answered 200, and the wire shows nothing of it", "looked affected")
def toxic_without_effect(run: Tampered) -> None:
    calm(run)


@mutant("gentle", "the toxic sits on the link to another service", "looked affected")
def toxic_on_another_link(run: Tampered) -> None:
    calm(run)
    run.delay("order->product", 100 * MS, run.on_ns, run.off_ns)


@mutant("gentle", "the delay is little more than half of what was declared", "100 ms declared")
def toxic_too_weak(run: Tampered) -> None:
    run.delay(USER, -40 * MS, run.on_ns, run.off_ns, "ended_ns - arrived_ns > 95000000")


@mutant("gentle", "only three connections in ten get the toxic", "declared")
def toxicity_too_low(run: Tampered) -> None:
    calm(run, more="id % 10 > 2")


@mutant("gentle", "connections opened before the fault are never touched by it", "declared")
def old_connections_untouched(run: Tampered) -> None:
    on_ns = run.on_ns
    busy = run.all("SELECT connection, count(*) FROM wire WHERE link = ? GROUP BY 1 ORDER BY 2 DESC", USER)
    old = [str(connection) for connection, _ in busy[: max(1, len(busy) * 2 // 3)]]
    assert run.one("SELECT count(*) FROM wire WHERE link = ? AND arrived_ns > ?", USER, on_ns)
    calm(run, more=f"connection IN ({', '.join(old)})")


@mutant("gentle", "the toxic is gone after a second of three", "before the call that switched it off")
def toxic_removed_early(run: Tampered) -> None:
    calm(run, since_ns=run.on_ns + S)


@mutant("gentle", "the toxic comes a second and a half after its call", "away from the call that switched it on")
def toxic_applied_late(run: Tampered) -> None:
    calm(run, until_ns=run.on_ns + 3 * S // 2)


@mutant("gentle", "the toxic is still there when the run says that it was taken back", "outlived its window")
def toxic_outlives_its_window(run: Tampered) -> None:
    run.delay(USER, 100 * MS, run.off_ns, run.off_ns + 3 * S // 2)


@mutant("gentle", "the toxic is applied when the load is over", "crossed order->user while it was on")
def toxic_after_the_load(run: Tampered) -> None:
    calm(run)
    last_ns = run.one("SELECT max(intended_ns) FROM requests")
    for number, kind in enumerate(("fault.injecting", "fault.injected", "fault.healing", "fault.healed")):
        run.do("UPDATE events SET t_ns = ? WHERE kind = ?", last_ns + S + number * MS, kind)


@mutant("gentle", "every answer comes from a cache: the faulty link is never crossed", "crossed order->user")
def only_cached_answers(run: Tampered) -> None:
    run.do("DELETE FROM wire WHERE link = ? AND arrived_ns > ?", USER, run.on_ns)
    run.settle()


@mutant("gentle", "the call that adds the toxic failed, and the run went on", "it could not be injected")
def toxic_refused(run: Tampered) -> None:
    run.do("UPDATE events SET kind = 'fault.failed', data = ? WHERE kind = 'fault.injected'",
           json.dumps({"error": "Toxiproxy answered 500"}))  # fmt: skip


@mutant("first", "the gate's own fault touches nobody", "was touched")
def gate_fault_touches_nobody(run: Tampered) -> None:
    run.do("UPDATE wire SET faults = '', status = 200 WHERE faults != ''")


@mutant("first", "a fault for the first twelve requests hits five", "12 meant")
def gate_fault_hits_too_few(run: Tampered) -> None:
    run.do(
        "UPDATE wire SET faults = '' WHERE id IN (SELECT id FROM wire WHERE faults != '' ORDER BY arrived_ns LIMIT -1 OFFSET 5)"
    )


# -- processes -------------------------------------------------------------------------------------------------


@mutant("kill", "the kill hits another process", "was hit, but user ran as pid")
def kill_of_another_pid(run: Tampered) -> None:
    run.change_events("service.killed", pid=1)


@mutant("kill", "the service comes back without ever having been gone", "it was never gone")
def restart_that_never_happened(run: Tampered) -> None:
    first = json.loads(
        run.one("SELECT data FROM events WHERE kind = 'service.started' AND subject = 'user' ORDER BY t_ns")
    )
    for ident in run.all(
        "SELECT id FROM events WHERE kind IN ('service.started', 'service.ready') AND subject = 'user'"
    ):
        run.do("UPDATE events SET data = ? WHERE id = ?", json.dumps(first), *ident)


@mutant("kill", "the killed process is still at work", "was still")
def killed_but_alive(run: Tampered) -> None:
    pid = json.loads(run.one("SELECT data FROM events WHERE kind = 'service.killed'"))["pid"]
    since = run.instant("service.killed")
    run.db.execute("DELETE FROM probes WHERE observer = 'processes' AND subject = 'user' AND t_ns > ?", (since,))
    for number in range(10):
        run.do("INSERT INTO probes (t_ns, observer, subject, ok, data) VALUES (?, 'processes', 'user', 1, ?)",
               since + number * S // 5, json.dumps({"pid": pid, "status": "sleeping"}))  # fmt: skip


@mutant("kill", "the killed service never comes back", "did not come back")
def never_back(run: Tampered) -> None:
    run.do("DELETE FROM events WHERE subject = 'user' AND kind IN ('service.started', 'service.ready') AND t_ns > ?",
           run.instant("service.killed"))  # fmt: skip


@mutant("kill", "nothing says that anybody was killed", "no event says that user was ended")
def kill_without_trace(run: Tampered) -> None:
    run.do(
        "DELETE FROM events WHERE subject = 'user' AND kind IN ('service.killed', 'service.stopped', 'service.exited')"
    )


# -- the load --------------------------------------------------------------------------------------------------


@mutant("gentle", "Locust sends a tenth of the load, and counts accordingly", "declared")
def a_tenth_of_the_load(run: Tampered) -> None:
    run.forget_requests("id % 10 != 0")


@mutant("gentle", "Locust stops half-way, and counts accordingly", "declared")
def load_stops_half_way(run: Tampered) -> None:
    first_ns, last_ns = run.all("SELECT min(intended_ns), max(intended_ns) FROM requests")[0]
    run.forget_requests(f"intended_ns > {(first_ns + last_ns) // 2}")


@mutant("gentle", "Locust sends every request 40 ms late", "schedule error")
def load_is_late(run: Tampered) -> None:
    run.do("UPDATE requests SET start_ns = start_ns + ?1, end_ns = end_ns + ?1", 40 * MS)
    run.delay(ENTRY, 40 * MS, 0, 1 << 62)
    run.do("UPDATE wire SET arrived_ns = arrived_ns + ? WHERE link = ?", 40 * MS, ENTRY)


@mutant("gentle", "Locust tries one request in ten again and reports it once", "more than once")
def load_retries_by_itself(run: Tampered) -> None:
    new = run.new_connection()
    run.do(
        "INSERT INTO wire (link, connection, exchange, method, path, trace, arrived_ns, forwarded_ns, head_ns, ended_ns,"
        " status, request_bytes, response_bytes, ending, faults, in_flight)"
        " SELECT link, ?, id, method, path, trace, arrived_ns + 1000000, forwarded_ns, head_ns, ended_ns, status,"
        " request_bytes, response_bytes, ending, faults, in_flight FROM wire WHERE link = ? AND id % 10 = 0",
        new, ENTRY,
    )  # fmt: skip
    run.settle()


@mutant("gentle", "one request in three goes past the gate, to the service itself", "never crossed load->order")
def load_goes_past_the_gate(run: Tampered) -> None:
    run.do("DELETE FROM wire WHERE link = ? AND id % 3 = 0", ENTRY)
    run.settle()


@mutant("gentle", "a stranger sends requests of its own by the same entry", "none that the load reports")
def strangers_on_the_entry(run: Tampered) -> None:
    run.do("DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE name = 'GET /users' LIMIT 2)")


@mutant("gentle", "the load's clock is 300 ms behind the gate's", "its clock is another|clock is another")
def load_clock_behind(run: Tampered) -> None:
    run.do(
        "UPDATE requests SET intended_ns = intended_ns - ?1, start_ns = start_ns - ?1, end_ns = end_ns - ?1", 300 * MS
    )


@mutant("gentle", "the load's clock is 300 ms before the gate's", "before the load sent them")
def load_clock_ahead(run: Tampered) -> None:
    run.do(
        "UPDATE requests SET intended_ns = intended_ns + ?1, start_ns = start_ns + ?1, end_ns = end_ns + ?1", 300 * MS
    )


@mutant("gentle", "the load asks for one user only, which any cache holds", "different paths")
def one_cached_path(run: Tampered) -> None:
    run.do("UPDATE wire SET path = '/users/1' WHERE link = ? AND path GLOB '/users/*'", ENTRY)


@mutant("gentle", "the load leaves out the orders, which are what is slow", "were POST /orders")
def load_leaves_out_the_slow(run: Tampered) -> None:
    run.forget_requests("name = 'POST /orders' AND id % 5 > 0")


@mutant("gentle", "the load reports success where the service answered 503", "another status")
def load_hides_errors(run: Tampered) -> None:
    run.do("UPDATE wire SET status = 503 WHERE link = ? AND id % 20 = 0", ENTRY)


@mutant("gentle", "the client's test for hidden retries failed", "may hide retries")
def self_test_failed(run: Tampered) -> None:
    run.change_events("load.ended", self_test={"ok": False, "wrong": ["two requests for one call"]})


@mutant("gentle", "the load generator was at the limit of its processor", "of its core")
def generator_saturated(run: Tampered) -> None:
    run.change_events("load.ended", cpu_share_max=0.99)


@mutant("gentle", "the gate itself was slow", "the gate lagged")
def gate_saturated(run: Tampered) -> None:
    run.change_events("gate.ended", p99_ms=80.0)


# -- windows and samples ---------------------------------------------------------------------------------------


@mutant("gentle", "no request of the promised kind in the window", "in the window",
        promise={"availability": {"of": "GET /products", "at_least": "90%", "during": "slow-user"}})  # fmt: skip
def window_without_samples(run: Tampered) -> None:
    run.forget_requests(
        f"name = 'GET /products' AND intended_ns BETWEEN {run.on_ns - S // 2} AND {run.off_ns + S // 2}"
    )


@mutant("gentle", "a percentile of nine samples", "9 requests in the window",
        promise={"latency": {"of": "GET /users", "p99": "1s", "during": "slow-user"}})  # fmt: skip
def percentile_of_nine(run: Tampered) -> None:
    low, high = run.on_ns, run.off_ns
    kept = run.all(
        "SELECT id FROM requests WHERE name = 'GET /users' AND intended_ns BETWEEN ? AND ? LIMIT 9",
        low + S,
        high - S // 2,
    )
    numbers = ", ".join(str(ident) for (ident,) in kept)
    run.forget_requests(
        f"name = 'GET /users' AND intended_ns BETWEEN {low - 200 * MS} AND {high + 200 * MS} AND id NOT IN ({numbers})"
    )


@mutant("gentle", "the service was broken before the fault", "not healthy before the fault")
def broken_before_the_fault(run: Tampered) -> None:
    bad = "intended_ns < ? AND id % 4 = 0 AND name = 'POST /orders'"
    run.do(
        f"UPDATE wire SET status = 500 WHERE link = '{ENTRY}' AND trace IN (SELECT trace FROM requests WHERE {bad})",
        run.on_ns,
    )
    run.do(f"UPDATE requests SET status = 500, ok = 0, error = 'status' WHERE {bad}", run.on_ns)


# -- breakers --------------------------------------------------------------------------------------------------

OPENS = {"breaker": {"on": USER, "goes": ["closed", "open", "half_open", "closed"]}}
STAYS = {"breaker": {"on": PAYMENT, "stays": "closed"}}


@mutant("gentle", "a breaker reports transitions that it did not make", "word and wire differ", promise=OPENS)
def invented_transitions(run: Tampered) -> None:
    on_ns, off_ns = run.on_ns, run.off_ns
    run.transition(on_ns + S // 2, "CLOSED_TO_OPEN", "user")
    run.transition(off_ns - S // 2, "OPEN_TO_HALF_OPEN", "user")
    run.transition(off_ns, "HALF_OPEN_TO_CLOSED", "user")
    run.looks("user", "OPEN", on_ns + S // 2, off_ns - S // 2)
    run.looks("user", "HALF_OPEN", off_ns - S // 2, off_ns)


@mutant("slow", "a breaker opens and reports nothing of it", "word and wire differ", promise=STAYS)
def unreported_transitions(run: Tampered) -> None:
    run.do("DELETE FROM app_events WHERE name = 'payment'")
    run.looks("payment", "CLOSED")


@mutant("slow", "one of the breaker's transitions is lost", "transitions were lost")
def lost_transition(run: Tampered) -> None:
    run.do(
        "DELETE FROM app_events WHERE id = (SELECT id FROM app_events WHERE name = 'payment' ORDER BY t_ns LIMIT 1 OFFSET 1)"
    )


@mutant("slow", "the observer's looks are answered from a cache", "looks")
def looks_from_a_cache(run: Tampered) -> None:
    run.looks("payment", "CLOSED")


@mutant("slow", "the list of events is answered from a cache, the looks are not", "no transition was read")
def events_from_a_cache(run: Tampered) -> None:
    run.do("DELETE FROM app_events")


@mutant("slow", "the ring of events overflowed between two looks", "lapped")
def lapped_ring(run: Tampered) -> None:
    run.event(run.on_ns + S, "observer.gap", "actuator/order", ring_lapped=True)


@mutant("slow", "the observer was silent for two seconds", "longest silence")
def silent_observer(run: Tampered) -> None:
    run.do(
        "DELETE FROM probes WHERE observer = 'actuator' AND subject = 'order' AND t_ns BETWEEN ? AND ?",
        run.on_ns,
        run.on_ns + 2 * S,
    )


@mutant("slow", "the service's clock is two seconds ahead", "clock")
def service_clock_ahead(run: Tampered) -> None:
    run.do("UPDATE app_events SET t_ns = t_ns + ?", 2 * S)


# -- ledgers ---------------------------------------------------------------------------------------------------


@mutant("slow", "the ledger's endpoint gives one constant entry", "lost", expected=FAIL)
def ledger_of_one_entry(run: Tampered) -> None:
    run.do(
        "DELETE FROM ledger WHERE ledger = 'orders' AND id NOT IN (SELECT min(id) FROM ledger WHERE ledger = 'orders')"
    )
    run.do("UPDATE events SET data = '{\"entries\": 1}' WHERE kind = 'ledger.read' AND subject = 'orders'")


@mutant("slow", "the ledger is a constant: an earlier run's with the same keys", "before")
def ledger_of_an_earlier_run(run: Tampered) -> None:
    keys = [key for (key,) in run.all("SELECT business_key FROM ledger WHERE ledger = 'orders'")]
    run.db.execute("DELETE FROM events WHERE kind = 'ledger.before' AND subject = 'orders'")
    run.event(run.instant("load.started"), "ledger.before", "orders", entries=len(keys), keys=keys)


@mutant("slow", "the ledger was cut short on its way", "are in the journal")
def ledger_cut_short(run: Tampered) -> None:
    run.do("DELETE FROM ledger WHERE id IN (SELECT id FROM ledger WHERE ledger = 'orders' ORDER BY id DESC LIMIT 1)")


@mutant("slow", "nobody ever read the ledger", "never read")
def ledger_never_read(run: Tampered) -> None:
    run.do("DELETE FROM events WHERE kind = 'ledger.read'")
    run.do("DELETE FROM ledger")


@mutant("slow", "an order was written down twice", "1 duplicated", expected=FAIL)
def doubled_effect(run: Tampered) -> None:
    run.do(
        "INSERT INTO ledger (ledger, business_key, data) SELECT ledger, business_key, data FROM ledger WHERE ledger = 'orders' LIMIT 1"
    )
    entries = run.one("SELECT count(*) FROM ledger WHERE ledger = 'orders'")
    run.do(
        "UPDATE events SET data = ? WHERE kind = 'ledger.read' AND subject = 'orders'", json.dumps({"entries": entries})
    )


# -- the gate and the journal ----------------------------------------------------------------------------------


@mutant("gentle", "the gate died and was started anew in the middle", "started anew")
def gate_restarted(run: Tampered) -> None:
    middle_ns = (run.on_ns + run.off_ns) // 2
    run.event(middle_ns, "gate.ended", "gate", p99_ms=0.5, rows_lost=0)
    run.do("UPDATE wire SET connection = connection % 3 + 1, exchange = id WHERE arrived_ns > ?", middle_ns)
    run.settle()


@mutant("gentle", "the gate died and nobody noticed", "never came to its end")
def gate_died(run: Tampered) -> None:
    run.do("DELETE FROM events WHERE kind = 'gate.ended'")


@mutant("gentle", "the gate's disk was full, rows were lost", "that it could not write")
def gate_lost_rows(run: Tampered) -> None:
    run.change_events("gate.ended", rows_lost=12)


@mutant("gentle", "a thirtieth of the wire is missing, and nobody says so", "rows were lost")
def wire_with_holes(run: Tampered) -> None:
    run.do("DELETE FROM wire WHERE id % 30 = 0 AND link = ?", "order->product")


@mutant("gentle", "the last fifth of the wire is missing", "rows were lost")
def wire_cut_short(run: Tampered) -> None:
    last = run.one("SELECT max(id) FROM wire")
    run.do("DELETE FROM wire WHERE id > ? AND link != ?", last * 4 // 5, ENTRY)


@mutant("gentle", "the journal ends in the middle of the run", "cut short")
def journal_cut_short(run: Tampered) -> None:
    middle_ns = (run.on_ns + run.off_ns) // 2
    for table, stamp in (("events", "t_ns"), ("requests", "end_ns"), ("wire", "ended_ns"), ("probes", "t_ns")):
        run.do(f"DELETE FROM {table} WHERE {stamp} > ?", middle_ns)


@mutant("gentle", "the journal's file is cut off", "damaged|not a journal", expected=REFUSED)
def file_cut_off(run: Tampered) -> None:
    run.db.commit()
    with run.path.open("r+b") as file:
        file.truncate(run.path.stat().st_size // 3)


@mutant("gentle", "every row is in the journal twice", "doubled")
def rows_doubled(run: Tampered) -> None:
    for table in ("requests", "wire", "connections"):
        names = ", ".join(row[1] for row in run.all(f"PRAGMA table_info({table})") if row[1] != "id")
        run.do(f"INSERT INTO {table} ({names}) SELECT {names} FROM {table}")


@mutant("gentle", "the wire is that of another run of the same scenario", "another run's")
def wire_of_another_run(run: Tampered) -> None:
    shift = 3600 * S
    run.do("UPDATE wire SET arrived_ns = arrived_ns - ?1, head_ns = head_ns - ?1, ended_ns = ended_ns - ?1", shift)
    run.do("UPDATE wire SET trace = substr(trace, 17) || substr(trace, 1, 16)")


@mutant("gentle", "the wire is that of another scenario, put on this one's clock", "never crossed load->order")
def wire_of_another_scenario(run: Tampered) -> None:
    run.do("UPDATE wire SET trace = substr(trace, 17) || substr(trace, 1, 16)")


@mutant("gentle", "two runs in one journal", "2 starts of a run")
def two_runs_in_one(run: Tampered) -> None:
    run.event(run.on_ns, "run.started", "another")


@mutant("gentle", "a journal of a format to come", "journal format", expected=REFUSED)
def unknown_format(run: Tampered) -> None:
    run.put("format", 99)
