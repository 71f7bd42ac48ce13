"""The timeout toxic: nothing comes through any more, and after a while the connection closes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.faults.base import Mark, World
from harness.faults.toxic import Toxic
from harness.words import Milliseconds


class Timeout(Toxic):
    """Swallow all data and close after timeout; 0s never closes: a black hole (Toxiproxy's `timeout`)."""

    kind = "timeout"
    summary = "swallow what crosses a link; close after a while, or never (0s)"
    example = "fault: {toxic: timeout, link: order->payment, timeout: 0s}"

    toxic: Literal["timeout"] = Field("timeout", description="the kind of toxic")
    timeout_ms: Milliseconds = Field(alias="timeout", description="close after this long; 0s: never, until healed")

    def inject(self, world: World, name: str) -> None:
        self._add(world, name, {"timeout": self.timeout_ms})

    def mark(self) -> Mark:
        # A client that gives up first ends the exchange itself; healing closes the connections still held.
        endings = frozenset({"never_answered", "client_gone", "closed_early", "reset"})
        return Mark(by="ending", endings=endings, share=self.toxicity)

    def describe(self) -> str:
        end = f"closes after {self.timeout_ms} ms" if self.timeout_ms else "never closes"
        return f"{self.link} swallows everything and {end}"
