"""`harness gate`: whether finished runs and comparisons are enough for a CI job to pass."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.parser import Parser
from harness.cli.printing import print_json

if TYPE_CHECKING:
    from harness.gate.policy import LoadedPolicy

DESCRIPTION = """\
Judge finished runs and comparisons by a policy: fails when a scenario did not end as it declares, when a
required one has no run, when a comparison found a regression; an INCONCLUSIVE ends with 3 unless the
policy lets it through. Several runs of one scenario are judged together: one that ended both ways is
FLAKY, with all its runs, never a silent pass."""
EXAMPLES = (
    "harness gate reports",
    "harness gate --policy gate.yaml reports",
    "harness gate --policy gate.yaml reports --annotate github --summary summary.md",
    "harness gate --require payment-slow --inconclusive warn reports/latest",
)
_DOUBTS = ("inconclusive", "fail", "warn")


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", type=Path, help="folders of runs, of comparisons, or folders of such folders"
    )
    parser.add_argument("--policy", metavar="FILE", type=Path, help="the policy; without one every default is strict")
    parser.add_argument(
        "--require", metavar="SCENARIO", action="append", default=[], help="must have a run; may be repeated"
    )
    parser.add_argument("--missing", choices=_DOUBTS, help="what a required scenario without a run counts as")
    parser.add_argument("--inconclusive", choices=_DOUBTS, help="what an INCONCLUSIVE counts as")
    parser.add_argument("--flaky", choices=("fail", "warn"), help="what a FLAKY scenario counts as")
    parser.add_argument("--again", action="store_true", help="judge the journals anew instead of reading verdict.json")
    parser.add_argument(
        "--annotate", choices=("github",), help="also print annotations with the broken promises' lines"
    )
    parser.add_argument("--summary", metavar="FILE", type=Path, help="append the answer as Markdown to this file")


def main(options: argparse.Namespace) -> int:
    from harness.gate import shown
    from harness.gate.evidence import find_evidence
    from harness.gate.judging import judge_gate

    result = judge_gate(_policy(options), find_evidence(options.runs, again=options.again))
    if options.json:
        print_json(shown.document(result))
    else:
        print(shown.terminal(result))
        if options.annotate and (annotations := shown.github_annotations(result)):
            print(annotations)
    if options.summary:
        append(options.summary, shown.summary(result))
    return result.exit_code


def _policy(options: argparse.Namespace) -> LoadedPolicy:
    """The policy file with what the command line says put over it."""
    from harness.gate.policy import LoadedPolicy, Policy, read_policy

    loaded = read_policy(options.policy) if options.policy else LoadedPolicy(policy=Policy())
    said: dict[str, Any] = {
        name: getattr(options, name) for name in ("missing", "inconclusive", "flaky") if getattr(options, name)
    }
    if options.inconclusive:
        said["regression"] = loaded.policy.regression.model_copy(update={"inconclusive": options.inconclusive})
    return LoadedPolicy(
        policy=loaded.policy.model_copy(update=said),
        file=loaded.file,
        required={**loaded.required, **dict.fromkeys(options.require)},
    )


def append(file: Path, text: str) -> None:
    """Add text at the end of a file, which others may write to as well. Raises SetUpError."""
    from harness.errors import SetUpError

    try:
        with file.open("a", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise SetUpError(f"cannot write {file}: {error.strerror}") from error
