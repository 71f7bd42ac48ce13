"""
What a signal does to a run: Ctrl-C and SIGTERM end it in order, and nothing interrupts the taking down.

Signals belong to a program's main thread; elsewhere these do nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

LIFELINE_VARIABLE = "HARNESS_LIFELINE"  # set: this runner ends when its standard input does
LIFELINE_GRACE_S = 1.0  # of the five seconds after which nothing of a killed suite may be left, on a busy machine too
_ENDING = (signal.SIGINT, signal.SIGTERM)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Inside, SIGTERM raises KeyboardInterrupt as Ctrl-C does, so that a CI job's kill is undone in order too."""
    with _handled({signal.SIGTERM: _interrupt}):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM are passed over: a second Ctrl-C must not leave half a system behind."""
    with _handled(dict.fromkeys(_ENDING, signal.SIG_IGN)):
        yield


@contextmanager
def _handled(handlers: dict[signal.Signals, signal._HANDLER]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def hang_on_lifeline() -> None:
    """
    A runner that another one started ends when its standard input does: then the other one is gone. In order, if that
    is done within LIFELINE_GRACE_S; else at once, and its watchdog does the rest.
    """
    if os.environ.pop(LIFELINE_VARIABLE, None) is None:
        return

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):  # a buffer held at the end would keep Python from ending in order
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(LIFELINE_GRACE_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
