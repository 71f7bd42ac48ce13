"""The service dies at once, with all its children; healing starts it again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.faults.base import World
from harness.faults.process import ProcessFault


class Kill(ProcessFault):
    """SIGKILL the whole process tree: no goodbye, no flush."""

    kind = "kill"
    summary = "kill a service without warning; healing starts it again"
    example = "fault: {process: kill, service: user}"

    process: Literal["kill"] = Field("kill", description="what is done to the process")

    def inject(self, world: World, name: str) -> None:  # noqa: ARG002  # a service is named by itself
        world.kill(self.service)

    def heal(self, world: World, name: str) -> None:  # noqa: ARG002
        world.start(self.service)

    def describe(self) -> str:
        return f"{self.service} is killed"
