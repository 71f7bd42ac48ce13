"""
The register of runs in progress: one small file a run, for whoever cleans up after a runner and its watchdog died.

The runner holds a lock on its file for as long as it lives; the kernel lets go
of it whichever way the runner ends, so no clock and no recycled pid can make a
live run look dead. Only the standard library and psutil are imported here.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.topology.tree import Identity, identity_of

FRESH_S = 5.0  # a file that cannot be read yet may be one that is just being written


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run as the register has it."""

    run_id: str
    run_dir: Path
    runner: Identity
    watchdog: Identity | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run_id,
            "folder": str(self.run_dir),
            "runner": _identity_json(self.runner),
            "watchdog": _identity_json(self.watchdog),
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Entry:
        """Raises ValueError, KeyError or TypeError when it is none."""
        runner = _identity(data["runner"])
        if runner is None:
            raise ValueError("no runner")
        return cls(
            run_id=str(data["run"]),
            run_dir=Path(data["folder"]),
            runner=runner,
            watchdog=_identity(data.get("watchdog")),
        )


class Registration:
    """A runner's own entry: made before anything is started, removed when everything is gone."""

    def __init__(self, entry: Entry, path: Path, descriptor: int) -> None:
        self._entry, self.path, self._descriptor = entry, path, descriptor

    def watched_by(self, watchdog: Identity) -> None:
        """Write down who watches."""
        self._entry = replace(self._entry, watchdog=watchdog)
        self.write()

    def write(self) -> None:
        """Write the entry in place: a new file would not be the one that is locked."""
        data = json.dumps(self._entry.to_json()).encode()
        os.pwrite(self._descriptor, data, 0)
        os.ftruncate(self._descriptor, len(data))
        os.fsync(self._descriptor)

    def remove(self) -> None:
        """Strike the run off the register; may be called twice."""
        self.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Let go of the entry and leave it there, for whoever cleans up; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def folders(environment: Mapping[str, str] = os.environ) -> tuple[Path, Path]:
    """Where the register may be: the user's state folder, and for want of that the temporary folder."""
    home = environment.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111  may lack a home
    return Path(home) / "harness" / "runs", Path(tempfile.gettempdir()) / f"harness-{os.getuid()}" / "runs"


def register(
    run_id: str, run_dir: Path, *, say: Callable[[str], None], environment: Mapping[str, str] = os.environ
) -> Registration:
    """Enter a run. Raises OSError when neither folder can be written; says once when the first cannot."""
    runner = identity_of(os.getpid())
    assert runner is not None  # this very process
    entry = Entry(run_id=run_id, run_dir=run_dir.resolve(), runner=runner)
    first, second = folders(environment)
    try:
        return _enter(first, entry)
    except OSError as error:
        if not private(second):
            raise
        registration = _enter(second, entry)
        say(f"the register of runs cannot be kept in {first} ({error.strerror}); it is kept in {second} instead")
        return registration


def _enter(folder: Path, entry: Entry) -> Registration:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{entry.run_id}.json"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    registration = Registration(entry, path, descriptor)
    try:
        _lock(descriptor)
        registration.write()
    except OSError:
        registration.remove()
        raise
    return registration


def private(folder: Path) -> bool:
    """Make a register's folder under the temporary one; False when somebody else made it before us."""
    top = folder.parent
    try:
        top.mkdir(mode=0o700, exist_ok=True)
        found = top.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _lock(descriptor: int) -> bool:
    """Take the lock; False when another holds it. A file system without locks counts as free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def entry_paths(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """The files of all entries, live and dead."""
    first, second = folders(environment)
    found = sorted(first.glob("*.json")) if _is_folder(first) else []
    return found + (sorted(second.glob("*.json")) if _is_folder(second) and private(second) else [])


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name no file system takes, from the environment
        return False


@contextmanager
def dead(path: Path) -> Iterator[Entry | None]:
    """
    The entry in a file if its runner is dead, else None. While inside, nobody else cleans up after that run.

    A file that cannot be read as an entry and is old is removed.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield _read(path, descriptor) if _lock(descriptor) else None
    finally:
        os.close(descriptor)


def _read(path: Path, descriptor: int) -> Entry | None:
    try:
        entry = Entry.of(json.loads(os.pread(descriptor, 1 << 16, 0)))
    except (ValueError, KeyError, TypeError):
        if time.time() - os.fstat(descriptor).st_mtime > FRESH_S:
            path.unlink(missing_ok=True)
        return None
    # Where locks do not work the runner's pid and birth have to do.
    return entry if entry.runner.process() is None else None


def tell(text: str) -> None:
    """Say something where there is no better place for it."""
    print(text, file=sys.stderr)


def _identity_json(identity: Identity | None) -> dict[str, Any] | None:
    return None if identity is None else {"pid": identity.pid, "born_s": identity.born_s}


def _identity(data: Any) -> Identity | None:
    return None if data is None else Identity(pid=int(data["pid"]), born_s=float(data["born_s"]))
