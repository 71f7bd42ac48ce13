"""
A small disk of a node's own, so that it can be full: a tmpfs that only the node and what it starts can see.

It is mounted where nobody else's mounts are touched and goes with the last process that sees it, so a node that is
killed leaves none behind, and a node that starts again starts with an empty one.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from services.postgres.problems import StartError

FILLER = "filler"
_CHUNK = 1 << 20
_CLONE_NEWNS = 0x20000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_libc = ctypes.CDLL(None, use_errno=True)


class Disk:
    """The disk that a folder is on. Whoever leaves less than reserve_bytes on it has filled it; 0: never full."""

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self._folder, self._reserve = folder, reserve_bytes

    @property
    def full(self) -> bool:
        return self.free_bytes < self._reserve

    @property
    def free_bytes(self) -> int:
        try:
            found = os.statvfs(self._folder)
        except FileNotFoundError:  # not made yet
            return self._reserve
        return found.f_bavail * found.f_frsize

    def fill(self) -> int:
        """Write until there is no room; returns how many bytes it took."""
        written = 0
        with (self._folder / FILLER).open("ab", buffering=0) as file:
            for size in (_CHUNK, 4096):
                try:
                    while True:
                        written += file.write(bytes(size))
                except OSError as problem:
                    if problem.errno != errno.ENOSPC:
                        raise
        return written

    def free(self) -> None:
        """Take back what `fill` wrote. Safe to call twice."""
        (self._folder / FILLER).unlink(missing_ok=True)


def mount(folder: Path, size_bytes: int) -> None:
    """Put a new disk of this size under a folder, for this process and those it starts. Raises StartError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    steps = (
        ("leave the mounts of others", lambda: _libc.unshare(_CLONE_NEWNS)),
        ("keep its mounts to itself", lambda: _libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)),
        (
            f"mount {size_bytes} bytes on {folder}",
            lambda: _libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, f"size={size_bytes},mode=700".encode()),
        ),
    )
    for what, step in steps:
        if step() != 0:
            reason = os.strerror(ctypes.get_errno())
            raise StartError(
                f"DISK is set, and this process may not {what}: {reason}; it takes Linux and root's rights"
            )
