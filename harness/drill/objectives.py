"""
Whether a drill's objectives were met: detection, response, RTO, RPO, each measured from the incident's real start.

Met and missed are earned; where the evidence is missing the answer is UNKNOWN, with what was missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.checks import CHECKS
from harness.checks.base import Evidence
from harness.checks.recovery import regained_after
from harness.drill.history import History, drill_of
from harness.drill.model import Objectives, Rpo
from harness.journal.reader import JournalReader
from harness.receipts import collect
from harness.receipts.base import Record
from harness.scenario.promises import Effects
from harness.units import show_duration
from harness.verdict import Verdict

_MANY = 1_000_000_000
_SHOWN = 50  # lost effects of which an effects check shows the keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """One objective: what was wanted, what was measured. `verdict` INCONCLUSIVE is UNKNOWN to people."""

    name: str
    wanted_s: float | None
    measured_s: float | None
    verdict: Verdict
    sentence: str

    @property
    def word(self) -> str:
        return {Verdict.PASS: "met", Verdict.FAIL: "MISSED", Verdict.INCONCLUSIVE: "UNKNOWN"}[self.verdict]


def judge_objectives(run: Path, history: History) -> tuple[Met, ...]:
    """Every objective the drill has; of a drill without any, what could be measured anyway has no bound."""
    drill = drill_of(history)
    if drill is None:
        return ()
    objectives = drill.objectives
    incident = history.fault(objectives.incident)
    if incident is None or incident.injected_s is None:
        return tuple(_unknown(objectives, "the incident never began"))
    start_s = incident.injected_s
    found = []
    for name, wanted_s, mark in (
        ("detection", objectives.detection_s, "detected"), ("response", objectives.response_s, "responded"),
    ):  # fmt: skip
        if wanted_s is not None:
            found.append(_by_people(history, name, wanted_s, mark, start_s))
    if objectives.rto_s is not None or objectives.rpo is not None:
        with JournalReader(run) as reader:
            record = Record(reader)
            evidence = Evidence(record, record.scenario, collect(record, record.scenario))
            if objectives.rto_s is not None:
                found.append(_rto(evidence, objectives.rto_s, incident.name))
            if objectives.rpo is not None:
                found.append(_rpo(evidence, objectives.rpo, start_s))
    return tuple(found)


def _unknown(objectives: Objectives, why: str) -> Iterator[Met]:
    wanted = {
        "detection": objectives.detection_s, "response": objectives.response_s, "RTO": objectives.rto_s,
        "RPO": None if objectives.rpo is None else objectives.rpo.at_most_s,
    }  # fmt: skip
    for name, wanted_s in wanted.items():
        if wanted_s is not None:
            yield Met(name=name, wanted_s=wanted_s, measured_s=None, verdict=Verdict.INCONCLUSIVE, sentence=why)


def _by_people(history: History, name: str, wanted_s: float, mark: str, start_s: float) -> Met:
    """By the first step with the mark that somebody said was done."""
    marked = [step for step in history.steps if step.marks == mark]
    done = [step for step in marked if step.said == "done"]
    broken_off = next((abort.at_s for abort in history.aborts if abort.at_s - start_s < wanted_s), None)
    if not done and broken_off is not None:  # there was still time
        why = f"the drill was broken off {show_duration(max(0.0, broken_off - start_s))} after the incident began"
        return Met(name=name, wanted_s=wanted_s, measured_s=None, verdict=Verdict.INCONCLUSIVE, sentence=why)
    if not done:
        became = ", ".join(f"{step.name} was {step.said}" for step in marked) or "no step that shows it was reached"
        return Met(name=name, wanted_s=wanted_s, measured_s=None, verdict=Verdict.FAIL, sentence=f"never: {became}")
    first = min(done, key=lambda step: step.answered_s)
    took_s = round(first.answered_s - start_s, 3)
    verdict = Verdict.PASS if took_s <= wanted_s else Verdict.FAIL
    said = f"{first.by} did {first.name} {show_duration(took_s)} after the incident began"
    return Met(name=name, wanted_s=wanted_s, measured_s=took_s, verdict=verdict, sentence=said)


def _rto(evidence: Evidence, wanted_s: float, incident: str) -> Met:
    """From the incident's start until every objective of the system holds again."""
    span = evidence.receipts.spans.get(incident)
    if span is None:
        why = "the incident left no receipt: whether it was ever there is not known"
        return Met(name="RTO", wanted_s=wanted_s, measured_s=None, verdict=Verdict.INCONCLUSIVE, sentence=why)
    verdict, at_s, sentence = regained_after(evidence, span.start, wanted_s)
    return Met(name="RTO", wanted_s=wanted_s, measured_s=at_s, verdict=verdict, sentence=sentence)


def _rpo(evidence: Evidence, wanted: Rpo, start_s: float) -> Met:
    """The stretch of acknowledged work around the incident that held a lost effect."""
    promise = Effects(ledger=wanted.ledger, lost=0, duplicated=_MANY, phantom=_MANY)
    result = CHECKS["effects"](promise, evidence)

    def met(measured_s: float | None, verdict: Verdict, sentence: str) -> Met:
        return Met(name="RPO", wanted_s=wanted.at_most_s, measured_s=measured_s, verdict=verdict, sentence=sentence)

    if result.verdict is Verdict.PASS:
        sentence = f"nothing acknowledged is missing from {wanted.ledger} ({result.samples} looked for)"
        return met(0.0, Verdict.PASS, sentence)
    lost = [str(row["key"]) for row in result.evidence if row["what"] == "lost"]
    if result.verdict is Verdict.INCONCLUSIVE or not lost:
        return met(None, Verdict.INCONCLUSIVE, result.reason)
    sql = f"SELECT end_ns FROM requests WHERE end_ns IS NOT NULL AND business_key IN ({', '.join('?' * len(lost))})"  # noqa: S608  # only question marks
    ends_s = [evidence.record.second(int(end_ns)) for (end_ns,) in evidence.record.reader.rows(sql, lost)]
    measured_s = round(max([start_s, *ends_s]) - min([start_s, *ends_s]), 3)
    verdict = Verdict.FAIL if measured_s > wanted.at_most_s else Verdict.PASS
    if verdict is Verdict.PASS and len(result.evidence) >= _SHOWN:
        verdict = Verdict.INCONCLUSIVE
    sentence = f"acknowledged work of {show_duration(measured_s)} around the incident is missing: {result.reason}"
    return met(measured_s, verdict, sentence)
