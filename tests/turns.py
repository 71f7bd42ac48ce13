"""
Turns for programs that measure, where several of them share a machine: a lock on a file, let go of now and then.
"""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import Self

PAUSE_S = 0.5


class Turns:
    """Held while inside; `next` lets others have theirs once it was held for turn_s. None: nobody to take turns with."""

    def __init__(self, file: Path | None, turn_s: float = 150.0) -> None:
        self._turn_s = turn_s
        self._held = None if file is None else file.open("a")
        self._since_s = 0.0

    def __enter__(self) -> Self:
        self._take()
        return self

    @property
    def over(self) -> bool:
        """Whether it is time for others; never when there are none."""
        return self._held is not None and time.monotonic() - self._since_s > self._turn_s

    def next(self) -> None:
        """Between two measurements: give way, when it is time, and wait for the next turn."""
        if self._held is not None and self.over:
            fcntl.flock(self._held, fcntl.LOCK_UN)
            time.sleep(PAUSE_S)
            self._take()

    def _take(self) -> None:
        if self._held is not None:
            fcntl.flock(self._held, fcntl.LOCK_EX)
        self._since_s = time.monotonic()

    def __exit__(self, *_: object) -> None:
        if self._held is not None:
            self._held.close()
