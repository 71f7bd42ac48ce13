"""A replica falls behind its primary: by a declared time, or further and further."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from harness.faults.base import Fault, Mark, World
from harness.words import Link, Milliseconds


class Lag(Fault):
    """
    Hold back what the primary sends on one replication link. `lag` delays it by so much; `stopped` swallows it, so
    that whatever is written from then on is on the primary alone.
    """

    family: ClassVar[str] = "replication"
    kind = "lag"
    summary = "let a replica fall behind its primary, by a time or further and further"
    example = "fault: {replication: lag, link: pg1->pg0, lag: 300ms}"
    acts_on: ClassVar[Literal["link", "service"]] = "link"

    replication: Literal["lag"] = Field("lag", description="what is done to the replication")
    link: Link = Field(description="the replication link, replica->primary")
    lag_ms: Milliseconds | None = Field(None, alias="lag", description="how far the replica falls behind", gt=0)
    stopped: bool = Field(False, description="true: nothing arrives any more")

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Lag:
        if (self.lag_ms is None) is not self.stopped:
            raise ValueError("say one of lag: 300ms, stopped: true")
        return self

    def inject(self, world: World, name: str) -> None:
        kind, attributes = ("timeout", {"timeout": 0})
        if self.lag_ms is not None:
            kind, attributes = "latency", {"latency": self.lag_ms, "jitter": 0}
        world.add_toxic(self.link, name, kind, "downstream", 1.0, attributes)

    def heal(self, world: World, name: str) -> None:
        world.remove_toxic(self.link, name)

    def mark(self) -> Mark:
        return Mark(by="delay", delay_ms=self.lag_ms)

    def describe(self) -> str:
        how = "nothing arrives any more" if self.stopped else f"{self.lag_ms} ms behind"
        return f"replication {self.link}: {how}"
