"""The link is down: open connections are cut, new ones are refused."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from harness.faults.base import Fault, Mark, World
from harness.words import Link


class Down(Fault):
    """Disable the link's proxy, as if the upstream's port were closed."""

    family: ClassVar[str] = "proxy"
    kind = "down"
    summary = "cut a link: connections end, new ones are refused"
    example = "fault: {proxy: down, link: order->payment}"
    acts_on: ClassVar[Literal["link", "service"]] = "link"

    proxy: Literal["down"] = Field("down", description="what is done to the link's proxy")
    link: Link = Field(description="the link it acts on, client->upstream")

    def inject(self, world: World, name: str) -> None:  # noqa: ARG002  # a proxy is down or not; it has no names
        world.refuse(self.link)

    def heal(self, world: World, name: str) -> None:  # noqa: ARG002
        world.accept(self.link)

    def mark(self) -> Mark:
        return Mark(by="ending", endings=frozenset({"refused", "reset", "closed_early"}))

    def describe(self) -> str:
        return f"{self.link} is down"
