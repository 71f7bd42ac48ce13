"""
The watchdog: a process outside the runner that undoes everything when the runner is gone.

It is started before anything else and ended after everything else. Its standard
input is a pipe from the runner: when that closes without the word `done`, or
the runner is no longer its parent, it kills every process of the run. Killing
is the whole undo: toxics, gate faults and paused services go with their
processes. Of a run in containers it removes what bears the run's label.

`python -m harness.run.watchdog RUN_DIR RUN_ID RUNNER_PID ENTRY...`
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.children import RUN_VARIABLE
from harness.errors import HarnessError, SetUpError
from harness.run import registry
from harness.run.leases import FILE_NAME, engines, started
from harness.secrets import private_opener
from harness.topology.tree import Identity, identity_of, kill_until_gone, lineage, tagged

LOG_NAME = "watchdog.log"
UNDO_LIMIT_S = 5.0
QUIET_S = 0.3  # a child that was forked but had not yet become its program when the runner died turns up within it
POLL_S = 0.5
READY_LIMIT_S = 10.0
_DONE = b"done\n"
_READY = b"watching\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What was ended, and what would not go, each as `program (pid 42)`."""

    ended: tuple[str, ...]
    left: tuple[str, ...]


def undo(
    run_id: str,
    run_dir: Path,
    *,
    limit_s: float = UNDO_LIMIT_S,
    quiet_s: float = QUIET_S,
    also: tuple[Identity, ...] = (),
) -> Undone:
    """
    End every process of a run: who carries its tag, who is in its leases, and everybody below them. Beside that remove
    its containers, networks and volumes from every engine that its leases name, until a while after the last process
    was gone nothing of it turns up any more.

    A pid that belongs to somebody else by now is left alone. Never ends this process or its ancestors.
    """
    leased = (*started(run_dir / FILE_NAME), *also)
    spare = lineage()
    with ThreadPoolExecutor(max_workers=1) as pool:
        removal = pool.submit(lambda: (*_remove_containers(run_id, run_dir, limit_s, quiet_s), time.monotonic()))
        ended, left = kill_until_gone(
            lambda: tagged(RUN_VARIABLE, run_id, leased=leased, spare=spare), limit_s=limit_s, quiet_s=quiet_s
        )
        gone_s = time.monotonic()
        removed, kept, looked_s = removal.result()
    if kept or looked_s - quiet_s < gone_s:  # too early a look for what a killed `up` had just asked for
        more, kept = _remove_containers(run_id, run_dir, limit_s, quiet_s)
        removed += more
    return Undone(ended=(*ended.values(), *dict.fromkeys(removed)), left=(*left, *kept))


def _remove_containers(run_id: str, run_dir: Path, limit_s: float, quiet_s: float) -> tuple[list[str], list[str]]:
    """What was removed from the engines that the run's leases name, and what would not go."""
    removed: list[str] = []
    left: list[str] = []
    for place in engines(run_dir / FILE_NAME):
        from harness.engine.connect import connect  # a second's import, for runs in containers alone
        from harness.engine.removal import remove_run

        try:
            engine = connect(place=place)
            try:
                gone, kept = remove_run(engine, run_id, limit_s=limit_s, quiet_s=quiet_s)
            finally:
                engine.close()
        except HarnessError as error:
            left.append(f"containers of {run_id}: {error}")
            continue
        removed += gone
        left += kept
    return removed, left


def _be_ready_for_containers(run_dir: Path) -> bool:
    """
    Once the run has asked an engine for something: load now what takes a second to load. True: there is no more to do.
    """
    found = engines(run_dir / FILE_NAME)
    for place in found:
        from harness.engine.connect import connect

        with suppress(HarnessError):
            connect(place=place).close()
    return bool(found)


