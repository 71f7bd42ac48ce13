"""
One service's container over its starts and ends, and what the engine can do to it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from harness.engine.connect import Engine
from harness.engine.usage import Usage, used
from harness.errors import HarnessError

END_LIMIT_S = 10.0


class Container:
    """
    ending is what was or is about to be done to it; while it is None, an end is the service's own doing.

    Errors are HarnessError.
    """

    def __init__(self, engine: Engine, service: str, identity: str, ending: str | None = None) -> None:
        self.service, self.id, self.ending = service, identity, ending
        self.pid, self.started_at, self.exit_code = 0, 0.0, None
        self.ready = self.paused = False
        self.starts = 1
        self._engine = engine
        self._lock = threading.Lock()

    pid: int
    started_at: float  # seconds since the epoch, as the engine's machine has it
    exit_code: int | None

    def look(self) -> Mapping[str, Any]:
        """The container's state as the engine has it now."""
        with self._engine.asking(f"look at {self.service}") as api:
            state: Mapping[str, Any] = api.inspect_container(self.id)["State"]
        if state.get("Running"):
            self.pid = int(state["Pid"])
            self.started_at = _seconds(str(state["StartedAt"]))
        else:
            self.exit_code = code_of(state.get("ExitCode"))
        return state

    def facts(self, **more: Any) -> dict[str, Any]:
        """The data of an event about it."""
        code = {} if self.exit_code is None or self.ending is None else {"exit_code": self.exit_code}
        return {"pid": self.pid, "started_at": self.started_at, "container": self.id[:12], **code, **more}

    def claim_end(self, ending: str) -> bool:
        """From here on its end is known as this; False when it has ended already, or is about to."""
        with self._lock:
            if self.ending is not None:
                return False
            self.ending = ending
            return True

    def kill(self) -> None:
        with self._engine.asking(f"kill {self.service}") as api:
            api.kill(self.id, "SIGKILL")
        self._await_end()

    def stop(self, grace_s: int) -> None:
        """Ask it to end; SIGKILL after grace_s."""
        if self.paused:
            self.resume()
        with self._engine.asking(f"stop {self.service}") as api:
            api.stop(self.id, timeout=grace_s)
        self._await_end()

    def start(self) -> None:
        """Start it again."""
        self.ending = "being started"  # so that nobody takes its start for the work of a restart policy
        with self._engine.asking(f"start {self.service}") as api:
            api.start(self.id)
        self.born_again()

    def born_again(self) -> None:
        """It runs anew, whoever started it."""
        self.ready = self.paused = False
        self.starts += 1
        self.exit_code = None
        self.look()
        self.ending = None

    def pause(self) -> None:
        self.paused = True  # before the deed: a pause that fails half-way has to be undone, too
        with self._engine.asking(f"pause {self.service}") as api:
            api.pause(self.id)
        if not self.look().get("Paused"):
            raise HarnessError(f"cannot pause {self.service}: the engine said yes, but it is not paused")

    def resume(self) -> None:
        if self.look().get("Paused"):
            with self._engine.asking(f"resume {self.service}") as api:
                api.unpause(self.id)
        if self.look().get("Paused"):
            raise HarnessError(f"cannot resume {self.service}: the engine said yes, but it is still paused")
        self.paused = False

    def usage(self) -> Usage:
        """Seconds of processor and bytes of memory it used; None where that is not known."""
        return used(self.pid, self.id)

    def _await_end(self) -> None:
        with self._engine.asking(f"wait for the end of {self.service}") as api:
            api.wait(self.id, timeout=END_LIMIT_S)
        self.paused = False
        if self.look().get("Running"):
            raise HarnessError(f"could not end {self.service}: it still runs after {END_LIMIT_S:g} s")


def code_of(code: object) -> int | None:
    """An exit code as processes have it: 137, which says SIGKILL, is -9."""
    try:
        number = int(str(code))
    except ValueError:
        return None
    return 128 - number if 128 < number < 128 + 65 else number


def _seconds(text: str) -> float:
    """Seconds since the epoch of the engine's `2026-11-22T22:43:13.123456789Z`."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
