"""The service freezes: it keeps its connections and says nothing; healing lets it go on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.faults.base import World
from harness.faults.process import ProcessFault


class Pause(ProcessFault):
    """Freeze every process of the service, as a long garbage collection or a stuck disk would."""

    kind = "pause"
    summary = "freeze a service; healing lets it go on"
    example = "fault: {process: pause, service: user}"

    process: Literal["pause"] = Field("pause", description="what is done to the process")

    def inject(self, world: World, name: str) -> None:  # noqa: ARG002  # a service is named by itself
        world.pause(self.service)

    def heal(self, world: World, name: str) -> None:  # noqa: ARG002
        world.resume(self.service)

    def describe(self) -> str:
        return f"{self.service} is frozen"