class Watchdog:
    """The runner's side of it. Starts the watchdog, registers the run, and sends the watchdog away in the end."""

    def __init__(self, run_id: str, run_dir: Path, say: Callable[[str], None] = registry.tell) -> None:
        self._run_id, self._run_dir, self._say = run_id, run_dir, say
        self._registration: registry.Registration | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._seen_ready = False

    def start(self) -> None:
        """Start watching and register the run; returns before the watchdog is fully awake. Raises SetUpError."""
        try:
            # In this order: a runner that is killed in between leaves no entry, and one killed later a watchdog.
            self._process = self._launch([folder / f"{self._run_id}.json" for folder in registry.folders()])
            self._registration = registry.register(self._run_id, self._run_dir, say=self._say)
        except OSError as error:
            self.done()
            raise SetUpError(
                f"cannot start the watchdog of run {self._run_id}: {error.strerror} ({error.filename})",
                hint="is the disk full, or the folder read-only? choose another with --reports DIR",
            ) from error
        identity = identity_of(self._process.pid)
        if identity is not None:
            self._registration.watched_by(identity)

    def _launch(self, entries: list[Path]) -> subprocess.Popen[bytes]:
        package_home = str(Path(__file__).resolve().parents[2])
        paths = [package_home, *filter(None, [os.environ.get("PYTHONPATH")])]
        with open(self._run_dir / LOG_NAME, "ab", opener=private_opener) as log:
            return subprocess.Popen(
                [sys.executable, "-m", "harness.run.watchdog", str(self._run_dir.resolve()), self._run_id,
                 str(os.getpid()), *(str(entry.absolute()) for entry in entries)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd="/",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, start_new_session=True,
            )  # fmt: skip

    def check(self, limit_s: float = READY_LIMIT_S) -> None:
        """Wait until it watches, the first time; raise HarnessError when it does not or is gone."""
        process = self._process
        if process is None or process.poll() is not None:
            raise self._gone()
        if self._seen_ready:
            return
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], limit_s)
        if not readable or os.read(process.stdout.fileno(), len(_READY)) != _READY:
            raise HarnessError(
                f"the watchdog of run {self._run_id} did not say within {limit_s:g} s that it watches",
                hint=f"see {self._run_dir / LOG_NAME}",
            )
        self._seen_ready = True

    def done(self) -> None:
        """
        End what may be left of the run, send the watchdog away, strike the run off. May be called twice.

        Raises HarnessError, when all that is done, if the watchdog had ended before: the run was not watched then.
        """
        stayed = True
        if self._process is not None:
            # Whoever was started an instant before an interrupt may be known to nobody but by its tag.
            undone = undo(self._run_id, self._run_dir, quiet_s=0.0)
            if undone.left:
                self._say(f"could not end {', '.join(undone.left)}; try: harness clean")
                self._abandon()
            self._strike_off()  # before the watchdog goes: if we are killed in between, it would do that
            stayed = self._dismiss(self._process)
            self._process = None
        self._strike_off()
        if not stayed:
            raise self._gone()

    def _gone(self) -> HarnessError:
        return HarnessError(
            f"the watchdog of run {self._run_id} is gone; without it a killed run would leave its processes behind",
            hint=f"see {self._run_dir / LOG_NAME}",
        )

    def _strike_off(self) -> None:
        if self._registration is not None:
            self._registration.remove()
            self._registration = None

    def _abandon(self) -> None:
        """Leave the run in the register, as one that has to be cleaned up."""
        if self._registration is not None:
            self._registration.release()
            self._registration = None

    def _dismiss(self, process: subprocess.Popen[bytes]) -> bool:
        """Send it away; False when it was not there any more, or was ended by somebody else on its way."""
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):
            process.stdin.write(_DONE)
            process.stdin.flush()
        with suppress(OSError):
            process.stdin.close()
        try:
            stayed = process.wait(UNDO_LIMIT_S + QUIET_S) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            stayed = True
        process.stdout.close()
        return stayed


def wait_for_end(runner_pid: int, descriptor: int, prepare: Callable[[], bool] = lambda: True) -> bool:
    """
    Wait until the runner is through: True when it said so, False when it is simply gone.
    prepare: called at every look, until it says that it is done.
    """
    heard = b""
    prepared = False
    while True:
        prepared = prepared or prepare()
        readable, _, _ = select.select([descriptor], [], [], POLL_S)
        if readable:
            piece = os.read(descriptor, 64)
            heard += piece
            if _DONE in heard or not piece:
                return _DONE in heard
        if os.getppid() != runner_pid:  # orphaned: nobody else can be our parent while the runner lives
            return False


def main(arguments: list[str]) -> int:
    """Watch one run; arguments as in the module's description. Exit code 1: something could not be ended."""
    folder, run_id, runner_pid, *entries = arguments
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it goes when the runner goes, not before
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with suppress(OSError):
        os.write(sys.stdout.fileno(), _READY)
    if wait_for_end(int(runner_pid), sys.stdin.fileno(), lambda: _be_ready_for_containers(Path(folder))):
        return 0
    undone = undo(run_id, Path(folder))
    _report(run_id, undone)
    if undone.left:
        return 1
    for entry in entries:
        with suppress(OSError):
            Path(entry).unlink(missing_ok=True)
    return 0


def _report(run_id: str, undone: Undone) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    lines = [f"{at} the runner of {run_id} is gone without a word; undoing what it started"]
    lines += [f"{at} ended {name}" for name in undone.ended] or [f"{at} nothing was left of it"]
    lines += [f"{at} could not end {name}" for name in undone.left]
    with suppress(OSError):
        os.write(sys.stderr.fileno(), ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
