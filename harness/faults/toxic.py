"""What Toxiproxy's seven toxics have in common: a link, a stream, a toxicity drawn once a connection."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from harness.faults.base import Fault, World
from harness.words import Link, Share


class Toxic(Fault):
    """Base of the toxics, in Toxiproxy's own names and units."""

    family: ClassVar[str] = "toxic"
    acts_on: ClassVar[Literal["link", "service"]] = "link"

    link: Link = Field(description="the link it acts on, client->upstream")
    stream: Literal["downstream", "upstream"] = Field(
        "downstream", description="downstream: answers on their way to the client; upstream: requests"
    )
    toxicity: Share = Field(
        1.0, description="share of connections it applies to; drawn once per CONNECTION, not per request"
    )

    def _add(self, world: World, name: str, attributes: dict[str, int]) -> None:
        world.add_toxic(self.link, name, self.kind, self.stream, self.toxicity, attributes)

    def heal(self, world: World, name: str) -> None:
        world.remove_toxic(self.link, name)
