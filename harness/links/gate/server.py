"""
The gate put together: all links, the control, the log and the tickers, on one event loop.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

from harness.errors import SetUpError
from harness.journal.spool import SpoolWriter
from harness.links.base import Address
from harness.links.gate.config import GateConfig
from harness.links.gate.control import ControlServer
from harness.links.gate.lag import TICK_S, Lag
from harness.links.gate.later import ReadingLater
from harness.links.gate.link import Link
from harness.links.gate.log import WireLog

FLUSH_S = 0.1
REPORT_S = 1.0
LAST_TURNS = 100  # for connections that are closing while the gate ends
LAST_TURN_S = 0.002


class Gate:
    """start(), then `stopped` until somebody calls stop(), then finish()."""

    def __init__(self, config: GateConfig) -> None:
        self._config = config
        self._loop = asyncio.get_running_loop()
        try:
            self._log = WireLog(SpoolWriter(config.spool))
        except OSError as error:
            raise SetUpError(f"the gate cannot write its spool {config.spool}: {error}") from error
        self._later = ReadingLater()
        numbers = itertools.count(1)
        self.links = {
            spec.name: Link(spec, log=self._log, later=self._later, loop=self._loop, numbers=numbers)
            for spec in config.links
        }
        self.stopped = asyncio.Event()
        self._control = ControlServer(self, config.token)
        self._lag = Lag()
        self._exchanges_told: dict[str, int] = {}
        self._next_tick_ns = 0
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def start(self) -> None:
        """Bind every listener. Raises SetUpError naming the one that is taken."""
        for spec in self._config.links:
            try:
                await self.links[spec.name].listen()
            except OSError as error:
                raise _cannot_listen(f"link {spec.name}", spec.listen, error) from error
        try:
            await self._control.listen(*self._config.control)
        except OSError as error:
            raise _cannot_listen("the control", self._config.control, error) from error
        self._next_tick_ns = time.monotonic_ns()
        self._tick()
        self._flush()
        self._report()

    def stop(self) -> None:
        """Ask for the end; returns at once."""
        self.stopped.set()

    async def finish(self) -> None:
        """End all connections, write the last rows and close. May be called after a start that failed."""
        for timer in self._timers.values():
            timer.cancel()
        self._control.close()
        for link in self.links.values():
            link.close()
        for _ in range(LAST_TURNS):
            if not any(link.relays for link in self.links.values()):
                break
            await asyncio.sleep(LAST_TURN_S)
        self._tell_lag("gate.lag", self._lag.summary())
        self._log.event(time.monotonic_ns(), "gate.ended", {**self._lag.total(), "rows_lost": self._log.rows_lost})
        self._log.close()

    def status(self) -> dict[str, Any]:
        """Counts of every link."""
        return {
            "links": {name: link.status() for name, link in self.links.items()},
            "rows_lost": self._log.rows_lost,
            "spool_error": self._log.error,
        }

    def _tick(self) -> None:
        now_ns = time.monotonic_ns()
        self._lag.note(now_ns - self._next_tick_ns)
        self._next_tick_ns = now_ns + round(TICK_S * 1e9)
        self._later.catch_up()
        self._timers["tick"] = self._loop.call_later(TICK_S, self._tick)

    def _flush(self) -> None:
        self._log.flush()
        self._timers["flush"] = self._loop.call_later(FLUSH_S, self._flush)

    def _report(self) -> None:
        self._tell_lag("gate.lag", self._lag.summary())
        self._later.catch_up()
        now_ns = time.monotonic_ns()
        for name, link in self.links.items():
            ended = link.counters.exchanges
            if link.relays or ended != self._exchanges_told.get(name, 0):
                self._exchanges_told[name] = ended
                data = {"connections_open": len(link.relays), "in_flight": link.counters.in_flight, "exchanges": ended}
                self._log.probe(now_ns, name, data)
        self._timers["report"] = self._loop.call_later(REPORT_S, self._report)

    def _tell_lag(self, kind: str, data: dict[str, float]) -> None:
        if data["samples"]:
            self._log.event(time.monotonic_ns(), kind, data)


def _cannot_listen(what: str, address: Address, error: OSError) -> SetUpError:
    return SetUpError(
        f"the gate cannot listen on {address[0]}:{address[1]} for {what}: {error.strerror or error}",
        hint="another program holds the port; end it, or let the run choose another",
    )
