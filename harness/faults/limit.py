"""A service gets less of the machine: a share of a processor, or so much memory and no more."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from harness.faults.base import Fault, Mark, World
from harness.words import Bytes


class Limit(Fault):
    """
    Hold the service to so much processor, memory or both, while it runs on: half a core is `cpus: 0.5`. Needs services
    that run in containers. What needs more memory than it is given is ended by the kernel.
    """

    family: ClassVar[str] = "resources"
    kind = "limit"
    summary = "give a service less processor or memory, in containers; healing gives back what it had"
    example = "fault: {resources: limit, service: order, cpus: 0.5}"
    acts_on: ClassVar[Literal["link", "service"]] = "service"

    resources: Literal["limit"] = Field("limit", description="what is done to what the service may use")
    service: str = Field(description="the service that gets less", min_length=1)
    cpus: float | None = Field(None, ge=0.01, le=512, description="processors it may use, together: 0.5 is half of one")
    memory_bytes: Bytes | None = Field(None, alias="memory", ge=6_000_000, description="memory it may use: 64MB")

    @model_validator(mode="after")
    def _something(self) -> Limit:
        if self.cpus is None and self.memory_bytes is None:
            raise ValueError("write what it may use: cpus: 0.5, memory: 64MB, or both")
        return self

    def inject(self, world: World, name: str) -> None:  # noqa: ARG002  # a service is named by itself
        world.limit(self.service, self.cpus, self.memory_bytes)

    def heal(self, world: World, name: str) -> None:  # noqa: ARG002
        world.unlimit(self.service)

    def mark(self) -> Mark:
        return Mark(by="limit")

    def describe(self) -> str:
        parts = [] if self.cpus is None else [f"{self.cpus:g} processors"]
        parts += [] if self.memory_bytes is None else [f"{self.memory_bytes / 1e6:g} MB of memory"]
        return f"{self.service} may use {' and '.join(parts)}"
