"""
The room of a run: who may be on this machine beside whom.

Ordinary runs share it. A run that needs the machine to itself waits until the others have left, and whoever comes
meanwhile waits behind it. The kernel gives a killed runner's place back, and no file is left: folders are locked.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.run.registry import folders, private

EMPTY = "this scenario needs the machine to itself: waiting until no other run is on"
TAKEN = "another run needs the machine to itself: waiting until it is over"


@contextmanager
def room(say: Callable[[str], None], *, alone: bool, environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """
    Inside, the run has the place it needs; says what it waits for. Runs of the same user know of each other, those of
    others do not; where folders cannot be locked nobody waits.
    """
    runs = _folder(environment)
    if runs is None:
        yield
        return
    door, hall = (os.open(folder, os.O_RDONLY | os.O_CLOEXEC) for folder in (runs.parent, runs))
    try:
        _enter(door, fcntl.LOCK_EX, say, TAKEN)  # one at a time, so that nobody slips past one who waits
        _enter(hall, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, say, EMPTY if alone else TAKEN)
        os.close(door)
        door = -1
        yield
    finally:
        os.close(hall)
        if door >= 0:
            os.close(door)


def _folder(environment: Mapping[str, str]) -> Path | None:
    """The folder of the register, made where it is missing; None where there can be none."""
    first, second = folders(environment)
    for folder in (first, second):
        try:
            if folder is second and not private(second):
                return None
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        return folder
    return None


def _enter(descriptor: int, how: int, say: Callable[[str], None], reason: str) -> None:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        say(reason)
        fcntl.flock(descriptor, how)
    except OSError:  # a file system without locks
        return
