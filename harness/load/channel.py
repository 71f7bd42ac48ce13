"""
The load child's line to the runner: JSON lines out on standard output, orders in on standard input.

Runs in the load child only. Takes both streams for itself, so that nothing a
library or a person's file prints can get between the lines.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

import gevent
from gevent.event import AsyncResult, Event
from gevent.fileobject import FileObject


class Channel:
    """
    Orders understood: {"op": "go", "t0_ns": ...} and {"op": "stop"}; SIGTERM means stop.

    When standard input ends, the runner is gone: `gone` is called to save what it can, and the process exits.
    """

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone
        self._orders = FileObject(os.dup(0), "rb")
        self._out = os.dup(1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        self.stopped = Event()
        self._said_all = Event()
        self._t0_ns: AsyncResult = AsyncResult()  # None: stopped before it began
        gevent.signal_handler(signal.SIGTERM, self.stop)
        self._listening = gevent.spawn(self._listen)

    def say(self, event: str, data: Mapping[str, Any]) -> None:
        """Tell the runner; a runner that is gone hears nothing, and that is noticed elsewhere."""
        line = json.dumps({"event": event, **data}, separators=(",", ":")).encode() + b"\n"
        try:
            os.write(self._out, line)
        except BrokenPipeError:
            pass

    def wait_go(self) -> int | None:
        """The instant the load starts, monotonic ns; None when it was stopped before. Waits as long as the runner."""
        t0_ns: int | None = self._t0_ns.get()
        return t0_ns

    def stop(self) -> None:
        """No more arrivals; may be called twice. After the last word: leave."""
        if self._said_all.is_set():
            os._exit(0)
        self.stopped.set()
        if not self._t0_ns.ready():
            self._t0_ns.set(None)

    def stay(self) -> None:
        """Nothing is left to say: stay until the runner lets go, so that an early exit always means a crash."""
        self._said_all.set()
        self._listening.join()

    def _listen(self) -> None:
        for line in self._orders:
            try:
                order = json.loads(line)
                operation = order["op"]
            except (ValueError, KeyError, TypeError):
                operation = None
            if operation == "go" and not self._t0_ns.ready():
                self._t0_ns.set(int(order["t0_ns"]))
            elif operation == "stop":
                self.stop()
        try:
            self._gone()
        finally:
            os._exit(0)
