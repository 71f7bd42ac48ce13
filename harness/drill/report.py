"""
The report of a drill, in Markdown that goes into a post-mortem as it is: what was tried, what happened and when, who
did what, what was promised and kept, what broke, what is still open. Places for people's own words are marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from harness.drill.history import Moment
from harness.drill.outcome import Outcome
from harness.report.escape import markdown
from harness.units import show_duration

FILE_NAME = "drill.md"
_QUIET = ("service.killed", "service.stopped", "service.paused", "service.resumed")  # told by the fault


def report_text(outcome: Outcome) -> str:
    """The whole report."""
    history = outcome.history
    drill = history.drill
    started = datetime.fromtimestamp(history.started_s, UTC)
    parts = [
        f"# Drill {markdown(history.name)}: {outcome.verdict.value}\n",
        f"{markdown(outcome.reason)}\n",
        f"Held on {started:%Y-%m-%d at %H:%M} UTC, {show_duration(history.seconds)} under load. Run `{history.run}`.\n",
    ]
    if drill.get("goal"):
        parts.append(f"**Goal.** {markdown(drill['goal'])}\n")
    if drill.get("roles"):
        parts.append("**Roles.**\n\n" + _bullets(f"{role}: {what}" for role, what in drill["roles"].items()))
    parts += [
        "## Objectives\n",
        _objectives(outcome),
        "## What was believed, and what was promised\n",
        _believed(outcome),
        "## Timeline\n",
        _timeline(outcome),
        "## What broke\n",
        _bullets(outcome.broke) if outcome.broke else "Nothing that was looked at.\n",
        "## Open questions\n",
        _bullets(outcome.questions) if outcome.questions else "None were written down.\n",
        "## What was learned\n",
        _learned(drill.get("learned") or ()),
        "## What is to be done\n",
        _table(("what", "who", "until"), [("", "", "")]),
    ]
    return "\n".join(parts)


def _objectives(outcome: Outcome) -> str:
    rows = [
        (met.name, _span(met.wanted_s), _span(met.measured_s), met.word, markdown(met.sentence))
        for met in outcome.objectives
    ]
    return (
        _table(("objective", "wanted within", "measured", "", "how it is known"), rows) if rows else "None were set.\n"
    )


def _believed(outcome: Outcome) -> str:
    believed = outcome.history.drill.get("hypotheses") or ()
    text = _bullets(f"{one} (held? say so here)" for one in believed) + "\n" if believed else ""
    rows = [(c.verdict.value, markdown(c.title), markdown(c.reason)) for c in outcome.run.checks]
    return text + _table(("", "promise", "measured"), rows)


def _timeline(outcome: Outcome) -> str:
    rows = [
        (f"{moment.at_s:.1f} s", _who(moment), _what(moment, outcome))
        for moment in outcome.history.moments
        if moment.kind not in _QUIET
    ]
    for breaker, transitions in outcome.history.breakers.items():
        rows += [
            (f"{at_s:.1f} s", markdown(breaker), f"breaker {markdown(what.replace('_TO_', ' to ').lower())}")
            for at_s, what in transitions
        ]
    rows.sort(key=lambda row: float(row[0].partition(" ")[0]))
    return _table(("at", "who", "what"), rows)


def _who(moment: Moment) -> str:
    if moment.kind in {"note", "abort"}:
        return markdown(moment.subject)
    if moment.kind.startswith(("person.", "step.")) and moment.data.get("by"):
        return markdown(moment.data["by"])
    return markdown(moment.data.get("role") or moment.subject)


def _what(moment: Moment, outcome: Outcome) -> str:
    data, subject = moment.data, markdown(moment.subject)
    fault = next((f.what for f in outcome.history.faults if f.name == moment.subject), moment.subject)
    told = {
        "note": f"“{markdown(data.get('text', ''))}”",
        "abort": f"**everything healed**: {markdown(data.get('why', ''))}",
        "person.injected": f"does {subject} by hand",
        "person.healed": f"heals {subject} by hand",
        "lease.ended": f"the time of {subject} is over",
        "fault.injected": f"**on**: {markdown(fault)}",
        "fault.healed": f"**off**: {markdown(fault)}",
        "fault.failed": f"{subject} failed: {markdown(data.get('error', ''))}",
        "step.prompted": f"is asked: {markdown(data.get('prompt', ''))}",
        "step.done": f"did {subject}, {_took(data)}",
        "step.skipped": f"skipped {subject}, {_took(data)}",
        "step.missed": f"did not do {subject} in time, {_took(data)}",
        "step.aborted": f"{subject} was broken off",
    }
    return told.get(moment.kind, f"{markdown(moment.kind.partition('.')[2])}")


def _took(data: object) -> str:
    after_s = data.get("after_s") if isinstance(data, dict) else None
    return f"after {show_duration(float(after_s))}" if after_s is not None else "when is not known"


def _learned(questions: Sequence[str]) -> str:
    asked = [f"**{markdown(question)}** (write the answer here)" for question in questions]
    return "".join(f"- {line}\n" for line in asked) or "(write it here)\n"


def _span(span_s: float | None) -> str:
    if span_s is None:
        return "not known"
    return show_duration(span_s) if span_s else "0 s"


def _bullets(lines: Iterable[str]) -> str:
    return "".join(f"- {markdown(line)}\n" for line in lines)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown already."""
    drawn = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    drawn += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(drawn) + "\n"
