"""Several services are ended and started again, one after another; each is ready before the next one goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from harness.faults.base import Fault, Mark, World
from harness.faults.restart import Restart
from harness.words import Seconds


class RollingRestart(Fault):
    """What a deployment of a new version does to the instances of a service."""

    family: ClassVar[str] = "process"
    kind = "rolling_restart"
    summary = "restart several services one after another, each ready before the next goes"
    example = "fault: {process: rolling_restart, services: [order-1, order-2, order-3], settle: 1s}"
    acts_on: ClassVar[Literal["link", "service"]] = "service"
    undoable: ClassVar[bool] = False

    process: Literal["rolling_restart"] = Field("rolling_restart", description="what is done to the processes")
    services: tuple[str, ...] = Field(description="the services, in the order in which they go", min_length=2)
    signal: Literal["term", "kill"] = Field("term", description="term: in good order; kill: without warning")
    settle_s: Seconds = Field(
        1.0, alias="settle", description="wait after each was ready: what a balancer takes to see it, and more"
    )

    @field_validator("services")
    @classmethod
    def _each_once(cls, services: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(services)) < len(services):
            raise ValueError(f"{', '.join(services)} names one twice")
        return services

    @property
    def target(self) -> str:
        return ", ".join(self.services)

    def parts(self, groups: Mapping[str, Sequence[str]]) -> tuple[Fault, ...]:  # noqa: ARG002  # it names them itself
        return tuple(Restart(service=service, signal=self.signal) for service in self.services)

    def inject(self, world: World, name: str) -> None:
        for number, part in enumerate(self.parts({})):
            if number:
                world.wait(self.settle_s)
            part.inject(world, name)

    def heal(self, world: World, name: str) -> None:
        """Nothing: all are back when inject returns."""

    def mark(self) -> Mark:
        return Mark(by="process")

    def describe(self) -> str:
        how = "SIGKILL" if self.signal == "kill" else "SIGTERM"
        return f"{self.target} are restarted one after another ({how})"
