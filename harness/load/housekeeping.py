"""
What every load needs beside the load: the record kept and flushed, the CPU measured, the runner told.

Runs in the load child only. Knows nothing of who sends the requests.
"""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any, NoReturn

import gevent

from harness.clock import NS_PER_S
from harness.errors import Mistake
from harness.journal.spool import SpoolWriter
from harness.load.channel import Channel
from harness.load.config import LoadConfig
from harness.load.record import CpuMeter, Record

FLUSH_EVERY_S = 0.1
CPU_WINDOW_S = 1.0
# A request sent in the last instant reaches its own time limit just after the load's; leave it the time to say so.
DRAIN_GRACE_S = 0.5
DRAIN_LOOK_EVERY_S = 0.005


class Housekeeping:
    """One load from ready to ended."""

    def __init__(self, config: LoadConfig, *, engine: str) -> None:
        self.config = config
        self.record = Record(SpoolWriter(Path(config.spool)), scheduled=config.model == "open")
        self.channel = Channel(gone=self._save)
        self.said_ready = False
        self._engine = engine
        self._meter = CpuMeter(now_ns=time.monotonic_ns(), cpu_ns=time.process_time_ns())
        self._self_test: dict[str, Any] = {}
        gevent.spawn(self._flush_often)

    def wait_go(self, tested: dict[str, Any]) -> int | None:
        """Say ready, with what the self-test found, and wait for the instant the load starts; None: it never will."""
        self._self_test = tested
        gc.collect()
        gc.freeze()  # a full collection over everything Locust imports would stop the load for tens of milliseconds
        self.said_ready = True
        self.channel.say("ready", {"self_test": tested, "engine": self._engine})
        t0_ns = self.channel.wait_go()
        self._meter = CpuMeter(now_ns=time.monotonic_ns(), cpu_ns=time.process_time_ns())
        gevent.spawn(self._measure_cpu)
        return t0_ns

    def say_failed(self, mistake: Mistake) -> None:
        """The person's own file cannot be used: say why, and where in it."""
        self.channel.say("failed", {"file": str(mistake.file), "line": mistake.line, "message": mistake.message})

    def sleep_until(self, t_ns: int) -> None:
        """Wait for an instant (monotonic ns), or less when the load is stopped before."""
        self.channel.stopped.wait(timeout=max(0.0, (t_ns - time.monotonic_ns()) / NS_PER_S))

    def wait_end(self, t0_ns: int) -> None:
        """Wait until a load that started at t0_ns is over by its own length, or stopped."""
        if self.config.duration_s is None:
            self.channel.stopped.wait()
        else:
            self.sleep_until(t0_ns + round(self.config.duration_s * NS_PER_S))
        self.channel.stop()

    def drain(self) -> None:
        """Wait for what is in flight, no longer than a request may take."""
        deadline_s = time.monotonic() + self.config.timeout_s + DRAIN_GRACE_S
        gevent.sleep(0)  # the last arrival has perhaps not had its turn yet
        while self.record.in_flight and time.monotonic() < deadline_s:
            gevent.sleep(DRAIN_LOOK_EVERY_S)

    def say_ended(self) -> None:
        """Write what is still open as unfinished, and hand the runner the numbers."""
        if self._meter.numbers()["cpu_share_max"] is None:
            self._end_window()
        self._save()
        numbers = {**self.record.numbers(), **self._meter.numbers()}
        self.channel.say("ended", {**numbers, "self_test": self._self_test})

    def leave(self) -> None:
        """The load is over and everything said; the process ends when the runner lets go."""
        self.channel.stay()

    def _save(self) -> None:
        self.record.give_up()
        self.record.flush()

    def _flush_often(self) -> NoReturn:
        while True:
            gevent.sleep(FLUSH_EVERY_S)
            self.record.flush()

    def _measure_cpu(self) -> NoReturn:
        while True:
            gevent.sleep(CPU_WINDOW_S)
            self._end_window()

    def _end_window(self) -> None:
        self._meter.window(now_ns=time.monotonic_ns(), cpu_ns=time.process_time_ns())
