"""
Scenarios side by side: in runner processes that each do one after the other, each run with a system, a journal and a
watchdog of its own.

The longest start first, so that none is left to run by itself at the end; those that need the machine to themselves
come last, one by one. Every runner ends with its standard input: a killed suite leaves nothing running.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from harness.children import code_text
from harness.errors import EXIT_BUG
from harness.progress import View
from harness.run.options import RunOptions
from harness.scenario.file import Claim, claim_of
from harness.suite.child import END_LIMIT_S
from harness.suite.result import Result
from harness.suite.told import ToldError, result_of
from harness.suite.worker import options_line, scenario_line

STAGGER_S = 4.0  # two systems that start at once take the processors from each other
COMMAND = (sys.executable, "-m", "harness.suite.worker")
MOST_COMPLAINTS = 16_384  # bytes shown of what a runner complained of

Numbered = tuple[int, Path]


def jobs_for(cores: int | None) -> int:
    """How many scenarios side by side this machine carries without making them late: as many as it has cores."""
    return max(1, cores or 1)


def rounds(paths: Sequence[Path], claims: Sequence[Claim]) -> tuple[list[Numbered], list[Numbered]]:
    """Who runs beside others and who by itself, each with its place in paths; the longest first, else as they came."""
    order = sorted(range(len(paths)), key=lambda number: -claims[number].timeline_s)
    together = [(number, paths[number]) for number in order if not claims[number].alone]
    return together, [(number, paths[number]) for number in order if claims[number].alone]


def run_side_by_side(
    paths: Sequence[Path], options: RunOptions, view: View, done: Callable[[Result], None]
) -> list[Result]:
    """Run scenarios options.jobs at a time; results in the order of paths. Ctrl-C ends every runner in order."""
    together, alone = rounds(paths, [claim_of(path) for path in paths])
    crew = _Crew(options, view, len(paths))
    results: dict[int, Result] = {}
    try:
        for some, side_by_side in ((together, options.jobs), (alone, 1)):
            for number, result in _each(crew, some, side_by_side):
                results[number] = result
                done(result)
    except BaseException:
        crew.end()
        raise
    crew.dismiss()
    return [results[number] for number in sorted(results)]


def _each(crew: _Crew, some: Sequence[Numbered], side_by_side: int) -> Iterable[tuple[int, Result]]:
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


class _Runner:
    """A process that runs scenarios for us; it lives while `_orders` is open, or until it breaks."""

    def __init__(self, options: RunOptions) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  open for as long as the process is
        self._ending = threading.Lock()
        self._words: str | None = None
        hold, self._orders = os.pipe()
        try:
            self.process = subprocess.Popen(
                COMMAND,
                stdin=hold, stdout=subprocess.PIPE, stderr=self._complaints,
                start_new_session=True,  # Ctrl-C comes to us, and we tell them
            )  # fmt: skip
        except BaseException:
            self.dismiss()
            raise
        finally:
            os.close(hold)
        self._tell(options_line(options))

    def ask(self, path: Path) -> dict[str, Any] | None:
        """Have a scenario run; None when the runner ended without a word that can be read."""
        assert self.process.stdout is not None
        self._tell(scenario_line(path))
        try:
            told = json.loads(self.process.stdout.readline())
        except ValueError:
            return None
        return told if isinstance(told, dict) else None

    def dismiss(self) -> None:
        """There is no more to do; may be called twice."""
        if self._orders >= 0:
            os.close(self._orders)
            self._orders = -1

    def end(self, limit_s: float) -> str:
        """
        Wait for its end; after the limit it is killed, and its watchdog undoes what is left of its run. Returns what it
        complained of, or else how it ended. May be called twice.
        """
        with self._ending:
            if self._words is None:
                self._words = (
                    self._wait(limit_s) or f"its runner ended without a word, {code_text(self.process.returncode)}"
                )
            return self._words

    def _wait(self, limit_s: float) -> str:
        assert self.process.stdout is not None
        try:
            self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.dismiss()
        self.process.stdout.close()
        with self._complaints as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MOST_COMPLAINTS))
            return file.read().decode("utf-8", "replace").strip()

    def _tell(self, line: bytes) -> None:
        try:
            os.write(self._orders, line)
        except BrokenPipeError:
            return  # it is gone, and its answer will be none


class _Crew:
    """The runners that are at work, and those that wait for work."""

    def __init__(self, options: RunOptions, view: View, total: int) -> None:
        self._options, self._view, self._total = options, view, total
        self._lock = threading.Lock()
        self._runners: set[_Runner] = set()
        self._idle: list[_Runner] = []
        self._started = 0
        self._ending = False
        self._next_s = 0.0

    def run(self, path: Path) -> Result:
        """One scenario by a runner that is free; waits for its turn to start."""
        self._wait_turn()
        begun_s = time.monotonic()
        runner = self._runner(path)
        told = runner.ask(path)
        if told is not None:
            result = result_of(path, told)
            with self._lock:
                self._idle.append(runner)
            return result
        with self._lock:
            self._runners.discard(runner)
        runner.dismiss()
        words = runner.end(END_LIMIT_S)
        code = runner.process.returncode
        problem = ToldError(words, hint=None, code=code if code > 0 else EXIT_BUG)
        return Result(
            path=path, scenario=path.stem, run_dir=None, verdict=None, error=problem,
            seconds=time.monotonic() - begun_s,
        )  # fmt: skip

    def dismiss(self) -> None:
        """There is no more work: wait until every runner has gone."""
        for runner in self._leaving():
            runner.dismiss()
        self._await_all()

    def end(self) -> None:
        """Ask every runner to take its system down, and wait until it has."""
        for runner in self._leaving():
            runner.process.terminate()
        self._await_all()

    def _leaving(self) -> list[_Runner]:
        with self._lock:
            self._ending = True
            return list(self._runners)

    def _await_all(self) -> None:
        deadline_s = time.monotonic() + END_LIMIT_S
        while runners := self._leaving():
            with self._lock:
                self._runners.discard(runners[0])
            runners[0].end(max(0.1, deadline_s - time.monotonic()))

    def _wait_turn(self) -> None:
        with self._lock:
            now_s = time.monotonic()
            wait_s = max(0.0, self._next_s - now_s)
            self._next_s = now_s + wait_s + STAGGER_S
        time.sleep(wait_s)

    def _runner(self, path: Path) -> _Runner:
        with self._lock:
            if self._ending:
                raise KeyboardInterrupt
            if self._idle:
                runner = self._idle.pop()
            else:
                runner = _Runner(self._options)
                self._runners.add(runner)
            self._started += 1
            self._view.say(f"started {path.stem} ({self._started} of {self._total})")
        return runner
