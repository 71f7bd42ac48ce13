"""
Runs mutants against the judge and tells what came of each: the matrix of `make truth`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import InputError
from harness.journal.reader import JournalReader
from harness.judge import judge
from harness.receipts.base import Record
from harness.scenario.model import Scenario
from harness.verdict import RunVerdict, Verdict

from .recorded import REFUSED, Mutant
from .tampering import Tampered

ROOT = Path(__file__).parents[2]
SCENARIOS = Path(__file__).parent / "scenarios"
BASES = ("gentle", "slow", "kill", "first")
RUN_LIMIT_S = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the matrix. kind: clean, recorded or live."""

    kind: str
    name: str
    done: str
    expected: str
    got: str
    reason: str
    words: str = ""

    @property
    def as_expected(self) -> bool:
        """The expected verdict, with a reason that names what was wrong."""
        return self.got == self.expected and re.search(self.words, self.reason) is not None


def record(base: str, folder: Path) -> Path:
    """One real run of a base scenario; gives back the run's folder. A busy machine gets further tries."""
    command = [
        sys.executable, "-m", "harness", "run", str(SCENARIOS / f"{base}.yaml"), "--reports", str(folder / base),
        "--retry-busy", "3", "--plain",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False)
    assert (folder / base / "latest").exists(), done.stdout + done.stderr
    return (folder / base / "latest").resolve()


def clean_row(base: str, recorded: Path) -> Row:
    """The unmutated run, which has to pass."""
    verdict = judge(recorded)
    return Row(
        kind="clean", name=base, done="nothing: the run as it was", expected="PASS", got=verdict.verdict.value,
        reason=verdict.reason,
    )  # fmt: skip


def recorded_row(mutant: Mutant, recorded: Path, folder: Path) -> Row:
    """Mutate a copy of a recorded run and judge it."""
    with Tampered(recorded, folder / mutant.name) as run:
        mutant.mutate(run)
    try:
        verdict = judge(folder / mutant.name, promised(folder / mutant.name, mutant))
    except InputError as error:
        got, reason = REFUSED, str(error).replace(f"{folder}/", "")
    else:
        got, reason = verdict.verdict.value, told(verdict, mutant.words)
    return Row(
        kind="recorded", name=mutant.name, done=mutant.done, expected=mutant.expected, got=got, reason=reason,
        words=mutant.words,
    )  # fmt: skip


def promised(run: Path, mutant: Mutant) -> Scenario | None:
    """The scenario with the mutant's own promise; None: with those of the run."""
    if mutant.promise is None:
        return None
    with JournalReader(run) as reader:
        scenario = Record(reader).scenario
    data = scenario.model_dump(mode="json", exclude_none=True)
    return Scenario.model_validate({**data, "expect": [mutant.promise]})


def told(verdict: RunVerdict, words: str) -> str:
    """The run's own reason, or the sentence that names what was wrong when another came first."""
    sentences = [verdict.reason]
    sentences += [receipt.sentence for receipt in verdict.receipts if receipt.verdict is not Verdict.PASS]
    sentences += [check.reason for check in verdict.checks if check.verdict is not Verdict.PASS]
    return next((sentence for sentence in sentences if re.search(words, sentence)), verdict.reason)


# -- telling ---------------------------------------------------------------------------------------------------


def as_text(rows: Iterable[Row]) -> str:
    """The matrix for a terminal."""
    lines = []
    for row in rows:
        mark = "ok " if row.as_expected else "BAD"
        lines.append(f"{mark} {row.kind:8} {row.name:30} expected {row.expected:12} got {row.got:12} {row.reason}")
    return "\n".join(lines)


def as_markdown(rows: Sequence[Row]) -> str:
    """The matrix as a page."""
    lines = [
        "# Mutants: what the judge says of runs that lie",
        "",
        "`clean` rows are real runs as they were. `recorded` ones are copies of their journals with one lie in them,",
        "`live` ones are real runs that were themselves made to lie.",
        "",
        summary(rows),
        "",
        "| | kind | mutant | what was done | expected | got | the reason given |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = (
            "ok" if row.as_expected else "**no**", row.kind, row.name, row.done, row.expected, row.got, row.reason
        )  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def figures(rows: Sequence[Row]) -> dict[str, int]:
    """What the matrix comes to."""
    lies = [row for row in rows if row.kind != "clean"]
    return {
        "mutants": len(lies),
        "recorded": sum(row.kind == "recorded" for row in rows),
        "live": sum(row.kind == "live" for row in rows),
        "named": sum(row.as_expected for row in lies),
        "passed": sum(row.got == "PASS" for row in lies),
        "clean": sum(row.kind == "clean" for row in rows),
        "clean_passed": sum(row.kind == "clean" and row.got == "PASS" for row in rows),
    }


def summary(rows: Sequence[Row]) -> str:
    """One sentence."""
    f = figures(rows)
    return (
        f"{f['named']} of {f['mutants']} mutants got their verdict and were named for what they did"
        f" ({f['recorded']} recorded, {f['live']} live); {f['passed']} passed;"
        f" {f['clean_passed']} of {f['clean']} clean runs passed."
    )


def as_json(rows: Sequence[Row]) -> str:
    """The matrix for machines."""
    listed = [{**asdict(row), "as_expected": row.as_expected} for row in rows]
    return json.dumps({"figures": figures(rows), "rows": listed}, indent=1) + "\n"
