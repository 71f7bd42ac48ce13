"""
Leases: what a run started or broke, written to disk before it is done.

`RUN/leases.jsonl` gets a line before each start and each fault, one with pid
and birth after a start, and one when it was undone. Every line is on the disk
before the deed, so whoever finds the run dead knows what there is to undo.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from harness import secrets
from harness.children import RUN_VARIABLE, give_priority
from harness.errors import SetUpError
from harness.topology.tree import Identity, identity_of

FILE_NAME = "leases.jsonl"
CONTAINERS = "containers"  # kind of the lease on everything of a run that an engine holds
END_LIMIT_S = 5.0


class Lease:
    """One thing that has to be undone. As a context manager it counts as undone when left without an error."""

    def __init__(self, leases: Leases, number: int) -> None:
        self._leases, self._number, self._open = leases, number, True

    def undone(self, how: str = "undone") -> None:
        """Write down that it was undone; may be called twice."""
        if self._open:
            self._open = False
            self._leases.write({"lease": self._number, "what": "undone", "how": how})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.undone()


class Leases:
    """The leases of one run; may be used from any thread. Raises SetUpError when the disk takes no line."""

    def __init__(self, run_id: str, run_dir: Path) -> None:
        self.path = run_dir / FILE_NAME
        self._run_id = run_id
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._children: dict[int, tuple[str, subprocess.Popen[bytes], Lease]] = {}
        try:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritten(self.path, error) from error

    def lease(self, kind: str, subject: str, undo_text: str, **facts: str) -> Lease:
        """
        Write down that something is about to be done, and how it is undone; returns once that is on the disk.
        facts: what whoever undoes it has to know besides.
        """
        return self._intend({"kind": kind, "subject": subject, "undo": secrets.text(undo_text), **facts})

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
        pipes: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Start a child as harness.children.Spawn says; lines go to disk before it and after it."""
        self.reap()
        lease = self._intend(
            {"kind": "process", "subject": name, "argv": secrets.fields(argv), "undo": "kill its process tree"}
        )
        try:
            child = self._start(argv, {**os.environ, **(env or {}), RUN_VARIABLE: self._run_id}, cwd, log, pipes)
        except (OSError, ValueError) as error:
            lease.undone("never started")
            raise _unstarted(name, argv, cwd, log, error) from error
        give_priority(child.pid)
        with self._lock:
            self._children[child.pid] = (name, child, lease)
        born = identity_of(child.pid)
        self.write(
            {"lease": lease._number, "what": "started", "pid": child.pid, "born_s": born.born_s if born else None}  # noqa: SLF001
        )
        return child

    def _start(
        self, argv: Sequence[str], environment: dict[str, str], cwd: Path | None, log: Path | None, pipes: bool
    ) -> subprocess.Popen[bytes]:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600) if log else None
        nowhere = subprocess.DEVNULL if output is None else output
        try:
            return subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else nowhere,
                stderr=nowhere,
                env=environment,
                cwd=cwd,
                start_new_session=True,
                umask=secrets.PRIVATE_UMASK,  # what it leaves in the run's folder is our owner's alone, too
            )
        finally:
            if output is not None:
                os.close(output)

    def reap(self) -> None:
        """Count children that ended, so that none stays as a zombie, and write down that they are gone."""
        with self._lock:
            gone = [pid for pid, (_, child, _) in self._children.items() if child.poll() is not None]
            ended = [self._children.pop(pid) for pid in gone]
        for _, child, lease in ended:
            lease.undone(f"exited {child.returncode}")

    def close(self) -> None:
        """Kill the children that are still there, count them, close the file; may be called twice."""
        with self._lock:
            children = list(self._children.values())
        for _, child, _ in children:
            child.kill()
        deadline_s = time.monotonic() + END_LIMIT_S
        for _, child, _ in children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline_s - time.monotonic()))
        if self._file >= 0:
            with suppress(SetUpError):
                self.reap()
            os.close(self._file)
            self._file = -1

    def _intend(self, what: Mapping[str, Any]) -> Lease:
        number = next(self._numbers)
        self.write({"lease": number, "what": "intent", "t_ns": time.monotonic_ns(), **what})
        return Lease(self, number)

    def write(self, line: Mapping[str, Any]) -> None:
        """Add one line and see it onto the disk. Lines after close() are dropped: everything is undone by then."""
        data = json.dumps(line).encode() + b"\n"
        with self._lock:
            if self._file < 0:
                return
            try:
                while data:
                    data = data[os.write(self._file, data) :]
                os.fsync(self._file)
            except OSError as error:
                raise _unwritten(self.path, error) from error


def started(path: Path) -> list[Identity]:
    """Every process a run wrote down as started and not as undone; lines cut short by the end are passed over."""
    found: dict[int, Identity] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    for text in lines:
        try:
            line = json.loads(text)
            if line["what"] == "started" and line["born_s"] is not None:
                found[line["lease"]] = Identity(pid=int(line["pid"]), born_s=float(line["born_s"]))
            elif line["what"] == "undone":
                found.pop(line["lease"], None)
        except (ValueError, KeyError, TypeError):
            continue
    return list(found.values())


def engines(path: Path) -> list[str]:
    """Places of the container engines that a run asked for containers and that were not yet seen empty of them."""
    found: dict[int, str] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    for text in lines:
        try:
            line = json.loads(text)
            if line["what"] == "intent" and line["kind"] == CONTAINERS:
                found[line["lease"]] = str(line["engine"])
            elif line["what"] == "undone":
                found.pop(line["lease"], None)
        except (ValueError, KeyError, TypeError):
            continue
    return list(dict.fromkeys(found.values()))


def _unwritten(path: Path, error: OSError) -> SetUpError:
    return SetUpError(
        f"cannot write the lease {path}: {error.strerror}; without it nothing is started or broken",
        hint="is the disk full, or the folder read-only? choose another with --reports DIR",
    )


def _unstarted(
    name: str, argv: Sequence[str], cwd: Path | None, log: Path | None, error: OSError | ValueError
) -> SetUpError:
    """Say why a program could not be started, and what would put it right."""
    program = argv[0] if argv else "(no program)"
    number = error.errno if isinstance(error, OSError) else None
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    hint = None
    if cwd is not None and not cwd.is_dir():
        reason, hint = f"its working folder {cwd} does not exist", "check working_dir in the Compose file"
    elif log is not None and isinstance(error, OSError) and error.filename == str(log):
        reason = f"its log {log} cannot be written: {reason}"
        hint = "is the disk full, or the folder read-only? choose another with --reports DIR"
    elif number == errno.ENOENT:
        reason, hint = f"there is no program {program!r}", "is it installed, and on PATH?"
    elif number in (errno.EACCES, errno.ENOEXEC):
        hint = f"may {program!r} be executed? try: chmod +x {program}"
    return SetUpError(f"cannot start {name}: {reason} (command: {' '.join(secrets.fields(argv))})", hint=hint)
