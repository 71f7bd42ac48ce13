"""
One program in the foreground: found or said how to install it, started, told of signals, waited for.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

EXIT_SET_UP_FAILED = 4  # as the harness has it: what is needed is not here
_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin")  # where packages put servers, on the PATH or not
_PACE_S = 0.5


class NotInstalled(Exception):
    """A program is not on this machine."""


def find_program(name: str, package: str) -> str:
    """The path of a program. Raises NotInstalled with the command that installs it."""
    found = shutil.which(name) or next((str(p) for f in _FOLDERS if (p := Path(f) / name).is_file()), None)
    if found is None:
        raise NotInstalled(
            f"{name} is not installed; on Debian and Ubuntu: apt-get install --no-install-recommends {package}"
        )
    return found


class Child:
    """
    A program as a child of this process. SIGTERM and SIGINT to us become `stop_signal` to it, and SIGTERM when it is
    still there after grace_s.
    """

    def __init__(
        self, command: Sequence[str], *, stop_signal: signal.Signals = signal.SIGTERM, grace_s: float = 2.0
    ) -> None:
        self._stop_signal, self._grace_s = stop_signal, grace_s
        self._asked = threading.Event()
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    @property
    def pid(self) -> int:
        return self._process.pid

    def obey_signals(self) -> None:
        """Pass on the signals that ask this process to end. Call from the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())

    def stop(self) -> None:
        """Ask it to end; safe to call twice."""
        if not self._asked.is_set():
            self._asked.set()
            self._process.send_signal(self._stop_signal)

    def wait(self) -> int:
        """Until it has ended: 0 when it was asked to, else its own exit code (128 + signal, as shells count)."""
        while True:
            try:
                code = self._process.wait(self._grace_s if self._asked.is_set() else _PACE_S)
                break
            except subprocess.TimeoutExpired:
                if self._asked.is_set():
                    self._process.terminate()
        if self._asked.is_set():
            return 0
        return code if code >= 0 else 128 - code


def fail(problem: Exception, code: int) -> int:
    """Say what is wrong on standard error; the exit code for it."""
    print(problem, file=sys.stderr, flush=True)
    return code
