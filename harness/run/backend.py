"""
What runs a system: its services, a proxy on every link, and the means to hurt both. Chosen by name, asked for abilities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from harness.run.world import RunWorld
from harness.topology.base import Look


class Backend(Protocol):
    """Everything a run starts but the load. Errors are HarnessError, at the start SetUpError."""

    versions: dict[str, str]

    @property
    def world(self) -> RunWorld:
        """What faults may ask; there once `up` has returned."""
        ...

    def up(self, say: Callable[[str], None], meanwhile: Callable[[], None] = lambda: None) -> None:
        """
        Start everything; returns when every service is ready.
        meanwhile: called once the addresses are known, while the services are starting or before.
        """
        ...

    def down(self) -> None:
        """Stop the services, then the proxies. May be called at any time, and twice."""
        ...

    def check(self) -> None:
        """Raise HarnessError when a proxy is gone; note services that ended by themselves."""
        ...

    def looks(self) -> Mapping[str, Look]:
        """Every service that runs, as it is now."""
        ...

    def proxies_cpu_s(self) -> float | None:
        """Seconds of processor used by proxies that are no children of the runner; None: they are, or not known."""
        ...

    def service_address(self, service: str) -> tuple[str, int]:
        """Where a service itself can be asked, past its links."""
        ...

    def entry_bases(self) -> dict[str, str]:
        """Service -> URL by which the load reaches it, through the entry link."""
        ...
