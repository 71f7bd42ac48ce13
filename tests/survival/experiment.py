"""
One kill from beginning to end: a run is started, hurt at its instant, and everything it should have left is looked at.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import EXIT_BUG, EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS, EXIT_SET_UP_FAILED, InputError
from harness.judge import judge
from harness.verdict import RunVerdict, Verdict

from .draws import BOTH, JUDGING, LOAD, ONE_OF_SUITE, PARTS, RUNNERS, START_UP, SUITE, Kill, again
from .leftovers import Left, Place, look
from .running import FOLDER, ROOT, Running, kill_at_once

CLEAN_LIMIT_S = 5.0  # what is promised
LOOK_LIMIT_S = 30.0  # how long what is late is waited for, so that its figure is known
END_LIMIT_S = 60.0  # a runner whose part was killed ends by itself within it
ORPHANED_S = 1.0  # with runner and watchdog gone: what ends by itself has done so
MOST_TRIES = 6
AFTER = "after"
BY_CLEAN, BY_RUN = "harness clean", "the next harness run"
NAMES = {"gate": "gate", LOAD: "load", "toxiproxy": "[Tt]oxiproxy", "watchdog": "watchdog"}


@dataclass(slots=True, kw_only=True)
class Row:
    """What came of one kill. Instants in seconds after the start of the command; problems is empty when it survived."""

    number: int
    victim: str
    scenarios: tuple[str, ...]
    drawn: str
    phase: str = ""
    at_s: float = 0.0
    late: int = 0  # tries at which the run was over before its instant
    ended_s: float | None = None  # until the runner had ended by itself
    exit_code: int | None = None
    reason: str = ""
    clean_s: float | None = None  # until nothing was left: after the kill, the runner's own end, or the cleaning
    left_before: int = 0  # processes that were left to the next command
    undone_by: str = ""
    undone: str = ""
    journal: list[str] = field(default_factory=list)
    next_run: str = ""
    problems: list[str] = field(default_factory=list)


def play(kill: Kill, place: Place, start_up_s: float) -> Row:
    """Do one kill, at an earlier instant when the run was over before."""
    ended = ""
    for late in range(MOST_TRIES):
        jobs = ("-j", "2") if len(kill.scenarios) > 1 else ()
        running = Running(place, kill.scenarios, "--json", "--retry-busy", "0", *jobs)
        row = Row(number=kill.number, victim=kill.victim, scenarios=kill.scenarios, drawn=kill.phase, late=late)
        try:
            if _hit(running, again(kill, late), row, start_up_s):
                _look_after(running, row, place)
                return row
            ended = f"exit code {running.process.returncode}, {''.join(running.said())[-300:]!r}"
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            row.problems.append(str(error))
            return row
        finally:
            running.close()
    row.problems.append(f"{MOST_TRIES} runs were over before the instant of their kill, the last with {ended}")
    return row


def _hit(running: Running, kill: Kill, row: Row, start_up_s: float) -> bool:
    victims = running.wait_for(kill, start_up_s)
    if not victims or running.over:
        running.wait_over(END_LIMIT_S)
        return False
    at_ns = kill_at_once(victims)
    row.at_s = round((at_ns - running.began_ns) / 1e9, 3)
    if kill.victim in RUNNERS:
        running.wait_over(END_LIMIT_S)
    elif not running.wait_over(END_LIMIT_S):
        row.problems.append(f"the runner had not ended {END_LIMIT_S:.0f} s after the {kill.victim} was killed")
    row.phase = running.phase_at(at_ns)
    row.ended_s = None if kill.victim in RUNNERS else round(time.monotonic() - at_ns / 1e9, 2)
    row.exit_code = running.process.returncode
    if kill.victim not in RUNNERS:
        _hear(running, row)
    return True


def _hear(running: Running, row: Row) -> None:
    """A runner that lost a part, or a suite that lost a runner: how it ended, and whether it says why."""
    output, errors = running.said()
    told = _told(output)
    row.reason = _reason(told) or errors.strip()[-300:]
    allowed = {EXIT_INCONCLUSIVE, EXIT_SET_UP_FAILED, EXIT_BUG}
    if row.exit_code not in allowed:
        row.problems.append(f"exit code {row.exit_code} with the {row.victim} killed, must be one of {sorted(allowed)}")
    if "Traceback" in errors:
        row.problems.append(f"a traceback: {errors.strip()[-300:]}")
    if row.victim in NAMES and not re.search(NAMES[row.victim], row.reason):
        row.problems.append(f"the reason does not name the {row.victim}: {row.reason!r}")
    if row.victim == ONE_OF_SUITE:
        row.problems += [f"the other scenario got {one}" for one in _verdicts(told) if one == Verdict.FAIL.value]


def _told(output: str) -> dict[str, Any]:
    try:
        return dict(json.loads(output))
    except (ValueError, TypeError):
        return {}


def _verdicts(told: dict[str, Any]) -> list[str]:
    return [one["verdict"]["verdict"] for one in told.get("scenarios", ()) if one["verdict"] is not None]


def _reason(told: dict[str, Any]) -> str:
    """The message of the first scenario that has no verdict, else the reason of the first verdict."""
    scenarios = told.get("scenarios", ())
    messages = [one["error"]["message"] for one in scenarios if one["error"] is not None]
    messages += [one["verdict"]["reason"] for one in scenarios if one["verdict"] is not None]
    return str(messages[0]) if messages else ""


# -- what is left ------------------------------------------------------------------------------------------------------


def _look_after(running: Running, row: Row, place: Place) -> None:
    began_s = time.monotonic()
    if row.victim == BOTH:
        _let_next_command_clean(running, row, place)
        began_s = time.monotonic()
    row.clean_s, left = _until_clean(place, running.runs(), began_s)
    if row.clean_s > CLEAN_LIMIT_S:
        row.problems.append(f"clean only after {row.clean_s:.1f} s; before that there was {left}")
    elif left:
        row.problems.append(f"left behind: {left}")
    for run in running.runs():
        _read_journal(run, row)


def _until_clean(place: Place, runs: list[Path], began_s: float) -> tuple[float, Left]:
    """Seconds until nothing was left, and what was there to the last."""
    last = Left()
    while True:
        left = look(place, runs)
        after_s = round(time.monotonic() - began_s, 2)
        if not left:
            return after_s, last if after_s > CLEAN_LIMIT_S else left
        last = left
        if after_s > LOOK_LIMIT_S:
            return after_s, left
        time.sleep(0.05)


def _let_next_command_clean(running: Running, row: Row, place: Place) -> None:
    """Nobody is left to undo the run: the next command has to, and to say what it undid."""
    time.sleep(ORPHANED_S)
    left = look(place, running.runs())
    row.left_before = len(left.processes)
    row.undone_by = BY_RUN if row.number % 3 == 0 else BY_CLEAN
    words = () if row.undone_by == BY_CLEAN else _a_run(place)
    said = harness(place, "clean" if row.undone_by == BY_CLEAN else "run", *words)
    lines = [line for line in said.splitlines() if " was killed (" in line]
    row.undone = " ".join(lines).replace(f"{place.reports}/", "")
    if left and not lines:
        row.problems.append(f"{row.undone_by} did not say what it undid of {left}: {said[-300:]!r}")
    if left.processes and "ended" not in row.undone:
        row.problems.append(f"{row.undone_by} named no process that it ended of {left}: {row.undone!r}")


def _a_run(place: Place) -> tuple[str, ...]:
    """The words of a run that matters by what it undoes first, not by its verdict."""
    return (str(FOLDER / f"{AFTER}.yaml"), "--reports", str(place.reports), "--plain", "--retry-busy", "0")


def harness(place: Place, *words: str) -> str:
    """One command of the harness, wholly; what it said, errors included."""
    import os

    done = subprocess.run(
        [sys.executable, "-m", "harness", *words], env={**os.environ, **place.environment()}, cwd=ROOT,
        capture_output=True, text=True, timeout=END_LIMIT_S, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def run_after(place: Place, row: Row) -> str:
    """
    A whole run after the kill, which must pass; what it said, errors included. A busy machine gets further tries, and
    is told when it keeps all of them from a verdict: that is no disturbance, and no PASS either.
    """
    running = Running(place, (AFTER,), "--plain", "--retry-busy", "2")
    try:
        running.wait_over(10 * END_LIMIT_S)
        said = "".join(running.said())
        code = running.process.returncode
        busy = code == EXIT_INCONCLUSIVE and judge(running.runs()[-1]).worth_another_try
    finally:
        running.close()
    row.next_run = "PASS" if code == EXIT_PASS else "busy machine" if busy else f"exit code {code}"
    if code != EXIT_PASS and not busy:
        row.problems.append(f"the run after it ended with exit code {code}: {said[-600:]}")
    return said


# -- journals ----------------------------------------------------------------------------------------------------------


def _read_journal(run: Path, row: Row) -> None:
    """The journal opens and says how far the run came; a run that lost a part is no PASS and no FAIL by it either."""
    if not (run / "journal.db").exists():
        row.journal.append("none yet")
        if row.phase != START_UP:
            row.problems.append(f"{run.name} has no journal though it was killed in its phase {row.phase!r}")
        return
    try:
        verdict = judge(run)
    except InputError as error:
        row.journal.append(str(error).replace(f"{run.parent}/", "").splitlines()[0])
        if row.phase != START_UP and row.victim not in {SUITE, ONE_OF_SUITE}:
            row.problems.append(f"the journal of {run.name} cannot be judged: {error}")
        return
    receipt = next(receipt for receipt in verdict.receipts if receipt.kind == "journal")
    row.journal.append(receipt.sentence)
    _believe_no_wound(verdict, run, row)


def _believe_no_wound(verdict: RunVerdict, run: Path, row: Row) -> None:
    if row.phase == JUDGING or row.victim == ONE_OF_SUITE:
        return  # that run was over, or it may be the one that was not hurt
    if verdict.verdict is not Verdict.INCONCLUSIVE and not (row.victim == SUITE and _finished(run)):
        row.problems.append(f"judged again, {run.name} is {verdict.verdict.value}: {verdict.reason}")
    if row.victim in PARTS and row.exit_code == EXIT_FAIL:
        row.problems.append("the system was blamed for what was done to the harness")


def _finished(run: Path) -> bool:
    """Whether a run had its verdict by itself before the suite was killed."""
    return (run / "verdict.json").exists()
