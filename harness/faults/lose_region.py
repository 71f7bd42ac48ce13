"""A whole region goes at once: every service of a group that the system names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ClassVar, Literal

from pydantic import Field

from harness.errors import HarnessError
from harness.faults.base import Fault, Mark, World
from harness.faults.kill import Kill
from harness.faults.pause import Pause


class LoseRegion(Fault):
    """
    All services of a group are killed, or frozen, side by side; healing brings them back the same way.

    Their links are lost with them: whoever calls them gets no answer, and they call nobody.
    """

    family: ClassVar[str] = "process"
    kind = "lose_region"
    summary = "kill or freeze every service of a named group at once; healing brings all of them back"
    example = "fault: {process: lose_region, region: east, by: kill}"
    acts_on: ClassVar[Literal["link", "service"]] = "service"

    process: Literal["lose_region"] = Field("lose_region", description="what is done to the processes")
    region: str = Field(
        description="a group of the system: x-harness: {groups: {east: {services: [...]}}}", min_length=1
    )
    by: Literal["kill", "pause"] = Field("kill", description="kill: without warning; pause: frozen, connections kept")

    @property
    def target(self) -> str:
        return self.region

    def parts(self, groups: Mapping[str, Sequence[str]]) -> tuple[Fault, ...]:
        kind = Kill if self.by == "kill" else Pause
        return tuple(kind(service=service) for service in groups.get(self.region, ()))

    def inject(self, world: World, name: str) -> None:
        _side_by_side([partial(part.inject, world, name) for part in self._parts(world)])

    def heal(self, world: World, name: str) -> None:
        _side_by_side([partial(part.heal, world, name) for part in self._parts(world)])

    def _parts(self, world: World) -> tuple[Fault, ...]:
        return self.parts({self.region: world.group(self.region)})

    def mark(self) -> Mark:
        return Mark(by="process")

    def describe(self) -> str:
        return f"region {self.region} is {'killed' if self.by == 'kill' else 'frozen'}"


def _side_by_side(deeds: Sequence[Callable[[], None]]) -> None:
    """Do all of them at once and wait for all; then raise the first one's HarnessError, if any failed."""
    if not deeds:
        return
    with ThreadPoolExecutor(max_workers=len(deeds)) as pool:
        done = [pool.submit(deed) for deed in deeds]
    problems = [problem for one in done if (problem := one.exception()) is not None]
    for problem in problems:
        if not isinstance(problem, HarnessError):
            raise problem
    if problems:
        raise problems[0]
