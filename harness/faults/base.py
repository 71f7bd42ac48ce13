"""
What every fault is: something done to a link or a service, and undone again.

A fault knows what to ask of the world and what a wire log must show when it
was really there. It does not know who answers: the conductor does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from harness.words import Words


class World(Protocol):
    """What the conductor lets a fault do. Every call raises HarnessError when it did not happen."""

    def add_toxic(  # noqa: PLR0917
        self, link: str, name: str, kind: str, stream: str, toxicity: float, attributes: dict[str, int]
    ) -> None:
        """Add one toxic of Toxiproxy's own kind to a link's proxy; attributes in Toxiproxy's units."""

    def remove_toxic(self, link: str, name: str) -> None: ...

    def refuse(self, link: str) -> None:
        """Disable the link's proxy: open connections are cut, new ones refused."""

    def accept(self, link: str) -> None: ...

    def add_gate_fault(self, link: str, name: str, spec: dict[str, Any]) -> None:
        """Switch on a fault of the gate's own; spec as in links/gate/faults.py."""

    def remove_gate_fault(self, link: str, name: str) -> None: ...

    def kill(self, service: str) -> None:
        """SIGKILL the whole process tree of a service."""

    def kill_only(self, service: str, program: str) -> None:
        """SIGKILL the topmost process of a service that runs this program, and none of its children."""

    def isolate(self, service: str, name: str, silent: bool) -> None:
        """Let nothing cross any link to or from a service: swallowed when silent, else refused."""

    def reconnect(self, service: str, name: str, silent: bool) -> None: ...

    def stop(self, service: str) -> None:
        """SIGTERM, then SIGKILL after the service's grace time."""

    def start(self, service: str) -> None:
        """Start a service that is down and wait until it is ready."""

    def pause(self, service: str) -> None: ...

    def resume(self, service: str) -> None: ...

    def limit(self, service: str, cpus: float | None, memory_bytes: int | None) -> None:
        """Hold a service to so many processors and bytes of memory; None: as many as before."""

    def unlimit(self, service: str) -> None: ...

    def wait(self, span_s: float) -> None:
        """Do nothing for so many seconds."""

    def group(self, name: str) -> tuple[str, ...]:
        """The services of a group that the system names."""

    def request(self, service: str, method: str, path: str, body: dict[str, Any]) -> None:
        """Send body as JSON to the service's own address; an answer outside 200 to 299 is an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What the wire shows of a fault that was really there; receipts are judged by it.

    by "delay":   exchanges last delay_ms longer (None: longer, by how much is not known beforehand)
    by "status":  exchanges answer with one of statuses
    by "ending":  exchanges end in one of endings
    by "process": the service's process is gone, frozen or another one (no wire needed)
    by "close":   connections are closed delay_ms later than before; exchanges look the same
    by "answer":  the service answered yes (no wire needed)
    by "limit":   the service ran into what it was held to (no wire needed)
    `share_known` False: which exchanges are hit depends on their size, so any of them is evidence and share an upper bound.
    `methods` and `path` (a glob): only exchanges that match can be hit; share is of those.
    `counted` says how many exchanges at most are meant to be hit (first N); None: all that share covers.
    """

    by: Literal["delay", "status", "ending", "process", "close", "answer", "limit"]
    share: float = 1.0
    delay_ms: int | None = None
    statuses: frozenset[int] = frozenset()
    endings: frozenset[str] = frozenset()
    counted: int | None = None
    share_known: bool = True
    methods: frozenset[str] = frozenset()
    path: str | None = None


class Fault(Words):
    """Base of all faults. `family` and `kind` are how a scenario names it: `toxic: latency`."""

    family: ClassVar[str]
    kind: ClassVar[str]
    summary: ClassVar[str]  # one sentence for `harness list faults`
    example: ClassVar[str]  # YAML of one fault, itself tested
    acts_on: ClassVar[Literal["link", "service"]]
    undoable: ClassVar[bool] = True  # False: nothing to heal (restart)

    @property
    def target(self) -> str:
        """The link or service it acts on."""
        return str(getattr(self, self.acts_on))

    def parts(self, groups: Mapping[str, Sequence[str]]) -> tuple[Fault, ...]:  # noqa: ARG002  # most are one
        """What it is made of, each part a fault of one link or service; groups: the system's, services by name."""
        return (self,)

    def inject(self, world: World, name: str) -> None:
        """Do it. `name` is unique in the run."""
        raise NotImplementedError

    def heal(self, world: World, name: str) -> None:
        """Undo it; safe to call when inject failed half-way, and twice."""
        raise NotImplementedError

    def mark(self) -> Mark:
        """What the wire must show."""
        raise NotImplementedError

    def describe(self) -> str:
        """One line for people: `latency 2 s +-100 ms on order->payment`."""
        raise NotImplementedError
