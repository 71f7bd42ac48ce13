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
    only: str | None = Field(
        None,
        description="program of which the topmost process alone is killed, its children not: postmaster, nginx",
        min_length=1,
    )

    def inject(self, world: World, name: str) -> None:  # noqa: ARG002  # a service is named by itself
        if self.only is not None:
            world.kill_only(self.service, self.only)
        else:
            world.kill(self.service)

    def heal(self, world: World, name: str) -> None:  # noqa: ARG002
        world.start(self.service)

    def describe(self) -> str:
        return f"{self.only} of {self.service} is killed" if self.only else f"{self.service} is killed"
