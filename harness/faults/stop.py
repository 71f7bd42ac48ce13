"""The service is asked to end and does so in its own order; healing starts it again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.faults.base import World
from harness.faults.process import ProcessFault


class Stop(ProcessFault):
    """SIGTERM, and SIGKILL when the service's grace time is over."""

    kind = "stop"
    summary = "stop a service in good order; healing starts it again"
    example = "fault: {process: stop, service: user}"

    process: Literal["stop"] = Field("stop", description="what is done to the process")

    def inject(self, world: World, name: str) -> None:  # noqa: ARG002  # a service is named by itself
        world.stop(self.service)

    def heal(self, world: World, name: str) -> None:  # noqa: ARG002
        world.start(self.service)

    def describe(self) -> str:
        return f"{self.service} is stopped"
