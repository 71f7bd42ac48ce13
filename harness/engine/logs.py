"""
What a container prints, written into a file of the run while it prints it, so that a killed runner leaves it too.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.engine.connect import Engine
from harness.secrets import private_opener

END_LIMIT_S = 2.0


class Follower:
    """Appends a container's standard output and error to a file, in a thread of its own, until it ends."""

    def __init__(self, engine: Engine, container: str, log: Path, since_s: float | None = None) -> None:
        """since_s: seconds since the epoch; earlier lines, of an earlier start, are left out."""
        self._engine, self._container, self._log, self._since_s = engine, container, log, since_s
        self._stream: Any = None
        self._thread = threading.Thread(target=self._follow, name=f"log {log.stem}", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Give what was printed a moment to arrive, then let go; may be called twice."""
        self._thread.join(END_LIMIT_S)
        if self._stream is not None:
            with suppress(Exception):
                self._stream.close()

    def _follow(self) -> None:
        with suppress(Exception), open(self._log, "ab", buffering=0, opener=private_opener) as file:
            self._stream = self._engine.api.logs(
                self._container, stream=True, follow=True, stdout=True, stderr=True, since=self._since_s
            )
            file.writelines(self._stream)
