"""
The plan: a scenario on its system with every instant worked out, ready to be run.

Made from words, run by the conductor, stored in the journal. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.faults.base import Fault
from harness.scenario.model import Load, Scenario
from harness.system.model import System


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of the timeline with a name; every step makes one, a fault's has the fault's name."""

    name: str
    kind: str  # steady | fault | recovery | wait
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """One fault with its declared edges. end_s is None when nothing heals it before the run ends."""

    name: str
    fault: Fault
    start_s: float
    end_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a run needs to know. Instants are seconds from the start of the load."""

    scenario: Scenario
    system: System
    seed: int
    duration_s: float
    phases: tuple[Phase, ...]
    faults: tuple[PlannedFault, ...]
    load: Load
    profile: str | None
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # service -> values of `with`

    def summary(self) -> dict[str, Any]:
        """The plan as JSON for the journal and for `--json`."""
        return {
            "duration_s": self.duration_s,
            "seed": self.seed,
            "phases": [
                {"name": p.name, "kind": p.kind, "start_s": p.start_s, "end_s": p.end_s} for p in self.phases
            ],
            "faults": [
                {
                    "name": f.name,
                    "family": f.fault.family,
                    "kind": f.fault.kind,
                    "target": f.fault.target,
                    "start_s": f.start_s,
                    "end_s": f.end_s,
                    "what": f.fault.describe(),
                }
                for f in self.faults
            ],
            "load": self.load.model_dump(mode="json"),
            "profile": self.profile,
        }
