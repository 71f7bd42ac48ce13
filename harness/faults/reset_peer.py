"""The reset_peer toxic: connections end in a TCP reset."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.faults.base import Mark, World
from harness.faults.toxic import Toxic
from harness.words import Milliseconds


class ResetPeer(Toxic):
    """Reset connections at once, or after timeout (Toxiproxy's `reset_peer`)."""

    kind = "reset_peer"
    summary = "end connections with a TCP reset"
    example = "fault: {toxic: reset_peer, link: order->payment, timeout: 0s}"

    toxic: Literal["reset_peer"] = Field("reset_peer", description="the kind of toxic")
    timeout_ms: Milliseconds = Field(0, alias="timeout", description="reset after this long; 0s: at once")

    def inject(self, world: World, name: str) -> None:
        self._add(world, name, {"timeout": self.timeout_ms})

    def mark(self) -> Mark:
        # With a wait before the reset, the client may have given up by then.
        impatient = {"client_gone"} if self.timeout_ms else set()
        return Mark(by="ending", endings=frozenset({"reset", "closed_early"} | impatient), share=self.toxicity)

    def describe(self) -> str:
        when = f"after {self.timeout_ms} ms" if self.timeout_ms else "at once"
        return f"{self.link} resets connections {when}"
