"""The latency toxic: everything that crosses the link in one direction comes later."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.faults.base import Mark, World
from harness.faults.toxic import Toxic
from harness.words import Milliseconds


class Latency(Toxic):
    """Delay every chunk on one link by latency, give or take jitter (Toxiproxy's `latency`)."""

    kind = "latency"
    summary = "delay what crosses a link, give or take a jitter"
    example = "fault: {toxic: latency, link: order->payment, latency: 2s, jitter: 100ms}"

    toxic: Literal["latency"] = Field("latency", description="the kind of toxic")
    latency_ms: Milliseconds = Field(alias="latency", description="delay added to each chunk", gt=0)
    jitter_ms: Milliseconds = Field(0, alias="jitter", description="uniform give or take around latency")

    def inject(self, world: World, name: str) -> None:
        self._add(world, name, {"latency": self.latency_ms, "jitter": self.jitter_ms})

    def mark(self) -> Mark:
        return Mark(by="delay", delay_ms=self.latency_ms, share=self.toxicity)

    def describe(self) -> str:
        jitter = f" +-{self.jitter_ms} ms" if self.jitter_ms else ""
        return f"latency {self.latency_ms} ms{jitter} on {self.link}"
