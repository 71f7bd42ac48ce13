"""The slow_close toxic: a connection that was closed stays open a while longer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.faults.base import Mark, World
from harness.faults.toxic import Toxic
from harness.words import Milliseconds


class SlowClose(Toxic):
    """Pass the end of a connection on only after delay (Toxiproxy's `slow_close`)."""

    kind = "slow_close"
    summary = "pass on the end of a connection late"
    example = "fault: {toxic: slow_close, link: order->payment, delay: 500ms}"

    toxic: Literal["slow_close"] = Field("slow_close", description="the kind of toxic")
    delay_ms: Milliseconds = Field(alias="delay", description="how much later the connection closes", gt=0)

    def inject(self, world: World, name: str) -> None:
        self._add(world, name, {"delay": self.delay_ms})

    def mark(self) -> Mark:
        return Mark(by="close", delay_ms=self.delay_ms, share=self.toxicity)

    def describe(self) -> str:
        return f"connections of {self.link} close {self.delay_ms} ms late"
