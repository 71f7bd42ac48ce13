"""
What a run says of itself while it goes on.

The conductor speaks these words, `report/live.py` shows them; neither knows the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A run at one instant. None means: not known yet."""

    scenario: str
    phase: str
    elapsed_s: float  # since the load began; 0 before
    total_s: float  # of the timeline
    seconds_left: float | None = None  # of the phase
    offered_per_s: float | None = None  # requests whose intended instant lies in the last moments
    served_per_s: float | None = None  # good answers of the last moments
    error_ratio: float | None = None  # 0..1, of the answers of the last moments
    breakers: Mapping[str, str] = field(default_factory=dict)  # order->payment -> OPEN
    faults_on: tuple[str, ...] = ()


class View(Protocol):
    """Shows a run while it goes on. Every method may be called from any thread, and never raises."""

    def progress(self, progress: Progress) -> None:
        """Replace what was shown before; may be called as often as one likes."""
        ...

    def say(self, text: str) -> None:
        """One line that stays: a service is ready, a fault is on."""
        ...


class Silent:
    """Shows nothing: for tests, and when the output is for machines."""

    def progress(self, progress: Progress) -> None:
        """Pass over it."""

    def say(self, text: str) -> None:
        """Pass over it."""
