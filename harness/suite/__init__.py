"""
Several scenarios: found, read, run one after another, judged, reported, summed up.

This is what the command line and pytest share. A suite's exit code says whether every scenario ended as it declares.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError, InputError, disk_error
from harness.progress import View
from harness.run.options import RunOptions
from harness.suite.result import Result, SuiteResult
from harness.system.text import LARGEST_BYTES
from harness.verdict import RunVerdict

if TYPE_CHECKING:
    from harness.plan import Plan
    from harness.scenario.file import LoadedScenario

__all__ = ["Result", "SuiteResult", "find", "judge_and_report", "looks_like_scenario", "matches", "run", "run_one"]

SUFFIXES = (".yaml", ".yml")
MOST_ENTRIES = 50_000  # below a folder of scenarios; looking through a whole disk would take minutes


def find(paths: Sequence[Path], keyword: str | None = None, tags: Sequence[str] = ()) -> list[Path]:
    """
    Scenario files below the given files and folders, in order, each once. `keyword` is pytest's -k over
    path, name and tags (words joined by and, or, not); every one of `tags` must be there.
    Raises InputError for a path that does not exist, a folder without scenarios, or a broken -k.
    """
    found: dict[Path, None] = {}
    for path in paths:
        try:
            found.update(dict.fromkeys(_below(path)))
        except (OSError, ValueError) as error:  # ValueError: a NUL inside the path
            raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not keyword and not tags:
        return list(found)
    chosen = [path for path in found if _chosen(path, keyword, tags)]
    if not chosen:
        raise InputError(
            f"none of {len(found)} scenarios matches", hint="`harness list scenarios` shows names and tags"
        )
    return chosen


def _below(path: Path) -> list[Path]:
    """The file itself, or the scenarios in a folder. Raises InputError, OSError, ValueError."""
    if path.is_dir():
        inside = sorted(file for file in _yaml_files(path) if looks_like_scenario(file))
        if not inside:
            raise InputError(f"{path}: no scenario in this folder", hint="a scenario is a .yaml file with `timeline:`")
        return inside
    if not path.exists() and not path.is_symlink():
        raise InputError(f"{path}: no such file or folder")
    return [path]


def _yaml_files(folder: Path) -> Iterator[Path]:
    """YAML files anywhere below, hidden folders left out. Raises InputError for a folder nobody keeps scenarios in."""
    seen = 0
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        seen += len(folders) + len(names)
        if seen > MOST_ENTRIES:
            raise InputError(
                f"{folder}: holds more than {MOST_ENTRIES} files and folders", hint="name the folder of the scenarios"
            )
        yield from (Path(place, name) for name in names if name.endswith(SUFFIXES))


def looks_like_scenario(path: Path) -> bool:
    """Whether a YAML file has a `timeline` at its top: so that Compose files and drills beside scenarios are left alone."""
    try:
        if not path.is_file():  # reading a pipe would wait, a device might never end
            return False
        with path.open("rb") as file:
            lines = file.read(LARGEST_BYTES).splitlines()
        drill = any(line.startswith(b"script:") for line in lines)
        return not drill and any(line.startswith((b"timeline:", b"expect:")) for line in lines)
    except OSError:
        return False


def _chosen(path: Path, keyword: str | None, tags: Sequence[str]) -> bool:
    from harness.scenario.file import peek

    name, own = peek(path)
    if not set(tags) <= set(own):
        return False
    return keyword is None or matches(keyword, [str(path), name, *own])


def matches(expression: str, words: Sequence[str]) -> bool:
    """pytest's -k: bare words are looked for in `words`, joined by and, or, not and brackets. Raises InputError."""
    text = " ".join(words).lower()
    parts = [
        token if token in {"and", "or", "not", "(", ")"} else str(token.lower() in text)
        for token in expression.replace("(", " ( ").replace(")", " ) ").split()
    ]
    try:
        return bool(eval(" ".join(parts), {"__builtins__": {}}))  # noqa: S307  # only True, False, and, or, not, brackets
    except SyntaxError as error:
        raise InputError(
            f"-k {expression!r} cannot be read", hint="write words with and, or, not: 'breaker and not slow'"
        ) from error


