"""The slicer toxic: data arrives in small pieces, with a pause between them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from harness.faults.base import Mark, World
from harness.faults.toxic import Toxic
from harness.words import Bytes, Microseconds


class Slicer(Toxic):
    """Cut data into pieces of about average_size, delay apart (Toxiproxy's `slicer`; its delay counts microseconds)."""

    kind = "slicer"
    summary = "cut what crosses a link into small pieces with pauses between"
    example = "fault: {toxic: slicer, link: order->payment, average_size: 64B, size_variation: 32B, delay: 5ms}"

    toxic: Literal["slicer"] = Field("slicer", description="the kind of toxic")
    average_bytes: Bytes = Field(alias="average_size", description="size of a piece on average", gt=0)
    variation_bytes: Bytes = Field(0, alias="size_variation", description="give or take around it", ge=0)
    delay_us: Microseconds = Field(0, alias="delay", description="pause after each piece", ge=0)

    @model_validator(mode="after")
    def _pieces_have_a_size(self) -> Slicer:
        if self.variation_bytes >= self.average_bytes:
            raise ValueError(
                f"size_variation is {self.variation_bytes}B, must be below average_size, {self.average_bytes}B"
            )
        return self

    def inject(self, world: World, name: str) -> None:
        self._add(
            world,
            name,
            {"average_size": self.average_bytes, "size_variation": self.variation_bytes, "delay": self.delay_us},
        )

    def mark(self) -> Mark:
        # Answers shorter than a piece pass untouched; longer ones are delayed by their own number of pieces.
        return Mark(by="delay", share=self.toxicity, share_known=False)

    def describe(self) -> str:
        return f"{self.link} cut into pieces of {self.average_bytes} B, {self.delay_us} us apart"
