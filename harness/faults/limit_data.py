"""The limit_data toxic: a connection closes once so many bytes have crossed it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.faults.base import Mark, World
from harness.faults.toxic import Toxic
from harness.words import Bytes


class LimitData(Toxic):
    """Close each connection after bytes have crossed it (Toxiproxy's `limit_data`)."""

    kind = "limit_data"
    summary = "close each connection after so many bytes"
    example = "fault: {toxic: limit_data, link: order->payment, bytes: 100B}"

    toxic: Literal["limit_data"] = Field("limit_data", description="the kind of toxic")
    limit_bytes: Bytes = Field(alias="bytes", description="bytes one connection may carry in the stream's direction")

    def inject(self, world: World, name: str) -> None:
        self._add(world, name, {"bytes": self.limit_bytes})

    def mark(self) -> Mark:
        # Exchanges that fit into what is left of the connection's bytes are answered.
        return Mark(by="ending", endings=frozenset({"closed_early", "reset"}), share=self.toxicity, share_known=False)

    def describe(self) -> str:
        return f"connections of {self.link} close after {self.limit_bytes} B"
