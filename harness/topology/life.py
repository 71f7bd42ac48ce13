"""
One life of a service, from its start to its end: its root process, its tree, and what may be done to the whole of it.

The tree is found by ancestry and by a tag in the environment, because children
may leave their session and their parent.
"""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass, field
from typing import Any

import psutil

from harness.clock import NS_PER_S, Clock
from harness.errors import HarnessError
from harness.topology.tree import (
    Identity,
    family,
    identity_of,
    kill_until_gone,
    lineage,
    running,
    signal_all,
    stopped,
    tagged,
)

SERVICE_VARIABLE = "HARNESS_SERVICE"
KILL_LIMIT_S = 5.0
SIGNAL_LIMIT_S = 3.0


@dataclass(slots=True, kw_only=True)
class Life:
    """
    A service that was started. Its flags change under the lock of the topology that holds it.

    ending is what the topology did or is about to do to it; while it is None, an end is the service's own doing.
    """

    service: str
    tag: str  # the value of SERVICE_VARIABLE in its environment
    process: subprocess.Popen[bytes]
    identity: Identity | None
    log_offset: int
    ready: bool = False
    paused: bool = False
    ending: str | None = None
    seen: dict[int, Identity] = field(default_factory=dict)  # of its tree, as far as it was ever looked at

    @property
    def alive(self) -> bool:
        """Whether the root process is there; counts it when it has ended."""
        return self.process.poll() is None

    @property
    def root(self) -> psutil.Process | None:
        """The root process, if it is there."""
        return self.identity.process() if self.identity and self.alive else None

    def facts(self, **more: Any) -> dict[str, Any]:
        """The data of an event about it; started_at is seconds since the epoch."""
        started_at = self.identity.born_s if self.identity else None
        code = {} if self.process.returncode is None else {"exit_code": self.process.returncode}
        return {"pid": self.process.pid, "started_at": started_at, **code, **more}

    def leased(self) -> list[Identity]:
        """Everybody ever seen in its tree."""
        return [*([self.identity] if self.identity else []), *self.seen.values()]

    def relatives(self) -> list[psutil.Process]:
        """Everybody below the root now, and below who was seen before, parents first: found in a few milliseconds."""
        known = [process for identity in self.leased() if (process := identity.process()) is not None]
        return self._remember(family(known))

    def tree(self) -> list[psutil.Process]:
        """Everybody who belongs to it now, parents first, orphans included: a look at every process there is."""
        return self._remember(tagged(SERVICE_VARIABLE, self.tag, leased=self.leased(), spare=lineage()))

    def _remember(self, found: list[psutil.Process]) -> list[psutil.Process]:
        for process in found:
            if process.pid not in self.seen and (identity := identity_of(process.pid)) is not None:
                self.seen[process.pid] = identity
        return found

    def finish_off(self) -> None:
        """SIGKILL what there still is of the tree, see it gone, and count the root. Raises HarnessError."""
        _, left = kill_until_gone(self.tree, limit_s=KILL_LIMIT_S, reap=self.process.poll)
        self.reap()
        self.paused = False
        if left or self.process.returncode is None:
            names = ", ".join(left) or f"pid {self.process.pid}"
            raise HarnessError(f"could not end {self.service}: {names} still there after {KILL_LIMIT_S:g} s")

    def reap(self) -> None:
        """Count the root, so that it does not stay as a zombie."""
        try:
            self.process.wait(KILL_LIMIT_S)
        except subprocess.TimeoutExpired:
            return

    def hold(self, clock: Clock) -> int:
        """SIGSTOP the tree until everybody in it is held; returns how many. Raises HarnessError."""
        return self._signal_until(signal.SIGSTOP, clock, held=True)

    def let_go(self, clock: Clock) -> int:
        """SIGCONT the tree until nobody in it is held; returns how many. Raises HarnessError."""
        return self._signal_until(signal.SIGCONT, clock, held=False)

    def _signal_until(self, number: signal.Signals, clock: Clock, *, held: bool) -> int:
        deadline_ns = clock.now_ns() + round(SIGNAL_LIMIT_S * NS_PER_S)
        near = self.relatives()
        signal_all(near if held else reversed(near), number)  # at once; who is not found so easily comes after
        while True:
            tree = self.tree()
            wrong = [process for process in tree if stopped(process) is not held]
            if not self.alive:
                raise HarnessError(f"cannot {'pause' if held else 'resume'} {self.service}: it ended meanwhile")
            if tree and not wrong:
                return len(tree)
            if clock.now_ns() > deadline_ns:
                names = ", ".join(f"pid {process.pid}" for process in wrong if running(process))
                state = "not held" if held else "still held"
                raise HarnessError(f"{self.service}: {names} {state} {SIGNAL_LIMIT_S:g} s after {number.name}")
            # Held: parents first, so that none starts another child. Let go: children first, none is missed.
            signal_all(wrong if held else reversed(wrong), number)
            clock.sleep_s(0.002)
