"""
The stage: faults done and undone, each in a thread of its own so that a slow restart delays nobody.

The conductor cues it from a timeline, people cue it by hand. A fault that fails is in the journal; its receipt will
say so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from harness.errors import HarnessError
from harness.faults.base import Fault
from harness.run.session import Session

FAULT_LIMIT_S = 90.0  # longest that one inject or heal may take; a restart waits for readiness


class Deed:
    """One inject or heal under way. `error` is set when it failed."""

    def __init__(self, what: str, act: Callable[[], None], before: Deed | None) -> None:
        self.error: HarnessError | None = None
        self._act, self._before = act, before
        self._thread = threading.Thread(target=self._run, name=what, daemon=True)
        self._thread.start()

    def done(self, limit_s: float = FAULT_LIMIT_S) -> bool:
        """Wait for its end; False when it is still at it."""
        self._thread.join(limit_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        if self._before is not None:
            self._before.done()
        try:
            self._act()
        except HarnessError as error:
            self.error = error


class Stage:
    """What is being done to one session. Safe from any thread."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._deeds: dict[str, Deed] = {}
        self._lock = threading.Lock()

    def inject(self, name: str, fault: Fault, declared_s: float) -> Deed:
        """Begin to do a fault; declared_s: the instant of the run at which it was meant to be."""
        return self._begin("inject", name, lambda: self._session.inject(name, fault, declared_s))

    def heal(self, name: str, declared_s: float) -> Deed:
        """Begin to undo it, once it is done."""
        return self._begin("heal", name, lambda: self._session.heal(name, declared_s))

    def wait_for(self, name: str) -> None:
        """Until the last thing asked of a fault is done. Raises HarnessError when it failed or does not end."""
        with self._lock:
            deed = self._deeds[name]
        if not deed.done():
            raise HarnessError(f"fault {name} was still being injected or healed after {FAULT_LIMIT_S:.0f} s")
        if deed.error is not None:
            raise deed.error

    def settle(self) -> None:
        """Wait for everything under way. Raises HarnessError for what does not come to its end."""
        with self._lock:
            deeds = dict(self._deeds)
        for name, deed in deeds.items():
            if not deed.done():
                raise HarnessError(f"fault {name} was still being injected or healed after {FAULT_LIMIT_S:.0f} s")

    def _begin(self, what: str, name: str, act: Callable[[], None]) -> Deed:
        def told() -> None:
            try:
                act()
            except HarnessError as error:
                self._session.recorder.emit("fault.failed", name, {"error": str(error)})
                raise

        with self._lock:
            deed = self._deeds[name] = Deed(f"{what} {name}", told, self._deeds.get(name))
        return deed
