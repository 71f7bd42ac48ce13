"""How every drill ends: judged, reported, told."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.printing import console, print_json
from harness.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS
from harness.verdict import Verdict

if TYPE_CHECKING:
    from harness.drill.outcome import Outcome


def end(run_dir: Path, options: argparse.Namespace) -> int:
    """Judge and report a drill's run; its exit code."""
    from harness.suite import point_latest

    outcome = reported(run_dir)
    point_latest(options.reports, run_dir)
    return told(outcome, run_dir, options)


def reported(run_dir: Path) -> Outcome:
    """Judge a drill's run and write its reports: drill.md and drill.json beside those of any run."""
    import json

    from harness.drill import outcome, report
    from harness.history import FILE_NAME, past_of
    from harness.journal.reader import JournalReader
    from harness.judge import judge
    from harness.report import write_file, write_reports

    verdict = judge(run_dir)
    with JournalReader(run_dir) as reader:
        history = run_dir.resolve().parent / FILE_NAME
        write_reports(run_dir, verdict, reader, past_of(history, run_dir, verdict, keep=False))
    found = outcome.outcome_of(run_dir, verdict)
    write_file(run_dir / report.FILE_NAME, report.report_text(found), private=True)
    document = json.dumps(found.document(), indent=2)
    write_file(run_dir / outcome.FILE_NAME, document + "\n", private=True)
    return found


def told(found: Outcome, run_dir: Path, options: argparse.Namespace) -> int:
    """Say how it ended; the exit code."""
    from harness.report.escape import one_line

    if options.json:
        print_json({**found.document(), "run_dir": str(run_dir)})
    else:
        out = console(plain=options.plain)
        lines = [f"{found.verdict.value}  {found.history.name}", f"  {found.reason}"]
        lines += [f"  {met.name:<9} {met.word:<8} {met.sentence}" for met in found.objectives]
        lines += [f"  promise   {check.verdict.value:<8} {check.title}" for check in found.run.checks]
        lines += [f"  open      {question}" for question in found.questions]
        for line in lines:
            out.print(one_line(line), soft_wrap=True)
        out.print(f"report: {run_dir / 'drill.md'}", soft_wrap=True)
    return {Verdict.PASS: EXIT_PASS, Verdict.FAIL: EXIT_FAIL}.get(found.verdict, EXIT_INCONCLUSIVE)