def run(
    paths: Sequence[Path], options: RunOptions, view: View, done: Callable[[Result], None] | None = None
) -> SuiteResult:
    """Run scenarios, options.jobs at a time; `done` hears of each as it ends. Ctrl-C goes through, after its undo."""
    from harness.run.interruption import terminated_like_interrupted

    results: list[Result] = []
    with terminated_like_interrupted():
        if options.jobs > 1 and len(paths) > 1:
            from harness.suite.jobs import run_side_by_side

            return SuiteResult(results=tuple(run_side_by_side(paths, options, view, done or (lambda _: None))))
        for path in paths:
            result = run_one(path, options, view)
            results.append(result)
            if done is not None:
                done(result)
    return SuiteResult(results=tuple(results))


def run_one(path: Path, options: RunOptions, view: View) -> Result:
    """Run, judge and report one scenario; once more when only a busy machine kept it from a verdict."""
    attempt = _Attempt(path, options, view)
    problem: HarnessError | None = None
    try:
        attempt.make()
    except HarnessError as error:
        problem = error
    except OSError as error:
        problem = disk_error(error)
        if problem is None:
            raise
    return Result(
        path=path,
        scenario=attempt.name,
        run_dir=attempt.run_dir,
        verdict=None if problem else attempt.verdict,
        error=problem,
        seconds=time.monotonic() - attempt.begun_s,
        tries=attempt.tries,
    )


class _Attempt:
    """One scenario on its way to a verdict; what is known of it so far survives an error."""

    def __init__(self, path: Path, options: RunOptions, view: View) -> None:
        self._path, self._options, self._view = path, options, view
        self.name = path.stem
        self.run_dir: Path | None = None
        self.verdict: RunVerdict | None = None
        self.tries = 0
        self.begun_s = time.monotonic()

    def make(self) -> None:
        """Raises HarnessError, OSError."""
        from harness.plan import make_plan
        from harness.run.quiet import wait_until_quiet
        from harness.run.room import room
        from harness.scenario.file import load_scenario

        loaded = load_scenario(self._path, _overrides(self._options))
        self.name = loaded.scenario.name
        plan = make_plan(loaded.scenario, loaded.system)
        while True:
            again = self.tries > 0
            with room(self._view.say, alone=loaded.scenario.alone or again):
                if again:
                    wait_until_quiet(self._view.say)
                else:
                    self.begun_s = time.monotonic()  # waiting for a place is no part of a run
                verdict = self._run_and_judge(loaded, plan)
            enough = verdict.as_declared or not verdict.worth_another_try
            if enough or self.tries > self._options.retry_busy:
                return
            self._view.say(f"{self.name}: {verdict.reason}; trying once more")

    def _run_and_judge(self, loaded: LoadedScenario, plan: Plan) -> RunVerdict:
        from harness.run.conductor import run_plan

        self.tries += 1
        self.run_dir = run_plan(
            plan, self._options, view=self._view, scenario_text=loaded.text,
            facts={"scenario_file": str(self._path)},
        )  # fmt: skip
        self.verdict = judge_and_report(self.run_dir, self._options.reports)
        return self.verdict


def _overrides(options: RunOptions) -> tuple[str, ...]:
    return options.overrides if options.seed is None else (*options.overrides, f"seed={options.seed}")


def judge_and_report(run_dir: Path, reports: Path) -> RunVerdict:
    """
    Judge a finished run and write its reports; `reports/latest` points to it afterwards. Where a history of runs is kept
    (`harness history`), the run's row goes into it, and its scenario's last runs into the report.
    """
    from harness.history import FILE_NAME, past_of
    from harness.journal.reader import JournalReader
    from harness.judge import judge
    from harness.report import write_reports

    verdict = judge(run_dir)
    with JournalReader(run_dir) as reader:
        write_reports(run_dir, verdict, reader, past_of(reports / FILE_NAME, run_dir, verdict, keep=True))
    point_latest(reports, run_dir)
    return verdict


def point_latest(reports: Path, run_dir: Path) -> None:
    """Make reports/latest a link to the newest run; a file system without links is left alone."""
    fresh = reports / f".latest-{os.getpid()}"
    try:
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(run_dir.name)
        fresh.replace(reports / "latest")
    except OSError:
        fresh.unlink(missing_ok=True)
