"""The gate ends the connection instead of passing a request on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.faults.base import Mark, World
from harness.faults.http import HttpFault


class Abort(HttpFault):
    """Leave single requests without an answer: their connection ends."""

    kind = "abort"
    summary = "end the connection of single HTTP requests without an answer"
    example = "fault: {http: abort, link: order->payment, methods: [POST], share: 20%}"

    http: Literal["abort"] = Field("abort", description="the kind of HTTP fault")

    def inject(self, world: World, name: str) -> None:
        self._switch_on(world, name, {})

    def mark(self) -> Mark:
        return Mark(
            by="ending",
            endings=frozenset({"reset", "closed_early"}),
            share=self._share(),
            counted=self.first,
            methods=frozenset(self.methods),
            path=self.path,
        )

    def describe(self) -> str:
        return f"no answer for {self._which()}"
