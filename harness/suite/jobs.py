"""
Scenarios side by side: each in a runner process of its own, with a system, a journal and a watchdog of its own.

The longest start first, so that none is left to run by itself at the end; those that need the machine to themselves
come last, one by one. Every child ends with its standard input: a killed suite leaves nothing running.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from harness.children import code_text
from harness.errors import EXIT_BUG, HarnessError, Mistake
from harness.progress import View
from harness.run.interruption import LIFELINE_VARIABLE
from harness.run.options import RunOptions
from harness.scenario.file import Claim, claim_of
from harness.suite.result import Result

STAGGER_S = 4.0  # two systems that start at once take the processors from each other
END_LIMIT_S = 30.0

Numbered = tuple[int, Path]


class _ToldError(HarnessError):
    """A problem that a child told; its exit code is the child's."""

    def __init__(self, message: str, *, hint: str | None, code: int, mistakes: tuple[Mistake, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = code  # type: ignore[misc]  # of this one problem
        self.mistakes = mistakes


def rounds(paths: Sequence[Path], claims: Sequence[Claim]) -> tuple[list[Numbered], list[Numbered]]:
    """Who runs beside others and who by itself, each with its place in paths; the longest first, else as they came."""
    order = sorted(range(len(paths)), key=lambda number: -claims[number].timeline_s)
    together = [(number, paths[number]) for number in order if not claims[number].alone]
    return together, [(number, paths[number]) for number in order if claims[number].alone]


def run_side_by_side(
    paths: Sequence[Path], options: RunOptions, view: View, done: Callable[[Result], None]
) -> list[Result]:
    """Run scenarios options.jobs at a time; results in the order of paths. Ctrl-C ends every child in order."""
    together, alone = rounds(paths, [claim_of(path) for path in paths])
    crew = _Crew(options, view, len(paths))
    results: dict[int, Result] = {}
    for some, side_by_side in ((together, options.jobs), (alone, 1)):
        for number, result in _each(crew, some, side_by_side):
            results[number] = result
            done(result)
    return [results[number] for number in sorted(results)]


def _each(crew: _Crew, some: Sequence[Numbered], side_by_side: int) -> Iterator[tuple[int, Result]]:
    with ThreadPoolExecutor(max_workers=side_by_side) as pool:
        futures = {pool.submit(crew.run, path): number for number, path in some}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            crew.end()
            raise


class _Crew:
    """The children that are at work."""

    def __init__(self, options: RunOptions, view: View, total: int) -> None:
        self._options, self._view, self._total = options, view, total
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._started = 0
        self._ending = False
        self._next_s = 0.0

    def run(self, path: Path) -> Result:
        """One scenario in a child; waits for its turn to start."""
        self._wait_turn()
        begun = time.monotonic()
        hold, lifeline = os.pipe()  # no Popen pipe: communicate() would close it at once
        try:
            child = self._start(path, hold)
            output, complaints = child.communicate()
        finally:
            os.close(lifeline)
        with self._lock:
            self._children.discard(child)
        try:
            (told,) = json.loads(output)["scenarios"]
        except (ValueError, KeyError, TypeError):
            ended = f"its runner ended without a word, {code_text(child.returncode)}"
            lines = complaints.decode("utf-8", "replace").strip() or ended
            problem = _ToldError(lines, hint=None, code=child.returncode if child.returncode > 0 else EXIT_BUG)
            return Result(
                path=path, scenario=path.stem, run_dir=None, verdict=None, error=problem,
                seconds=time.monotonic() - begun,
            )  # fmt: skip
        return result_of(path, told)

    def end(self) -> None:
        """Ask every child to take its system down, and wait until it has."""
        with self._lock:
            self._ending = True
            children = list(self._children)
        for child in children:
            child.terminate()
        deadline_s = time.monotonic() + END_LIMIT_S
        for child in children:
            try:
                child.wait(max(0.1, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()  # its watchdog undoes what is left of it

    def _wait_turn(self) -> None:
        with self._lock:
            now_s = time.monotonic()
            wait_s = max(0.0, self._next_s - now_s)
            self._next_s = now_s + wait_s + STAGGER_S
        time.sleep(wait_s)

    def _start(self, path: Path, hold: int) -> subprocess.Popen[bytes]:
        """Start the runner of one scenario; it lives while the other end of `hold`, which is closed here, is open."""
        try:
            return self._popen(path, hold)
        finally:
            os.close(hold)

    def _popen(self, path: Path, hold: int) -> subprocess.Popen[bytes]:
        options = self._options
        command = [
            sys.executable, "-m", "harness", "run", str(path), "--json", "--reports", str(options.reports),
            "--backend", options.backend, "--retry-busy", str(options.retry_busy),
            *(f"--set={override}" for override in options.overrides),
            *([] if options.seed is None else ["--seed", str(options.seed)]),
        ]  # fmt: skip
        with self._lock:
            if self._ending:
                raise KeyboardInterrupt
            child = subprocess.Popen(
                command,
                stdin=hold,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, LIFELINE_VARIABLE: "1"},
                start_new_session=True,  # Ctrl-C comes to us, and we tell them
            )
            self._children.add(child)
            self._started += 1
            self._view.say(f"started {path.stem} ({self._started} of {self._total})")
        return child


def result_of(path: Path, told: dict[str, Any]) -> Result:
    """What a child told of its scenario, as `harness run --json` has it."""
    from harness.report.verdict_file import parse_verdict

    error = told["error"]
    problem = None
    if error is not None:
        mistakes = tuple(Mistake(m["file"], m["line"], m["message"], m["hint"]) for m in error.get("mistakes", ()))
        problem = _ToldError(error["message"], hint=error["hint"], code=error["exit_code"], mistakes=mistakes)
    return Result(
        path=path,
        scenario=told["scenario"],
        run_dir=None if told["run_dir"] is None else Path(told["run_dir"]),
        verdict=None if told["verdict"] is None else parse_verdict(told["verdict"]),
        error=problem,
        seconds=told["seconds"],
        tries=told["tries"],
    )
