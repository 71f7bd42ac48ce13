"""Receipts: the measured proof that a fault, the load, the observers and the steady state really were as declared."""

from __future__ import annotations

from dataclasses import dataclass

from harness.receipts.base import FaultSpan, Record
from harness.receipts.fault import judge_fault
from harness.receipts.journal import judge_journal
from harness.receipts.limit import judge_limit
from harness.receipts.load import judge_load
from harness.receipts.observer import judge_observers
from harness.receipts.operator import judge_request
from harness.receipts.partition import judge_partition
from harness.receipts.process import judge_process
from harness.receipts.replication import judge_lag
from harness.receipts.steady_state import judge_steady_state
from harness.scenario.model import Scenario
from harness.verdict import Receipt

JUDGES = {  # by the family of the fault
    "toxic": judge_fault,
    "proxy": judge_fault,
    "http": judge_fault,
    "process": judge_process,
    "operator": judge_request,
    "network": judge_partition,
    "replication": judge_lag,
    "resources": judge_limit,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipts:
    """Every receipt of a run, and when each fault was really on."""

    all: tuple[Receipt, ...]
    spans: dict[str, FaultSpan]  # by the fault's name; a fault that never was has none


def collect(record: Record, promised: Scenario) -> Receipts:
    """Judge all evidence of a run. `promised` is the scenario whose promises will be judged on it."""
    found = [judge_journal(record), judge_load(record, promised)]
    spans: dict[str, FaultSpan] = {}
    for calls in record.faults.values():
        receipt, span = JUDGES[calls.fault.family](record, calls)
        found.append(receipt)
        if span is not None:
            spans[calls.name] = span
    if (steady := judge_steady_state(record)) is not None:
        found.append(steady)
    found += judge_observers(record, promised)
    return Receipts(all=tuple(found), spans=spans)
