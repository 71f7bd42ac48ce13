"""`harness run`: run scenarios, judge them, write their reports, say how they ended."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.parser import Parser
from harness.cli.printing import console, print_json, problem
from harness.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS

if TYPE_CHECKING:
    from harness.progress import View
    from harness.suite import Result
    from harness.suite.repeats import Repeated
    from harness.suite.result import SuiteResult

DESCRIPTION = """\
Run scenarios one after another: start the system, put proxies on its links, drive load, inject the
faults, take everything down, judge what was recorded. A scenario declares how it has to end
(`outcome`, `because`); the exit code is 0 when every one ended as it declares."""
EXAMPLES = (
    "harness run scenarios/payment-slow.yaml",
    "harness run scenarios --tag quick",
    "harness run scenarios -k 'breaker and not user'",
    "harness run scenarios/payment-slow.yaml --set load.arrivals=80/s --set timeline[1].fault.latency=800ms",
    "harness run scenarios -j auto",
    "harness run scenarios/payment-slow.yaml --repeat 10",
    "harness run scenarios --json > suite.json",
)


def arguments(parser: Parser) -> None:
    from harness.run.options import BACKENDS

    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="scenario files, or folders of them")
    parser.add_argument(
        "-k", dest="keyword", metavar="EXPR", help="only those whose path, name or tags match, as in pytest"
    )
    parser.add_argument(
        "--tag",
        dest="tags",
        metavar="TAG",
        action="append",
        default=[],
        help="only those with this tag; may be repeated",
    )
    parser.add_argument(
        "--backend", choices=BACKENDS, default=BACKENDS[0], help="what runs the system (default: %(default)s)"
    )
    parser.add_argument(
        "--reports",
        metavar="DIR",
        type=Path,
        default=Path("reports"),
        help="where runs are kept (default: %(default)s)",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="change one value of the scenario; may be repeated",
    )
    parser.add_argument("--seed", metavar="N", type=int, help="draw from this seed instead of the scenario's own")
    parser.add_argument(
        "--inconclusive",
        choices=("fail", "pass"),
        help="count an unexpected INCONCLUSIVE as this, in the exit code only",
    )
    parser.add_argument(
        "--retry-busy",
        metavar="N",
        type=int,
        default=2,
        help="further tries, once the machine is quiet, of a run kept from its verdict by a busy machine alone"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=_jobs,
        default=1,
        help="scenarios side by side, each with a system of its own; auto: as many as this machine has cores for",
    )
    parser.add_argument(
        "--repeat", metavar="K", type=_repeats, default=1, help="run each K times; every run has to end as declared"
    )
    parser.add_argument("--junit", metavar="FILE", type=Path, help="also write one JUnit file for all scenarios")
    parser.add_argument("--plain", action="store_true", help="plain lines instead of a live panel")


def main(options: argparse.Namespace) -> int:
    from harness import suite
    from harness.progress import Silent
    from harness.report.escape import one_line
    from harness.report.live import open_view
    from harness.run.interruption import hang_on_lifeline
    from harness.run.options import RunOptions
    from harness.suite.repeats import run_repeatedly
    from harness.suite.result import SuiteResult, gravest

    wanted = RunOptions(
        reports=options.reports,
        backend=options.backend,
        seed=options.seed,
        overrides=tuple(options.overrides),
        jobs=options.jobs,
        retry_busy=options.retry_busy,
    )
    hang_on_lifeline()
    paths = suite.find(options.paths, options.keyword, options.tags)
    finished: list[Result] = []
    repeated: list[Repeated] = []

    def run_all(view: View, done: Callable[[Result], None]) -> SuiteResult:
        def run_some(some: Sequence[Path]) -> SuiteResult:
            return suite.run(some, wanted, view, done)

        if options.repeat == 1:
            return run_some(paths)
        repeated.extend(run_repeatedly(paths, options.repeat, lambda some: run_some(some).results, view.say))
        return SuiteResult(results=tuple(result for one in repeated for result in one.results))

    try:
        if options.json:

            def ended(one: Result) -> None:
                finished.append(one)
                print(_line(one), file=sys.stderr, flush=True)  # standard output is for the JSON alone

            result = run_all(Silent(), ended)
        else:
            with open_view(plain=options.plain) as view:

                def done(one: Result) -> None:
                    finished.append(one)
                    view.say(_line(one))

                result = run_all(view, done)
    finally:  # after Ctrl-C too: what has ended is worth showing
        _show(finished, options)
    code = gravest(one.exit_code for one in repeated) if repeated else result.exit_code
    code = exit_code(code, options.inconclusive)
    if options.json:
        from harness.suite.told import document

        found: dict[str, Any] = {"format": 1, "exit_code": code, "scenarios": [document(one) for one in result.results]}
        print_json(found | ({"repeats": [_repeats_document(one) for one in repeated]} if repeated else {}))
    for one in repeated if not options.json else ():
        print(f"{one.word}  {one_line(one.scenario)}: {one_line(one.sentence)}")
    return code


def _repeats(text: str) -> int:
    from harness.suite.repeats import MOST_REPEATS

    if not text.isdigit() or not 1 <= int(text) <= MOST_REPEATS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of runs from 1 to {MOST_REPEATS}")
    return int(text)


def _repeats_document(one: Repeated) -> dict[str, Any]:
    return {"scenario": one.scenario, "word": one.word, "sentence": one.sentence, "exit_code": one.exit_code}


def _jobs(text: str) -> int:
    if text == "auto":
        from harness.suite.jobs import jobs_for

        return jobs_for(os.cpu_count())
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of scenarios; write 2, or auto")
    return int(text)


def exit_code(code: int, inconclusive: str | None) -> int:
    """A suite's exit code after --inconclusive; only an INCONCLUSIVE that nothing graver hides is changed."""
    if code != EXIT_INCONCLUSIVE or inconclusive is None:
        return code
    return EXIT_PASS if inconclusive == "pass" else EXIT_FAIL


def _show(finished: list[Result], options: argparse.Namespace) -> None:
    from harness.report.escape import one_line
    from harness.report.terminal import show_run, show_suite
    from harness.suite.rows import report_of, suite_row, write_index

    if options.junit:
        _write_junit(options.junit, finished)
    index = write_index(finished, options.reports) if len(finished) > 1 else None
    if options.json or not finished:
        return
    out = console(plain=options.plain)
    alone = len(finished) == 1
    for one in finished:
        if one.verdict is not None and (alone or not one.verdict.as_declared):
            show_run(out, one.verdict, report_of(one))
            out.print()
        elif one.error is not None:
            out.print(f"ERROR  {one_line(one.scenario)}\n{problem(one.error)}\n", soft_wrap=True)
    if not alone:
        show_suite(out, [suite_row(one) for one in finished], index)


def _line(result: Result) -> str:
    if result.verdict is None:
        return f"ERROR {result.scenario}: {result.error}"
    met = "as declared" if result.verdict.as_declared else "NOT as declared"
    return f"{result.verdict.verdict.value} {result.scenario}, {met}, {result.seconds:.1f} s"


def _write_junit(path: Path, finished: list[Result]) -> None:
    from harness.report import write_file
    from harness.report.junit import NotRun, junit_xml

    write_file(
        path,
        junit_xml(one.verdict or NotRun(scenario=one.scenario, message=str(one.error)) for one in finished),
    )
