"""
Plays cases in processes of their own, with an eye on the clock and on memory, and says what was wrong with each.

Commands are called in the process, so that ten thousand take minutes; some of them are typed in a real one as well.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from case import MEGABYTE, Case

LONGEST_S = 5.0
LARGEST_MB = 500.0
HANG_S = 40.0  # then it is killed
ADDRESS_SPACE = 4000 * MEGABYTE  # a case that wants more is stopped before the machine is
LOAD_LIMIT_S = 30.0  # how long a locustfile may take to be imported here, beside others at work
PROCESS_LIMIT_S = 60.0


@dataclass(slots=True)
class Outcome:
    """What became of one case."""

    kind: str
    number: int
    label: str = ""
    codes: list[int] = field(default_factory=list)
    seconds: float = 0.0
    peak_mb: float = 0.0
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Said:
    """What one command line came to."""

    code: int
    out: str
    error: str


# -- one command -----------------------------------------------------------------------------------------------


def typed(arguments: tuple[str, ...]) -> Said:
    """Call the command line in this process. An exception that comes out is exit code 5, whoever raised it."""
    from harness.cli.main import main

    out, error = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            code = _special(arguments) if arguments[0].startswith("@") else main(arguments)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        except BaseException:  # whatever it is, it should not have come out
            traceback.print_exc(file=error)
            code = 5
    texts = [stream.buffer.getvalue().decode("utf-8", "backslashreplace") for stream in (out, error)]
    return Said(code, *texts)


def _special(arguments: tuple[str, ...]) -> int:
    from harness.cli.printing import console, print_problem
    from harness.errors import HarnessError

    try:
        if arguments[0] == "@load":
            return _load(Path(arguments[1]))
        from harness.report.terminal import show_run
        from harness.report.verdict_file import dump_verdict, load_verdict

        verdict = load_verdict(Path(arguments[1]))
        dump_verdict(verdict)
        show_run(console(plain=True), verdict)
    except HarnessError as error:
        print_problem(error)
        return error.exit_code
    return 0


def _load(locustfile: Path) -> int:
    """What the load child makes of a locustfile."""
    from harness.clock import SystemClock
    from harness.load.client import LoadChild, load_config
    from harness.scenario.model import Load

    def spawn(_name: str, argv: list[str], *, log: Path, **_: object) -> subprocess.Popen[bytes]:
        with log.open("wb") as errors:
            return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)

    load = Load.model_validate({"users": 1, "locustfile": str(locustfile)})
    bases = {"order": "http://127.0.0.1:9"}
    config = load_config(load, None, seed=1, duration_s=1, bases=bases, spool=Path("spool/load.jsonl"))
    child = LoadChild(config, spawn=spawn, run_dir=Path(), clock=SystemClock())
    try:
        child.start()
        child.wait_ready(LOAD_LIMIT_S)
    finally:
        child.close()
    return 0


def in_a_process(arguments: tuple[str, ...]) -> tuple[int, float]:
    """The exit code and the largest memory, in MB, of a real process."""
    with open(os.devnull, "r+b") as nothing:
        started = subprocess.Popen(
            [sys.executable, "-m", "harness", *arguments], stdin=nothing, stdout=nothing, stderr=nothing
        )
        timer = signal.setitimer(signal.ITIMER_REAL, PROCESS_LIMIT_S)
        _, status, used = os.wait4(started.pid, 0)
        signal.setitimer(signal.ITIMER_REAL, *timer)
        started.returncode = os.waitstatus_to_exitcode(status)
    return started.returncode, used.ru_maxrss / 1024


# -- what is right ---------------------------------------------------------------------------------------------


def complaints(case: Case, arguments: tuple[str, ...], said: Said) -> Iterator[str]:
    """What is wrong with an answer, one sentence each."""
    both = said.out + said.error
    typed_as = " ".join(arguments)[:100]
    if said.code == 5 or "Traceback (most recent call last)" in both:
        last = said.error.strip().splitlines()
        yield f"{typed_as}: traceback: {' | '.join(last[-6:])[:600]}"
    elif "which is a bug" in both:
        at = both.index("which is a bug")
        yield f"{typed_as}: blames itself: {both[max(0, at - 80) : at + 200]}"
    elif said.code not in case.codes:
        yield f"{typed_as}: exit code {said.code}, right were {case.codes}: {said.error[-300:]}"
    elif said.code == 2:
        if not said.error.strip() and "--json" not in arguments:
            yield f"{typed_as}: says nothing"
        if case.names:
            yield from _places(case, arguments, said, typed_as)


def _places(case: Case, arguments: tuple[str, ...], said: Said, typed_as: str) -> Iterator[str]:
    if arguments[0] == "validate" and "--json" in arguments and said.out.startswith('{\n  "exit_code"'):
        for file in json.loads(said.out)["files"]:
            if file["ok"]:
                continue
            mistakes = file["error"].get("mistakes", [])
            if not mistakes:
                yield f"{typed_as}: no mistake in {file['error']['message'][:200]}"
            for mistake in mistakes:
                yield from _place(case, mistake["file"], mistake["line"], mistake["message"], typed_as)
        return
    first = next((line for line in said.error.splitlines() if line.strip()), "")
    if not any(name in said.error + said.out for name in case.names):
        yield f"{typed_as}: names no file: {first[:200]}"
    elif case.lines and arguments[0] == "validate" and not re.search(rf"{_PLACE}|{_NO_LINE.pattern}", said.error):
        yield f"{typed_as}: no line in {first[:200]}"


_PLACE = r"[^\s:]:\d+: |--set"
_NO_LINE = re.compile("no scenario in this folder|no such file|too large|too many|is a folder|cannot be read")


def _place(case: Case, file: str, line: int | None, message: str, typed_as: str) -> Iterator[str]:
    if not any(name in file for name in case.names):
        yield f"{typed_as}: a mistake in {file!r}, which is none of {case.names}"
    if file.startswith("--set") or _NO_LINE.search(message):
        return
    if case.lines and line is None:
        yield f"{typed_as}: no line in {file}: {message[:200]}"
    known = next(
        (item for name, item in case.files.items() if Path(file).name == Path(name).name and item.times == 1), None
    )
    if case.lines and line is not None and known is not None:
        most = len(re.findall(rb"\r\n?|\n|\xc2\x85|\xe2\x80[\xa8\xa9]", known.data)) + 2
        if not 1 <= line <= most:
            yield f"{typed_as}: line {line} of {most} in {file}: {message[:200]}"


# -- one case --------------------------------------------------------------------------------------------------


def play(case: Case, outcome: Outcome, *, really: bool) -> None:
    """Lay the case out, type its commands, note what is wrong. really: in processes of their own too."""
    outcome.label = case.label
    home = Path(tempfile.mkdtemp(prefix="fuzz-"))
    folder = home / "work"
    folder.mkdir()
    before, place, tempdir = dict(os.environ), os.getcwd(), tempfile.tempdir
    try:
        case.lay_out(folder)
        os.chdir(folder)
        _surround(case, home)
        last = 0
        for arguments in case.commands:
            if arguments[0] == "@refused":
                if last != 2:
                    continue
                arguments = arguments[1:]  # noqa: PLW2901
            last = _timed(case, arguments, outcome, really=really)
    finally:
        os.chdir(place)
        os.environ.clear()
        os.environ.update(before)
        tempfile.tempdir = tempdir
        shutil.rmtree(home, ignore_errors=True)


def _surround(case: Case, home: Path) -> None:
    """The case's environment: nothing of the harness's own may come from outside, nor be written there."""
    for name in [name for name in os.environ if name.startswith(("HARNESS_", "XDG_"))]:
        del os.environ[name]
    tempfile.tempdir = str(home)
    os.environ.update(
        {"XDG_STATE_HOME": str(home / "state"), "COLUMNS": "120", "TMPDIR": str(home), **case.environment}
    )


def _timed(case: Case, arguments: tuple[str, ...], outcome: Outcome, *, really: bool) -> int:
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the high-water mark of memory starts anew
    start_s = _own_s()
    said = typed(arguments)
    seconds = _own_s() - start_s
    peak_mb = _peak_mb()
    outcome.codes.append(said.code)
    outcome.seconds = max(outcome.seconds, seconds)
    outcome.peak_mb = max(outcome.peak_mb, peak_mb)
    outcome.wrong += complaints(case, arguments, said)
    longest_s = HANG_S if arguments[0] == "@load" else LONGEST_S
    if seconds > longest_s:
        outcome.wrong.append(f"{' '.join(arguments)[:100]}: took {seconds:.1f} s")
    if peak_mb > LARGEST_MB:
        outcome.wrong.append(f"{' '.join(arguments)[:100]}: took {peak_mb:.0f} MB")
    if really and not arguments[0].startswith("@") and not any("\0" in word for word in arguments):
        code, peak_mb = in_a_process(
            tuple(os.fsencode(w.encode("utf-8", "replace").decode()).decode() for w in arguments)
        )
        if code != said.code or peak_mb > LARGEST_MB:
            wrong = f"exit code {code} and {peak_mb:.0f} MB in a process of its own, {said.code} in this one"
            outcome.wrong.append(f"{' '.join(arguments)[:100]}: {wrong}")
    return said.code


def _own_s(pid: int | None = None) -> float:
    """
    Time less what a process (this one) spent waiting for a processor that others had: what a case costs, on a busy
    machine too. Only differences between two looks at one living process tell anything.
    """
    try:
        waited_ns = int(Path(f"/proc/{pid or 'self'}/schedstat").read_text("ascii").split()[1])
    except OSError:  # it is gone
        waited_ns = 0
    return time.monotonic() - waited_ns / 1e9


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text("ascii")
    return int(re.search(r"VmHWM:\s*(\d+)", status).group(1)) / 1024


# -- many cases ------------------------------------------------------------------------------------------------

Make = Callable[[str, int], Case]


def _work(make: Make, really_every: int, pipe: Connection) -> None:
    """A worker: hears (kind, number), answers with the outcome."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    employer = os.getppid()
    while True:
        while not pipe.poll(1.0):
            if os.getppid() != employer:  # gone, and nobody else closes the pipe: the other workers hold it too
                return
        try:
            kind, number = pipe.recv()
        except EOFError:
            return
        outcome = Outcome(kind, number)
        try:
            really = bool(really_every) and number % really_every == really_every - 1
            play(make(kind, number), outcome, really=really)
        except Exception:
            outcome.wrong.append(f"the case itself failed: {traceback.format_exc()[-800:]}")
        pipe.send(outcome)


