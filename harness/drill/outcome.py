"""
What a drill came to: promises, objectives, whether it was broken off; one verdict over all, and `drill.json`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.drill.floors import Fallen, fallen
from harness.drill.history import History, Moment, read_history
from harness.drill.objectives import Met, judge_objectives
from harness.verdict import RunVerdict, Verdict, worst

FORMAT = 1
FILE_NAME = "drill.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A drill's run, judged."""

    history: History
    run: RunVerdict
    objectives: tuple[Met, ...]
    verdict: Verdict
    reason: str
    fallen: tuple[Fallen, ...] = ()  # floors that gave way in a replay, which does not heed them

    @property
    def questions(self) -> list[str]:
        """What is still open: notes that ask, steps nobody did, evidence that is missing."""
        found = [f"{moment.data['text']} ({moment.subject})" for moment in self.history.notes if _asks(moment)]
        found += [
            f"Why was {step.name} {step.said}? ({step.role})" for step in self.history.steps if step.said != "done"
        ]
        asked = {step.name for step in self.history.steps}
        script = [line["step"] for line in self.history.drill.get("script", ()) if line.get("step")]
        found += [f"Why did nobody get to {step}?" for step in script if step not in asked]
        found += [f"What was the {met.name}? {met.sentence}" for met in self.objectives if met.measured_s is None]
        found += [
            f"What would have shown {receipt.kind} {receipt.subject}? {receipt.sentence}"
            for receipt in self.run.receipts
            if receipt.verdict is not Verdict.PASS
        ]
        return found

    @property
    def broke(self) -> list[str]:
        """What broke, or was broken off."""
        found = [f"{check.title}: {check.reason}" for check in self.run.checks if check.verdict is Verdict.FAIL]
        found += [f"{met.name} missed: {met.sentence}" for met in self.objectives if met.verdict is Verdict.FAIL]
        found += [f"broken off at {abort.at_s:.1f} s: {abort.data['why']}" for abort in self.history.aborts]
        found += [f"{_gave_way(one)}; led by people, the drill would have been broken off" for one in self.fallen]
        hurt = {fault.what.partition(" ")[0] for fault in self.history.faults if fault.family == "process"}
        found += [
            f"{moment.subject} ended by itself at {moment.at_s:.1f} s"
            for moment in self.history.moments
            if moment.kind == "service.exited" and moment.subject not in hurt and moment.at_s < self.history.seconds
        ]
        return found

    def document(self) -> dict[str, Any]:
        """For machines."""
        history = self.history
        return {
            "format": FORMAT,
            "run": history.run,
            "drill": history.name,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "seconds": history.seconds,
            "objectives": [
                {
                    "name": met.name, "wanted_s": met.wanted_s, "measured_s": met.measured_s,
                    "verdict": met.verdict.value, "sentence": met.sentence,
                }
                for met in self.objectives
            ],
            "steps": [dataclasses.asdict(step) for step in history.steps],
            "faults": [dataclasses.asdict(fault) for fault in history.faults],
            "notes": [{"at_s": n.at_s, "by": n.subject, "text": n.data["text"]} for n in history.notes],
            "aborted": [{"at_s": a.at_s, **a.data} for a in history.aborts],
            "floors_fallen": [dataclasses.asdict(one) for one in self.fallen],
            "promises": [
                {"check": c.check, "title": c.title, "verdict": c.verdict.value, "reason": c.reason}
                for c in self.run.checks
            ],
            "broke": self.broke,
            "questions": self.questions,
        }  # fmt: skip


def outcome_of(run_dir: Path, verdict: RunVerdict) -> Outcome:
    """Judge a drill's run, whose promises were judged already. Raises InputError."""
    history = read_history(run_dir)
    objectives = judge_objectives(run_dir, history)
    floors = [abort for abort in history.aborts if abort.data.get("how") == "floor"]
    overall = worst([verdict.verdict, *(met.verdict for met in objectives)])
    gave_way = fallen(run_dir, history)
    if floors or gave_way:
        overall = Verdict.FAIL
    elif history.aborts:
        overall = worst([overall, Verdict.INCONCLUSIVE])
    return Outcome(
        history=history, run=verdict, objectives=objectives, verdict=overall,
        reason=_gave_way(gave_way[0]) if gave_way else _reason(overall, verdict, objectives, history.aborts),
        fallen=gave_way,
    )  # fmt: skip


def _reason(overall: Verdict, run: RunVerdict, objectives: tuple[Met, ...], aborts: tuple[Moment, ...]) -> str:
    if aborts:
        return f"broken off at {aborts[0].at_s:.1f} s: {aborts[0].data['why']}"
    decisive = [met for met in objectives if met.verdict is overall]
    if overall is not Verdict.PASS and run.verdict is not overall and decisive:
        return f"{decisive[0].name} {decisive[0].word}: {decisive[0].sentence}"
    met = f", and {len(objectives)} objectives met" if overall is Verdict.PASS and objectives else ""
    return f"{run.reason}{met}"


def _gave_way(one: Fallen) -> str:
    return f"a floor gave way at {one.at_s:.1f} s: {one.sentence}"


def _asks(note: Moment) -> bool:
    return str(note.data.get("text", "")).rstrip().endswith("?")
