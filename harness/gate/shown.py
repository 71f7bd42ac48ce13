"""
A gate's answer in the forms that are read: a terminal, a step summary, annotations of a CI server, JSON.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from harness.gate.judging import Answer, GateResult
from harness.report.escape import markdown, one_line
from harness.secrets import text as masked
from harness.verdict import Verdict

LONGEST = 2000  # characters of an annotation


def terminal(result: GateResult) -> str:
    """Verdict first; what passed in a line each, what did not with its runs."""
    lines = [_head(result)]
    for answer in _gravest_first(result):
        mark = " (let through by the policy)" if answer.warning else ""
        lines.append(f"  {answer.word:<12}  {one_line(answer.subject)}{mark}: {one_line(answer.reason)}")
        lines += [f"                  {one_line(run)}" for run in answer.runs]
        lines += [f"                  {one_line(_where(place.file, place.line))}" for place in answer.places]
    return masked("\n".join(lines))


def _head(result: GateResult) -> str:
    counts = {verdict: sum(a.verdict is verdict for a in result.answers) for verdict in Verdict}
    told = ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count) or "nothing to judge"
    warned = sum(answer.warning for answer in result.answers)
    return f"{result.verdict.value}  gate: {told}{f', {warned} let through by the policy' if warned else ''}"


def _gravest_first(result: GateResult) -> list[Answer]:
    return sorted(result.answers, key=lambda a: (-a.verdict.gravity, not a.warning, a.kind, a.subject))


def _where(file: str, line: int | None) -> str:
    return f"{file}:{line}" if line is not None else file


def summary(result: GateResult) -> str:
    """Markdown for a step summary or a comment: a row an answer, several runs folded."""
    rows = []
    folded = []
    for answer in _gravest_first(result):
        rows.append(f"| **{answer.word}** | {markdown(answer.subject)} | {answer.kind} | {markdown(answer.reason)} |")
        if answer.runs:
            items = "\n".join(f"- {markdown(run)}" for run in answer.runs)
            folded.append(f"<details><summary>runs of {markdown(answer.subject)}</summary>\n\n{items}\n\n</details>")
    table = "\n".join(["| | scenario | judged by | why |", "| --- | --- | --- | --- |", *rows])
    return masked("\n\n".join([f"## {_head(result)}", table, *folded])) + "\n"


def github_annotations(result: GateResult) -> str:
    """
    Workflow commands that GitHub shows beside the lines of a change. Source of the form and of what is escaped:
    GitHub's documentation of workflow commands and its toolkit.
    """
    lines = []
    for answer in _gravest_first(result):
        level = "error" if answer.verdict is Verdict.FAIL else "warning"
        if answer.verdict is Verdict.PASS and not answer.warning:
            continue
        title = _property(f"{answer.word}: {answer.subject}")
        for place in answer.places:
            line = f",line={place.line}" if place.line is not None else ""
            file = _property(_relative(place.file))
            lines.append(f"::{level} file={file}{line},title={title}::{_message(place.message)}")
        if not answer.places:
            lines.append(f"::{level} title={title}::{_message(answer.reason)}")
    return "\n".join(lines)


def _relative(file: str) -> str:
    """As CI servers know it: from the folder the job works in."""
    path = Path(os.path.normpath(Path.cwd() / file))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _message(text: str) -> str:
    shown = masked(one_line(text, LONGEST))
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def document(result: GateResult) -> dict[str, Any]:
    """JSON-ready values."""
    return {
        "format": 1,
        "verdict": result.verdict.value,
        "exit_code": result.exit_code,
        "answers": [
            {
                "subject": a.subject, "kind": a.kind, "verdict": a.verdict.value, "word": a.word,
                "reason": masked(a.reason), "warning": a.warning, "runs": [masked(run) for run in a.runs],
                "folders": [str(folder) for folder in a.folders],
                "places": [{"file": p.file, "line": p.line, "message": masked(p.message)} for p in a.places],
            }
            for a in result.answers
        ],
    }  # fmt: skip
