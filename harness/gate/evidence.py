"""
What a gate looks at: the finished runs and comparisons below the folders it is given, each once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.comparison.document import FILE_NAME as COMPARISON
from harness.comparison.document import Comparison, read_comparison
from harness.errors import InputError
from harness.journal import FILE_NAME as JOURNAL
from harness.journal.reader import JournalReader
from harness.judge import judge
from harness.report.verdict_file import FILE_NAME as VERDICT
from harness.report.verdict_file import load_verdict
from harness.system.document import read_document
from harness.verdict import RunVerdict, Verdict

MOST_FOLDERS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One finished run. verdict: None when it could not be judged; `problem` says why."""

    folder: Path
    scenario: str
    run: str
    verdict: RunVerdict | None
    problem: str | None = None
    scenario_file: str | None = None
    lines: tuple[int | None, ...] = ()  # of the promises, in the scenario's file, one for each check


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that was found. Runs that were made for a comparison belong to it and are not among the runs."""

    runs: tuple[Seen, ...]
    comparisons: tuple[Comparison, ...]


def find_evidence(places: Sequence[Path], *, again: bool = False) -> Found:
    """
    Look at runs, comparisons, and folders of them. again: judge journals anew, whatever verdict.json says.
    Raises InputError for a place that holds neither, or that was named itself and cannot be read.
    """
    runs: dict[str, Seen] = {}
    comparisons: dict[Path, Comparison] = {}
    for place in places:
        folders = [folder.resolve() for folder in _below(place)]
        if not folders:
            raise InputError(f"{place}: no run and no comparison here", hint="name a run's folder, or one of runs")
        for folder in folders:
            if (folder / COMPARISON).is_file():
                comparisons.setdefault(folder, read_comparison(folder))
            else:
                seen = _seen(folder, again=again, named=folder == place.resolve())
                runs.setdefault(seen.run, seen)
    return Found(
        runs=tuple(sorted(runs.values(), key=lambda one: (one.scenario, one.run))),
        comparisons=tuple(comparisons.values()),
    )


def _below(place: Path) -> list[Path]:
    """The place itself if it is a run or a comparison, else those in it; hidden folders are left out."""
    if not place.exists():
        raise InputError(f"{place}: no such file or folder")
    if place.is_file():
        place = place.parent
    if any((place / name).is_file() for name in (COMPARISON, JOURNAL, VERDICT)):
        return [place]
    found: list[Path] = []
    waiting = [place]
    looked_at = 0
    while waiting:
        for folder in sorted(waiting.pop().iterdir()):
            looked_at += 1
            if looked_at > MOST_FOLDERS:
                raise InputError(f"{place}: holds more than {MOST_FOLDERS} entries", hint="name the folder of the runs")
            if not folder.is_dir() or folder.name.startswith(".") or folder.is_symlink():
                continue
            if any((folder / name).is_file() for name in (COMPARISON, JOURNAL, VERDICT)):
                found.append(folder)
            else:
                waiting.append(folder)
    return found


def _seen(folder: Path, *, again: bool, named: bool) -> Seen:
    try:
        fresh = again or not (folder / VERDICT).is_file()
        verdict = judge(folder) if fresh else load_verdict(folder)
        file, lines = _places(folder, verdict)
    except InputError as error:
        if named:
            raise
        # Cut short before it began: nothing was shown, which is not nothing.
        name = folder.name.partition("Z-")[2] or folder.name
        return Seen(folder=folder, scenario=name, run=folder.name, verdict=None, problem=str(error))
    return Seen(
        folder=folder, scenario=verdict.scenario, run=verdict.run, verdict=verdict, scenario_file=file, lines=lines
    )


def _places(folder: Path, verdict: RunVerdict) -> tuple[str | None, tuple[int | None, ...]]:
    """The scenario's file and the lines of its promises, as the journal has them."""
    if not (folder / JOURNAL).is_file():
        return None, ()
    with JournalReader(folder) as reader:
        file, text = reader.facts.get("scenario_file"), reader.facts.get("scenario_text")
    if not isinstance(file, str) or not isinstance(text, str):
        return None, ()
    try:
        document, _ = read_document(text, file)
    except InputError:
        return file, ()
    promises = document.data.get("expect")
    if not isinstance(promises, list) or len(promises) != len(verdict.checks):
        return file, ()
    return file, tuple(document.line(("expect", place)) for place in range(len(promises)))


def thin_promises(verdict: RunVerdict) -> list[str]:
    """Promises kept by less than the scatter within the run."""
    return [check.title for check in verdict.checks if check.thin and check.verdict is Verdict.PASS]
