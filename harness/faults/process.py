"""What the faults of a service's process have in common: the service, and what shows that they happened."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from harness.faults.base import Fault, Mark


class ProcessFault(Fault):
    """Base of what is done to the process of a service."""

    family: ClassVar[str] = "process"
    acts_on: ClassVar[Literal["link", "service"]] = "service"

    service: str = Field(description="the service whose process it acts on", min_length=1)

    def mark(self) -> Mark:
        return Mark(by="process")
