"""
Watches the machine: who used its processors, and whether each service still lives.

These figures explain a verdict; they decide none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import psutil

from harness.clock import NS_PER_S, Clock
from harness.observe.base import Add, Periodic
from harness.observe.metronome import TICK_S, Metronome

PERIOD_S = 0.5
FAMILY_S = 2.0  # finding the runner's children is a look at every process there is


class Seen(Protocol):
    """One service as somebody found it: its root process, that one's state, seconds of processor used so far, memory."""

    @property
    def pid(self) -> int: ...
    @property
    def status(self) -> str: ...
    @property
    def cpu_s(self) -> float | None: ...
    @property
    def rss_bytes(self) -> int | None: ...


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

    def __init__(
        self,
        looks: Callable[[], Mapping[str, Seen]],
        add: Add,
        clock: Clock,
        *,
        proxies_cpu_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        """looks: at every service; proxies_cpu_s: seconds used by proxies that are no children of the runner."""
        self._looks = looks
        self._proxies_cpu_s = proxies_cpu_s
        self._add = add
        self._clock = clock
        self._cpu_s: dict[str, float] = {}
        self._last_ns = 0
        self._known: list[psutil.Process] = []
        self._found_ns = 0
        self._share_stolen = StolenShare(psutil.cpu_times)
        self._metronome = Metronome(clock)
        self._ticking = Periodic("metronome", TICK_S, self._metronome.tick, clock)
        self._periodic = Periodic("machine", PERIOD_S, self._look, clock)

    def start(self) -> None:
        psutil.cpu_percent()
        self._share_stolen()
        self._ticking.start()
        self._periodic.start()

    def stop(self) -> None:
        self._periodic.stop()
        self._ticking.stop()

    def _look(self) -> None:
        now_ns = self._clock.now_ns()
        span_s = (now_ns - self._last_ns) / NS_PER_S if self._last_ns else 0.0
        self._last_ns = now_ns
        looks = self._looks()
        used = {name: self._service(name, seen, span_s) for name, seen in looks.items()}
        cores = psutil.cpu_count() or 1
        busy = psutil.cpu_percent() / 100 * cores
        services = sum(used.values())
        harness = self._harness(span_s, {seen.pid for seen in looks.values()})
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

    def _harness(self, span_s: float, services: set[int]) -> float:
        """Cores that the runner and its other children used since the last look: gate, Toxiproxy, load, watchdog."""
        seconds = self._since("proxies", self._proxies_cpu_s())
        for process in self._family():
            if process.pid in services:
                continue
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            seconds += self._since(f"pid {process.pid}", times.user + times.system)
        return max(0.0, seconds) / span_s if span_s > 0 else 0.0

    def _family(self) -> list[psutil.Process]:
        """The runner and who is below it, looked for anew every FAMILY_S."""
        now_ns = self._clock.now_ns()
        if not self._known or now_ns - self._found_ns >= FAMILY_S * NS_PER_S:
            self._found_ns = now_ns
            self._known = [psutil.Process(), *psutil.Process().children(recursive=True)]
        return self._known

    def _service(self, name: str, seen: Seen, span_s: float) -> float:
        """Write down one service; returns the cores it used since the last look."""
        now_ns = self._clock.now_ns()
        if seen.status == "gone":
            self._cpu_s.pop(name, None)
            self._add("probes", (now_ns, "processes", name, 0, json.dumps({"pid": seen.pid, "status": "gone"})))
            return 0.0
        used = self._since(name, seen.cpu_s) / span_s if span_s > 0 else 0.0
        data = {"pid": seen.pid, "status": seen.status, "rss_bytes": seen.rss_bytes, "cores": round(used, 3)}
        self._add("probes", (now_ns, "processes", name, 1, json.dumps(data)))
        return max(0.0, used)

    def _since(self, name: str, cpu_s: float | None) -> float:
        """Seconds of processor that somebody used since the last look; 0 when it is not known."""
        if cpu_s is None:
            return 0.0
        before = self._cpu_s.get(name, cpu_s)
        self._cpu_s[name] = cpu_s
        return cpu_s - before
