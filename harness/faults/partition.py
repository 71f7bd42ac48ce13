"""A service is cut off from all others: nothing crosses any of its links, in either direction."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from harness.faults.base import Fault, Mark, World


class Partition(Fault):
    """
    Swallow everything on every link to and from the service, or refuse it. The service itself runs on and knows nothing.
    """

    family: ClassVar[str] = "network"
    kind = "partition"
    summary = "cut a service off from all others, both ways; it runs on and knows nothing"
    example = "fault: {network: partition, service: payment}"
    acts_on: ClassVar[Literal["link", "service"]] = "service"

    network: Literal["partition"] = Field("partition", description="what is done to the network around the service")
    service: str = Field(description="the service that is cut off", min_length=1)
    how: Literal["silent", "refused"] = Field(
        "silent", description="silent: what is sent vanishes; refused: connections are cut, new ones refused"
    )

    def inject(self, world: World, name: str) -> None:
        world.isolate(self.service, name, self.how == "silent")

    def heal(self, world: World, name: str) -> None:
        world.reconnect(self.service, name, self.how == "silent")

    def mark(self) -> Mark:
        return Mark(
            by="ending", endings=frozenset({"never_answered", "client_gone", "closed_early", "reset", "refused"})
        )

    def describe(self) -> str:
        return f"{self.service} is cut off from all others"
