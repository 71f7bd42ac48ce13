"""
A journal in, a verdict out: receipts first, then every promise, then what they come to together.

Reads and starts nothing, so an old journal can be judged again, against its own promises or others.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.checks import CHECKS
from harness.checks.base import Evidence, inconclusive, speaks_of
from harness.clock import NS_PER_MS, NS_PER_S
from harness.errors import InputError
from harness.journal.reader import JournalReader
from harness.receipts import Receipts, collect
from harness.receipts.base import Record
from harness.receipts.observer import ACTUATOR
from harness.scenario.model import Scenario
from harness.scenario.promises import Breaker, Promise
from harness.verdict import CheckResult, Receipt, RunVerdict, Verdict, worst

_WHOLE_RUN = ("journal", "load", "steady_state")  # receipts that every check rests on
_STANDS = ("effects", "consistency")  # a lost or doubled effect is a fact, whatever else is missing
_LONGEST_WAY = 20  # exchanges shown of one request


def judge(run: Path, scenario: Scenario | None = None) -> RunVerdict:
    """
    The verdict on one run: its folder or its journal.db. With a scenario, judge its promises instead of the run's
    own. Raises InputError when there is no journal, or one that cannot be read.
    """
    with JournalReader(run) as reader, _no_collector():
        record = Record(reader)
        promised = scenario if scenario is not None else record.scenario
        receipts = collect(record, promised)
        evidence = Evidence(record, promised, receipts)
        checks = [_supported(expectation.promise, evidence) for expectation in promised.expect]
        return _verdict(record, promised, _with_ways(checks, record), receipts)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Columns are millions of numbers without a single cycle: looking for one in them takes a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _supported(promise: Promise, evidence: Evidence) -> CheckResult:
    """A check's answer with the names of the receipts it rests on."""
    names = [receipt.name for receipt in _support(promise, evidence)]
    if isinstance(promise, Breaker):  # what a breaker's service says is believed only where somebody looked closely
        client = promise.on.partition("->")[0]
        names += [r.name for r in evidence.receipts.all if r.kind == "observer" and r.subject == f"{ACTUATOR}/{client}"]
    return replace(_answer(promise, evidence), rests_on=tuple(names))


def _answer(promise: Promise, evidence: Evidence) -> CheckResult:
    """One check's answer, taken back when the evidence it rests on is missing. A check that crashes answers nothing."""
    try:
        result = CHECKS[promise.check](promise, evidence)
    except InputError as error:
        reason = f"{error} ({error.hint})" if error.hint else str(error)
        return inconclusive(promise, title=promise.check, reason=reason)
    except Exception as error:  # a bug in a check must never become a pass, nor hide the other checks
        if (damage := evidence.record.reader.damage()) is not None:
            return inconclusive(promise, title=promise.check, reason=f"the journal is damaged: {damage}")
        reason = f"the check itself failed, which is a bug: {type(error).__name__}: {error}"
        return inconclusive(promise, title=promise.check, reason=reason)
    missing = _missing(promise, evidence)
    if not missing or result.verdict is Verdict.INCONCLUSIVE:
        return result
    if promise.check in _STANDS and result.verdict is Verdict.FAIL:
        return result
    reason = f"not earned: {missing[0]} (otherwise {result.verdict.value}: {result.reason})"
    return replace(result, verdict=Verdict.INCONCLUSIVE, reason=reason, thin=False)


def _missing(promise: Promise, evidence: Evidence) -> list[str]:
    """What a check rests on and the run could not prove."""
    return [
        f"{receipt.name} {receipt.status}: {receipt.sentence}"
        for receipt in _support(promise, evidence)
        if receipt.verdict is not Verdict.PASS
    ]


def _support(promise: Promise, evidence: Evidence) -> list[Receipt]:
    """The receipts that a check rests on, whatever they say."""
    named = speaks_of(promise, evidence)
    return [
        receipt
        for receipt in evidence.receipts.all
        if receipt.kind in _WHOLE_RUN or (receipt.kind == "fault" and receipt.subject in named)
    ]


