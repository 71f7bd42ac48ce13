"""
Watches the machine: who used its processors, and whether each service still lives.

These figures explain a verdict; they decide none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import psutil

from harness.clock import NS_PER_S, Clock
from harness.observe.base import Add, Periodic
from harness.observe.metronome import Metronome

PERIOD_S = 0.5


class StolenShare:
    """Which share of the processors' time the host of a virtual machine kept for itself since the last question."""

    def __init__(self, times: Callable[[], Any]) -> None:
        """times: seconds of all processors by kind, as psutil.cpu_times tells them."""
        self._times = times
        self._last: Any = None

    def __call__(self) -> float | None:
        """None at the first question, and where the operating system does not say."""
        last, self._last = self._last, self._times()
        if last is None or not hasattr(last, "steal"):
            return None
        total_s = sum(self._last) - sum(last)
        return round(max(0.0, self._last.steal - last.steal) / total_s, 4) if total_s > 0 else None


class MachineObserver:
    """
    Every 0.5 s: cores used by the services, by the harness itself, and by everybody else; what the host of a virtual
    machine took of them (share), and how long this process did not run in one piece (seconds).
    """

    def __init__(self, processes: Callable[[], Mapping[str, psutil.Process]], add: Add, clock: Clock) -> None:
        self._processes = processes
        self._add = add
        self._clock = clock
        self._cpu_s: dict[str, float] = {}
        self._last_ns = 0
        self._share_stolen = StolenShare(psutil.cpu_times)
        self._metronome = Metronome(clock)
        self._periodic = Periodic("machine", PERIOD_S, self._look, clock)

    def start(self) -> None:
        psutil.cpu_percent()
        self._share_stolen()
        self._metronome.start()
        self._periodic.start()

    def stop(self) -> None:
        self._periodic.stop()
        self._metronome.stop()

    def _look(self) -> None:
        now_ns = self._clock.now_ns()
        span_s = (now_ns - self._last_ns) / NS_PER_S if self._last_ns else 0.0
        self._last_ns = now_ns
        used = {name: self._service(name, process, span_s, now_ns) for name, process in self._processes().items()}
        cores = psutil.cpu_count() or 1
        busy = psutil.cpu_percent() / 100 * cores
        services = sum(used.values())
        harness = self._harness(span_s)
        data = {
            "cores": cores,
            "busy_cores": round(busy, 3),
            "services_cores": round(services, 3),
            "harness_cores": round(harness, 3),
            "other_cores": round(max(0.0, busy - services - harness), 3),
            "stolen_share": self._share_stolen(),
            "missing_s": round(self._metronome.longest_gap_s(), 4),
            "load_average": os.getloadavg()[0],
        }
        self._add("probes", (now_ns, "machine", "machine", 1, json.dumps(data)))

    def _harness(self, span_s: float) -> float:
        """Cores that the runner and its other children used since the last look: gate, Toxiproxy, load, watchdog."""
        services = {process.pid for process in self._processes().values()}
        seconds = 0.0
        for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
            if process.pid in services:
                continue
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            key = f"pid {process.pid}"
            seconds += times.user + times.system - self._cpu_s.get(key, times.user + times.system)
            self._cpu_s[key] = times.user + times.system
        return max(0.0, seconds) / span_s if span_s > 0 else 0.0

    def _service(self, name: str, process: psutil.Process, span_s: float, now_ns: int) -> float:
        """Write down one service; returns the cores it used since the last look."""
        try:
            times = process.cpu_times()
            cpu_s = times.user + times.system
            now_ns = self._clock.now_ns()
            data = {"pid": process.pid, "status": process.status(), "rss_bytes": process.memory_info().rss}
        except psutil.Error:
            self._cpu_s.pop(name, None)
            self._add("probes", (now_ns, "processes", name, 0, json.dumps({"pid": process.pid, "status": "gone"})))
            return 0.0
        used = (cpu_s - self._cpu_s.get(name, cpu_s)) / span_s if span_s > 0 else 0.0
        self._cpu_s[name] = cpu_s
        self._add("probes", (now_ns, "processes", name, 1, json.dumps({**data, "cores": round(used, 3)})))
        return max(0.0, used)
