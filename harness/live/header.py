"""
What a live run is about before anybody touches it: name, system, load, promises; and what came of it, as a scenario.

The scenario is written to the journal after every deed, so that a killed run can be judged and compiled up to there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.faults.base import Fault
from harness.scenario.model import Load, Scenario
from harness.system.model import System


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The unchanging part. `expect` holds promises as a scenario file writes them."""

    name: str
    system: System
    load: Load
    profile: str | None
    seed: int = 1
    with_: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    expect: tuple[Mapping[str, Any], ...] = ()

    @property
    def environment(self) -> dict[str, dict[str, str]]:
        return {service: {key: _text(value) for key, value in values.items()} for service, values in self.with_.items()}


@dataclass(slots=True, kw_only=True)
class Stretch:
    """A phase or a fault on the run's time line, in declared seconds; end_s None: still on."""

    name: str
    kind: str  # steady | recovery | wait | fault
    start_s: float
    end_s: float | None = None
    fault: Fault | None = None


def scenario_of(header: Header, stretches: list[Stretch], now_s: float) -> dict[str, Any]:
    """What was done so far, as the JSON of a scenario that can be judged by."""
    scenario = Scenario.model_validate(
        {
            "name": header.name,
            "system": str(header.system.file),
            "seed": header.seed,
            "with": header.with_,
            "load": header.load.model_dump(mode="json", exclude_none=True),
            "timeline": [_step(stretch, now_s) for stretch in stretches] or [{"wait": "1s"}],
            "expect": list(header.expect) or default_promises(header.system),
        }
    )
    return scenario.model_dump(mode="json", exclude_none=True)


def default_promises(system: System) -> list[dict[str, Any]]:
    """What a run promises when nobody said: every objective of the system, or that something was answered well."""
    return [{"slo": {}}] if system.objectives else [{"availability": {"at_least": "99%"}}]


def _step(stretch: Stretch, now_s: float) -> dict[str, Any]:
    end_s = now_s if stretch.end_s is None else stretch.end_s
    length = f"{max(0.001, end_s - stretch.start_s):.6f}s"
    step: dict[str, Any] = {"as": stretch.name, "at": f"{stretch.start_s:.6f}s"}
    if stretch.fault is None:
        return step | {stretch.kind: length}
    step["fault"] = stretch.fault.model_dump(mode="json", exclude_none=True)
    return step | ({"for": length} if stretch.fault.undoable else {})


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
