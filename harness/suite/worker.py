"""
A runner that does one scenario after another for a suite: `python -m harness.suite.worker`.

Each line of standard input is an order: the options first, then the path of a scenario, as JSON. Each scenario is
answered by one line of standard output. So Python and what it imports start once for many scenarios. When standard input
ends while a scenario is on, whoever gave the orders is gone, and the scenario is ended.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from harness.progress import Silent
from harness.run.interruption import LIFELINE_GRACE_S, terminated_like_interrupted
from harness.run.options import RunOptions
from harness.suite import run_one
from harness.suite.told import document

EXIT_INTERRUPTED = 130


def options_line(options: RunOptions) -> bytes:
    """The first order: how every scenario is to be run."""
    return _line(
        {
            "reports": str(options.reports),
            "backend": options.backend,
            "seed": options.seed,
            "overrides": list(options.overrides),
            "retry_busy": options.retry_busy,
        }
    )


def scenario_line(path: Path) -> bytes:
    """An order: this scenario next."""
    return _line({"scenario": str(path)})


def _line(order: dict[str, Any]) -> bytes:
    return json.dumps(order).encode() + b"\n"


def _options(told: dict[str, Any]) -> RunOptions:
    words = {**told, "reports": Path(told["reports"]), "overrides": tuple(told["overrides"])}
    return RunOptions(**words)


class _Orders:
    """What stands in standard input, read by a thread of its own."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._read_so_far = 0  # written by the thread alone
        self._done_with = 0  # written by the worker alone
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def next(self) -> dict[str, Any] | None:
        """The next order; None when there will be no more."""
        return self._queue.get()

    def done(self) -> None:
        """The order that was taken last is carried out."""
        self._done_with += 1

    def _read(self) -> None:
        rest = b""
        while piece := os.read(sys.stdin.fileno(), 65_536):  # a buffer held at the end would keep Python from ending
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._read_so_far += 1
                self._queue.put(json.loads(line))
        self._queue.put(None)
        if (
            self._read_so_far > self._done_with
        ):  # in order if that is quick; else at once, and the watchdog does the rest
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(LIFELINE_GRACE_S)
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    """Work until there are no more orders; returns the exit code."""
    answers, sys.stdout = sys.stdout, sys.stderr  # nobody else's word may stand among the answers
    try:
        with terminated_like_interrupted():
            orders = _Orders()
            first = orders.next()
            if first is None:
                return 0
            options = _options(first)
            orders.done()
            while (order := orders.next()) is not None:
                told = document(run_one(Path(order["scenario"]), options, Silent()))
                orders.done()
                answers.write(json.dumps(told, default=str) + "\n")
                answers.flush()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
