"""`harness compare`: is the new version worse than the old one."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.parser import Parser
from harness.cli.printing import print_json

if TYPE_CHECKING:
    from harness.comparison.document import Comparison

DESCRIPTION = """\
Run scenarios against two versions alternately (old new, new old, ...) and say whether the new one is worse:
FAIL takes significance over all SLIs and a size that matters (+10 %, half a point of availability), PASS a
bound below the tolerance (+20 %, one point), else INCONCLUSIVE with the smallest change that could have been
seen. A version is a Compose file, a folder with a checkout, or a git revision, each with overrides. Of
recorded runs (two folders, or a baseline and one or two new executions) it says what they can show."""
EXAMPLES = (
    "harness compare main HEAD --scenario scenarios --tag gate",
    "harness compare old.yaml new.yaml --scenario scenarios/steady-state.yaml",
    "harness compare . . --new-set with.payment.SHOP_CHARGE_TIME=120ms --scenario scenarios/steady-state.yaml",
    "harness compare reports/RUN-A reports/RUN-B",
    "harness compare baseline.json reports/first reports/second",
)


def arguments(parser: Parser) -> None:
    parser.add_argument("base", metavar="BASE", help="Compose file, folder, git revision, run, or baseline")
    parser.add_argument("new", metavar="NEW", nargs="+", help="the same; after a baseline: one execution, or two")
    parser.add_argument(
        "--scenario", dest="scenarios", metavar="PATH", action="append", type=Path, default=[],
        help="scenario file, or folder of them; may be repeated",
    )  # fmt: skip
    parser.add_argument("--tag", dest="tags", metavar="TAG", action="append", default=[], help="only those with it")
    parser.add_argument("-k", dest="keyword", metavar="EXPR", help="only those that match, as in `harness run`")
    for name, of in (("--set", "both sides"), ("--base-set", "BASE only"), ("--new-set", "NEW only")):
        parser.add_argument(
            name, metavar="PATH=VALUE", action="append", default=[], help=f"change one value of the scenario, {of}"
        )
    parser.add_argument(
        "--alpha", choices=("0.5%", "1%"), default="0.5%", help="chance of a false alarm (default: %(default)s)"
    )
    parser.add_argument("--max-pairs", metavar="N", type=int, help="end after so many pairs (default: 24)")
    parser.add_argument("--max-minutes", metavar="N", type=float, help="end after so long; the rest is INCONCLUSIVE")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="of the first pair (default: %(default)s)")
    parser.add_argument(
        "--reports", metavar="DIR", type=Path, default=Path("reports"), help="where it is kept (default: %(default)s)"
    )
    parser.add_argument("--summary", metavar="FILE", type=Path, help="append the answer as Markdown to this file")


def main(options: argparse.Namespace) -> int:
    from harness.cli.gate import append
    from harness.comparison import document
    from harness.report.live import open_view

    if not options.scenarios:
        comparison = _recorded(options)
    else:
        with open_view(plain=True) as view:
            comparison = _conducted(options, view.say)
    if options.json:
        print_json(document.document(comparison))
    else:
        print(document.text(comparison))
        if comparison.folder is not None:
            print(f"\nkept in {comparison.folder}")
    if options.summary:
        append(options.summary, document.markdown_text(comparison))
    return comparison.exit_code


def _conducted(options: argparse.Namespace, say: Callable[[str], None]) -> Comparison:
    from harness import suite
    from harness.comparison.conduct import Request, conduct
    from harness.comparison.rules import rules_of
    from harness.errors import InputError
    from harness.run.interruption import hang_on_lifeline
    from harness.run.options import RunOptions

    if len(options.new) > 1:
        raise InputError(f"two versions are compared, {1 + len(options.new)} are named", hint="BASE NEW")
    try:
        rules = rules_of({"0.5%": 0.005, "1%": 0.01}[options.alpha], options.max_pairs)
    except ValueError as error:
        raise InputError(f"--max-pairs: {error}") from error
    hang_on_lifeline()
    return conduct(
        Request(
            base=options.base, new=options.new[0], rules=rules, most_minutes=options.max_minutes, seed=options.seed,
            scenarios=tuple(suite.find(options.scenarios, options.keyword, options.tags)),
            options=RunOptions(reports=options.reports, overrides=tuple(options.set)),
            base_overrides=tuple(options.base_set), new_overrides=tuple(options.new_set),
        ),
        say,
    )  # fmt: skip


def _recorded(options: argparse.Namespace) -> Comparison:
    """Runs that are over: one against one, or executions against a baseline."""
    from harness.comparison.bank import against_bank, read_bank
    from harness.comparison.document import Comparison
    from harness.comparison.recorded import one_against_one
    from harness.comparison.rules import Rules
    from harness.errors import InputError
    from harness.slis import read_row, rows_below

    base, new = Path(options.base), [Path(word) for word in options.new]
    label = " and ".join(map(str, new))
    if base.is_file() and base.suffix == ".json":
        bank = read_bank(base)
        executions = [rows_below(folder) for folder in new]
        names = sorted({row.scenario for one in executions for row in one})
        found = [
            against_bank(bank, name, [[r for r in one if r.scenario == name] for one in executions], Rules())
            for name in names
        ]
        return Comparison(old=str(base), new=label, scenarios=tuple(found))
    for path in (base, *new):
        if not path.exists() or path.suffix in {".yaml", ".yml"}:
            raise InputError(
                f"{path}: to compare versions, name the scenarios that are to be run",
                hint=f"harness compare {base} {new[0]} --scenario scenarios --tag gate",
            )
    if len(new) > 1:
        raise InputError(
            f"one run is compared with one, {1 + len(new)} are named", hint="BASE NEW, or a baseline first"
        )
    scenario = one_against_one(read_row(base), read_row(new[0]))
    return Comparison(old=str(base), new=label, scenarios=(scenario,))