# -- the run's verdict -----------------------------------------------------------------------------------------


def _verdict(record: Record, promised: Scenario, checks: list[CheckResult], receipts: Receipts) -> RunVerdict:
    overall = worst([*(c.verdict for c in checks), *(r.verdict for r in receipts.all)])
    declared = Verdict(promised.outcome.upper())
    return RunVerdict(
        scenario=promised.name,
        run=str(record.reader.facts.get("run", record.reader.path.parent.name)),
        verdict=overall,
        reason=_reason(overall, checks, receipts.all),
        declared=declared,
        because=promised.because,
        as_declared=overall is declared and _caused(promised.because, overall, checks, receipts.all),
        checks=tuple(checks),
        receipts=receipts.all,
        facts=_facts(record),
    )


def _reason(overall: Verdict, checks: list[CheckResult], receipts: Iterable[Receipt]) -> str:
    """One sentence: the decisive check or receipt, with its numbers."""
    if overall is Verdict.PASS:
        samples = max((check.samples for check in checks), default=0)
        return f"all {len(checks)} promises were kept, judged on up to {samples} samples, and every receipt is there"
    if overall is Verdict.INCONCLUSIVE:
        for receipt in receipts:
            if receipt.verdict is overall:
                return f"{receipt.name}, {receipt.status}: {receipt.sentence}"
    decisive = next(check for check in checks if check.verdict is overall)
    where = "" if decisive.window in decisive.title else f" ({decisive.window})"
    return f"{decisive.title}{where}: {decisive.reason}"


def _caused(because: str | None, overall: Verdict, checks: list[CheckResult], receipts: Iterable[Receipt]) -> bool:
    """Whether what the scenario names as the cause is among those that ended in this verdict."""
    if because is None:
        return True
    names = {check.check for check in checks if check.verdict is overall}
    for receipt in receipts:
        if receipt.verdict is overall:
            names |= {receipt.kind, receipt.subject}
    return because in names


def _facts(record: Record) -> dict[str, Any]:
    facts = record.reader.facts
    chosen: dict[str, Any] = {key: facts[key] for key in ("seed", "versions", "harness", "commit") if key in facts}
    return {
        **chosen,
        "duration_s": round((record.arrivals_end_ns - record.t0_ns) / NS_PER_S, 3),
        "requests": sum(len(columns) for columns in record.requests.values()),
        "load_model": "closed" if record.scenario.load.users is not None else "open",
    }


# -- the way of a request across the links ---------------------------------------------------------------------


def _with_ways(checks: list[CheckResult], record: Record) -> list[CheckResult]:
    """Fill in, for the requests shown as evidence, what the wire knows of them. One look at the wire for all."""
    traces = {row["trace"] for check in checks for row in check.evidence if row.get("trace")}
    if not traces:
        return checks
    ways = _ways(record, sorted(traces))

    def filled(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "way": ways.get(row["trace"], "not seen on any link")} if row.get("trace") else row

    return [replace(check, evidence=tuple(filled(row) for row in check.evidence)) for check in checks]


def _ways(record: Record, traces: list[str]) -> dict[str, str]:
    marks = ", ".join("?" * len(traces))
    sql = f"""
        SELECT trace, link, method, path, arrived_ns, ended_ns, status, ending FROM wire
        WHERE trace IN ({marks}) ORDER BY arrived_ns
    """  # noqa: S608  # only question marks are put in
    ways: dict[str, list[str]] = {}
    attempts: dict[tuple[Any, ...], int] = {}
    for trace, link, method, path, arrived_ns, ended_ns, status, ending in record.reader.rows(sql, traces):
        call = (trace, link, method, path)
        attempts[call] = attempts.get(call, 0) + 1
        length = f"{(ended_ns - arrived_ns) / NS_PER_MS:.0f} ms" if ended_ns is not None else "no end"
        outcome = str(status) if ending == "answered" else ending
        ways.setdefault(trace, []).append(f"{link} #{attempts[call]} {outcome} {length}")
    return {trace: "; ".join(steps[:_LONGEST_WAY]) for trace, steps in ways.items()}
