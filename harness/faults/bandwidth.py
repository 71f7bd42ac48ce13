"""The bandwidth toxic: the link lets only so many bytes a second through."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.faults.base import Mark, World
from harness.faults.toxic import Toxic
from harness.words import KilobytesPerSecond


class Bandwidth(Toxic):
    """Let only rate through (Toxiproxy's `bandwidth`, in KB/s of 1000 bytes)."""

    kind = "bandwidth"
    summary = "let only so many kilobytes a second through a link"
    example = "fault: {toxic: bandwidth, link: order->payment, rate: 20KB/s}"

    toxic: Literal["bandwidth"] = Field("bandwidth", description="the kind of toxic")
    rate_kb_per_s: KilobytesPerSecond = Field(alias="rate", description="bytes a second each connection gets")

    def inject(self, world: World, name: str) -> None:
        self._add(world, name, {"rate": self.rate_kb_per_s})

    def mark(self) -> Mark:
        # How much later depends on how long the answer is, so only "later" is promised.
        return Mark(by="delay", share=self.toxicity, share_known=False)

    def describe(self) -> str:
        return f"bandwidth {self.rate_kb_per_s} KB/s on {self.link}"
