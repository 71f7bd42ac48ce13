"""`harness judge`: judge a finished run's journal again; nothing is started, nothing written unless asked."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.parser import Parser
from harness.cli.printing import console, print_json
from harness.cli.run import exit_code
from harness.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS
from harness.verdict import RunVerdict, Verdict

DESCRIPTION = """\
Judge the journal of a finished run again, by the promises it was run for or by those of an edited
scenario. The exit code says whether the verdict is the one the scenario declares."""
EXAMPLES = (
    "harness judge reports/latest",
    "harness judge reports/latest --scenario edited.yaml",
    "harness judge reports/latest --json",
)


def arguments(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run, or its journal.db")
    parser.add_argument("--scenario", metavar="FILE", type=Path, help="judge by the promises of this file instead")
    parser.add_argument("--write", action="store_true", help="write the run's report files anew")
    parser.add_argument(
        "--inconclusive",
        choices=("fail", "pass"),
        help="count an unexpected INCONCLUSIVE as this, in the exit code only",
    )
    parser.add_argument("--plain", action="store_true", help="no colour, no frames")


def main(options: argparse.Namespace) -> int:
    from harness.report import verdict_file
    from harness.report.terminal import show_run

    verdict = judged(options.run, options.scenario)
    if options.write:
        from harness.history import FILE_NAME, past_of
        from harness.journal.reader import JournalReader
        from harness.report import write_reports

        with JournalReader(options.run) as reader:
            history = reader.path.parent.resolve().parent / FILE_NAME
            write_reports(reader.path.parent, verdict, reader, past_of(history, options.run, verdict, keep=False))
    if options.json:
        print_json(verdict_file.document(verdict))
    else:
        show_run(console(plain=options.plain), verdict)
    return exit_code(code_of(verdict), options.inconclusive)


def judged(run: Path, scenario_file: Path | None = None) -> RunVerdict:
    """The verdict on a run, by its own scenario or that of another file."""
    from harness.judge import judge

    if scenario_file is None:
        return judge(run)
    from harness.scenario.file import load_scenario
    from harness.scenario.masking import as_journalled

    return judge(run, as_journalled(load_scenario(scenario_file).scenario))


def code_of(verdict: RunVerdict) -> int:
    """0 when the run ended as its scenario declares; else 3 for INCONCLUSIVE, 1 for the rest."""
    if verdict.as_declared:
        return EXIT_PASS
    return EXIT_INCONCLUSIVE if verdict.verdict is Verdict.INCONCLUSIVE else EXIT_FAIL
