"""
The plan: a scenario on its system with every instant worked out, ready to be run.

Made from words, run by the conductor, stored in the journal. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.errors import InputError
from harness.faults.base import Fault
from harness.scenario.file import LoadedScenario
from harness.scenario.model import Load, Scenario
from harness.scenario.timeline import lay_out
from harness.system.model import System


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of the timeline with a name; a fault's has the fault's name. What takes no time makes none."""

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
            "phases": [{"name": p.name, "kind": p.kind, "start_s": p.start_s, "end_s": p.end_s} for p in self.phases],
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


def make_plan(scenario: Scenario | LoadedScenario, system: System) -> Plan:
    """
    Work out every instant of a scenario on a system. A loaded scenario was checked already; one made in
    Python may hold names that mean nothing: raises InputError.
    """
    if isinstance(scenario, LoadedScenario):
        scenario = scenario.scenario
    timeline = lay_out(scenario.timeline)
    if timeline.broken:
        raise InputError("\n".join(f"{scenario.name}: {finding.message}" for finding in timeline.broken))
    phases = [
        Phase(name=placed.name, kind=placed.kind, start_s=placed.start_s, end_s=placed.end_s)
        for placed in timeline.placed
        if placed.end_s > placed.start_s
    ]
    faults = [
        PlannedFault(
            name=placed.name,
            fault=placed.step.fault,
            start_s=placed.start_s,
            end_s=placed.end_s if placed.healed else None,
        )
        for placed in timeline.placed
        if placed.step.fault is not None
    ]
    return Plan(
        scenario=scenario,
        system=system,
        seed=scenario.seed,
        duration_s=timeline.duration_s,
        phases=tuple(sorted(phases, key=lambda phase: phase.start_s)),
        faults=tuple(sorted(faults, key=lambda fault: fault.start_s)),
        load=scenario.load,
        profile=_profile(scenario.load, system),
        environment={
            service: {name: _plain(value) for name, value in values.items()}
            for service, values in scenario.with_.items()
        },
    )


def _profile(load: Load, system: System) -> str | None:
    """The profile a load sends: the one it names, else the system's only one; none beside a person's own file."""
    if load.profile is not None or load.locustfile is not None:
        return load.profile
    return next(iter(system.profiles)) if len(system.profiles) == 1 else None


def _plain(value: str | float | bool) -> str:
    """A value as a process gets it: true is `true`, not Python's `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)
