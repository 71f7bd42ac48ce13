"""Verdicts and a small journal that the tests of reporters and commands share."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from harness.clock import NS_PER_S
from harness.journal.writer import JournalWriter
from harness.verdict import CheckResult, Receipt, RunVerdict, Verdict, worst

NASTY = "\x1b[31m|`<b>&]]>\u202e\n# *x* \x00"
START_NS = 1_000 * NS_PER_S


def check(verdict: Verdict = Verdict.PASS, **other: Any) -> CheckResult:
    values: dict[str, Any] = {
        "check": "availability",
        "title": "POST /orders at least 99 %",
        "verdict": verdict,
        "reason": "237 of 240 requests were good, 98.75 %",
        "bound": "at least 99 %",
        "measured": "98.75 %",
        "value": 0.9875,
        "samples": 240,
        "window": "slow-payment",
        "interval": (0.964, 0.997),
        "thin": True,
        "evidence": ({"request": "POST /orders", "latency_ms": 2011.5, "way": ["load->order", "order->payment"]},),
    }
    return CheckResult(**{**values, **other})


def receipt(verdict: Verdict = Verdict.PASS, **other: Any) -> Receipt:
    values: dict[str, Any] = {
        "kind": "fault",
        "subject": "slow-payment",
        "verdict": verdict,
        "status": "APPLIED",
        "sentence": "240 requests crossed, 240 took about 2000 ms longer",
        "numbers": {"crossed": 240, "delay_ms": 2000.25},
    }
    return Receipt(**{**values, **other})


def run_verdict(*checks: CheckResult, **other: Any) -> RunVerdict:
    found = worst(one.verdict for one in checks)
    values: dict[str, Any] = {
        "scenario": "payment-slow",
        "run": "20260102T030405Z-payment-slow",
        "verdict": found,
        "reason": "1 of 1 promises decided it",
        "declared": Verdict.PASS,
        "because": None,
        "as_declared": found is Verdict.PASS,
        "checks": checks,
        "receipts": (receipt(),),
        "facts": {"duration_s": 15.0, "seed": 7},
    }
    return RunVerdict(**{**values, **other})


def nasty_verdict() -> RunVerdict:
    """Everything that could come from outside is hostile."""
    text = {"title": NASTY, "reason": NASTY, "bound": NASTY, "measured": NASTY, "window": NASTY}
    return run_verdict(
        check(Verdict.FAIL, **text, evidence=({NASTY: NASTY},)),
        check(Verdict.INCONCLUSIVE, **text, evidence=()),
        scenario=NASTY,
        run=NASTY,
        reason=NASTY,
        receipts=(receipt(Verdict.INCONCLUSIVE, subject=NASTY, sentence=NASTY, numbers={NASTY: NASTY}),),
    )


def write_journal(folder: Path, *, scenario_text: str = "name: payment-slow\n") -> Path:
    """A journal of two phases of 2 s: 4 good requests of 100 ms, then 3 good of 2 s and one that was dropped."""
    writer = JournalWriter(folder / "journal.db")
    writer.put(
        {
            "run": "20260102T030405Z-payment-slow", "scenario_text": scenario_text, "seed": 7, "commit": "abc1234",
            "versions": {"harness": "0.1.0"}, "machine": {"cores": 2}, "t0_ns": START_NS,
        }
    )  # fmt: skip
    writer.append({"events": _events(), "requests": _requests()})
    writer.close()
    return folder


def _events() -> list[tuple[int, str, str, str]]:
    rows = [
        (0, "phase.started", "steady", {"kind": "steady"}),
        (2, "phase.ended", "steady", {"kind": "steady"}),
        (2, "fault.injected", "slow-payment", {"family": "toxic", "target": "order->payment"}),
        (2, "phase.started", "slow-payment", {"kind": "fault"}),
        (4, "phase.ended", "slow-payment", {"kind": "fault"}),
    ]
    return [(START_NS + at_s * NS_PER_S, kind, subject, json.dumps(data)) for at_s, kind, subject, data in rows]


def _requests() -> list[tuple[Any, ...]]:
    def row(at_s: float, latency_s: float | None) -> tuple[Any, ...]:
        intended = START_NS + round(at_s * NS_PER_S)
        sent = None if latency_s is None else intended
        end = None if latency_s is None else intended + round(latency_s * NS_PER_S)
        good = latency_s is not None
        return ("POST /orders", intended, sent, end, 201 if good else 0, int(good), None if good else "dropped",
                10, None, None, None)  # fmt: skip

    return [row(0.5 * n, 0.1) for n in range(4)] + [row(2 + 0.5 * n, 2.0) for n in range(3)] + [row(3.9, None)]


def changed(verdict: RunVerdict, **values: Any) -> RunVerdict:
    return dataclasses.replace(verdict, **values)
