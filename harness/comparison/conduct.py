"""
A comparison done for real: sides made ready, runs alternated, rows kept, the answer written beside them.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.comparison.document import FILE_NAME, Comparison, dump_comparison, markdown_text
from harness.comparison.pairs import OLD, Alternation, State
from harness.comparison.rules import Rules, late
from harness.comparison.sides import Side, broken_promises, run_side, side_of
from harness.errors import InputError, SetUpError
from harness.report import write_file
from harness.run.facts import run_id_of
from harness.run.interruption import terminated_like_interrupted
from harness.run.options import RunOptions
from harness.run.quiet import wait_until_quiet
from harness.secrets import private_opener
from harness.slis import Row

ROWS = "rows.jsonl"
MARKDOWN = "comparison.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person wants compared. base, new: Compose file, folder or git revision."""

    base: str
    new: str
    scenarios: tuple[Path, ...]
    rules: Rules
    options: RunOptions  # reports: where the comparison's folder is made; overrides: of both sides
    base_overrides: tuple[str, ...] = ()
    new_overrides: tuple[str, ...] = ()
    most_minutes: float | None = None
    seed: int = 1


@dataclass(slots=True)
class _Times:
    """How long runs take, for saying how long is left."""

    started_s: float
    took_s: list[float] = field(default_factory=list)

    def left(self, state: State) -> str:
        """`about 3 to 12 minutes left`; nothing before the first run has ended."""
        if not self.took_s:
            return ""
        each_s = sum(self.took_s) / len(self.took_s)
        soon = 2 * (state.next_look - state.pair + 1) * len(state.open) * each_s / 60
        late_ = state.runs_left_at_most * each_s / 60
        return f", {soon:.0f} to {late_:.0f} minutes left"


def conduct(request: Request, say: Callable[[str], None]) -> Comparison:
    """
    Run the comparison and write it. Raises InputError before anything is started when a scenario does not fit a side;
    HarnessError when a version cannot be started.
    """
    folder = (request.options.reports / run_id_of("comparison")).resolve()
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise SetUpError(f"cannot make {folder}: {error.strerror}", hint="--reports DIR chooses another") from error
    with ExitStack() as undo, terminated_like_interrupted():
        undo.callback(_remove_empty, folder)
        scratch = folder / "checkouts"
        undo.callback(shutil.rmtree, scratch, ignore_errors=True)
        sides = (
            side_of(request.base, request.base_overrides, scratch),
            side_of(request.new, request.new_overrides, scratch),
        )
        names = _names(request, sides)
        alternation = _alternation(request, sides, names, folder, say)
        found = alternation.run()
    rows = alternation.rows
    scenarios = tuple(replace(one, notes=(*one.notes, *broken_promises(rows[one.scenario]))) for one in found)
    comparison = Comparison(old=sides[0].label, new=sides[1].label, scenarios=scenarios, folder=folder)
    write_file(folder / FILE_NAME, dump_comparison(comparison), private=True)
    write_file(folder / MARKDOWN, markdown_text(comparison), private=True)
    return comparison


def _remove_empty(folder: Path) -> None:
    """A comparison that never began leaves nothing."""
    if not any(folder.iterdir()):
        folder.rmdir()


def _names(request: Request, sides: Sequence[Side]) -> dict[str, Path]:
    """Scenario files by name, each read once against both sides. Raises InputError."""
    from harness.scenario.file import load_scenario

    names: dict[str, Path] = {}
    for path in request.scenarios:
        loaded = [load_scenario(path, (*request.options.overrides, *side.overrides_for(path))) for side in sides]
        name = loaded[0].scenario.name
        if name in names:
            raise InputError(f"{path} and {names[name]} have the same name, {name}")
        names[name] = path
    return names


def _alternation(
    request: Request, sides: Sequence[Side], names: dict[str, Path], folder: Path, say: Callable[[str], None]
) -> Alternation:
    times = _Times(started_s=time.monotonic())
    limit_s = None if request.most_minutes is None else request.most_minutes * 60
    options = replace(request.options, reports=folder / "runs")
    telling = _Telling(say, times)

    def run_one(side: int, scenario: str, seed: int) -> Row:
        begun = time.monotonic()
        row = run_side(sides[side], names[scenario], options, seed=seed)
        times.took_s.append(time.monotonic() - begun)
        _keep(folder / ROWS, side, seed, row)
        telling.ended(side, row)
        if late(row) is not None and (row.doubt is None or row.machine_to_blame):
            wait_until_quiet(say)
        return row

    return Alternation(
        list(names), request.rules, run_one, tell=telling.pair, first_seed=request.seed,
        out_of_time=lambda: limit_s is not None and time.monotonic() - times.started_s > limit_s,
    )  # fmt: skip


@dataclass(slots=True)
class _Telling:
    """A line a pair and a line a run."""

    say: Callable[[str], None]
    times: _Times

    def pair(self, state: State) -> None:
        self.say(
            f"pair {state.pair} of at most {state.most_pairs}, look after {state.next_look},"
            f" {len(state.open)} scenarios open{self.times.left(state)}"
        )

    def ended(self, side: int, row: Row) -> None:
        which = "old" if side == OLD else "new"
        why = late(row)
        state = f"thrown away: {why}" if why else row.verdict
        self.say(f"  {which} {row.scenario}: {state}, {self.times.took_s[-1]:.0f} s")


def _keep(file: Path, side: int, seed: int, row: Row) -> None:
    """Every row, the thrown away ones too: so that the answer can be worked out again."""
    with open(file, "a", encoding="utf-8", opener=private_opener) as out:
        out.write(json.dumps({"side": "old" if side == OLD else "new", "pair_seed": seed, **row.to_json()}) + "\n")
