"""The gate holds a request back for a while before it passes it on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.faults.base import Mark, World
from harness.faults.http import HttpFault
from harness.words import Milliseconds


class Delay(HttpFault):
    """Hold single requests back; the other requests of the link are not slowed down."""

    kind = "delay"
    summary = "hold single HTTP requests back before they are passed on"
    example = "fault: {http: delay, link: order->payment, delay: 250ms, every: 5}"

    http: Literal["delay"] = Field("delay", description="the kind of HTTP fault")
    delay_ms: Milliseconds = Field(alias="delay", description="how long a request is held back", gt=0)

    def inject(self, world: World, name: str) -> None:
        self._switch_on(world, name, {"delay_ms": self.delay_ms})

    def mark(self) -> Mark:
        return Mark(
            by="delay",
            delay_ms=self.delay_ms,
            share=self._share(),
            counted=self.first,
            methods=frozenset(self.methods),
            path=self.path,
        )

    def describe(self) -> str:
        return f"{self.delay_ms} ms delay for {self._which()}"
