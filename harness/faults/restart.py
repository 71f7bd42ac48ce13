"""The service is ended and started again in one go; there is nothing to heal afterwards."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from harness.faults.base import World
from harness.faults.process import ProcessFault


class Restart(ProcessFault):
    """End the service and start it again; takes as long as the service takes to be ready."""

    kind = "restart"
    summary = "end a service and start it again at once"
    example = "fault: {process: restart, service: user, signal: kill}"
    undoable: ClassVar[bool] = False

    process: Literal["restart"] = Field("restart", description="what is done to the process")
    signal: Literal["term", "kill"] = Field("term", description="term: in good order; kill: without warning")

    def inject(self, world: World, name: str) -> None:  # noqa: ARG002  # a service is named by itself
        if self.signal == "kill":
            world.kill(self.service)
        else:
            world.stop(self.service)
        world.start(self.service)

    def heal(self, world: World, name: str) -> None:
        """Nothing: the service is back when inject returns, and a failed start is the conductor's to report."""

    def describe(self) -> str:
        return f"{self.service} is restarted ({'SIGKILL' if self.signal == 'kill' else 'SIGTERM'})"