@dataclass(slots=True)
class _Worker:
    process: Any
    pipe: Connection
    at: tuple[str, int] | None = None
    since_s: float = 0.0


def _hired(make: Make, really_every: int) -> _Worker:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(make, really_every, theirs), daemon=False)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def play_all(wanted: Iterator[tuple[str, int]], make: Make, *, jobs: int, really_every: int) -> Iterator[Outcome]:
    """Play every case, each in one of `jobs` workers. A worker that hangs or dies is a failure of its case."""
    workers = [_hired(make, really_every) for _ in range(jobs)]
    try:
        busy = [worker for worker in workers if _give(worker, wanted)]
        while busy:
            wait([worker.pipe for worker in busy], timeout=1.0)
            for worker in list(busy):
                outcome = _heard(worker)
                if outcome is None:
                    continue
                yield outcome
                if not worker.process.is_alive():
                    fresh = _hired(make, really_every)
                    worker.process, worker.pipe = fresh.process, fresh.pipe
                if not _give(worker, wanted):
                    busy.remove(worker)
    finally:
        for worker in workers:
            worker.pipe.close()
            worker.process.join(2)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _give(worker: _Worker, wanted: Iterator[tuple[str, int]]) -> bool:
    worker.at = next(wanted, None)
    if worker.at is not None:
        worker.since_s = _own_s(worker.process.pid)
        worker.pipe.send(worker.at)
    return worker.at is not None


def _heard(worker: _Worker) -> Outcome | None:
    """The outcome, also of a case that killed its worker or has to be killed with it; None: still at it."""
    kind, number = worker.at
    seconds = _own_s(worker.process.pid) - worker.since_s
    if worker.pipe.poll():
        with contextlib.suppress(EOFError):
            return worker.pipe.recv()
        worker.process.join()
        return Outcome(kind, number, seconds=seconds, wrong=[f"the process died, exit code {worker.process.exitcode}"])
    if seconds < HANG_S + PROCESS_LIMIT_S:
        return None
    worker.process.kill()
    worker.process.join()
    return Outcome(kind, number, seconds=seconds, wrong=[f"hung for {seconds:.0f} s, killed"])
