"""What the gate's own faults have in common: which requests of a link they hit, and how many of them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from harness.faults.base import Fault, World
from harness.units import show_share
from harness.words import Link, Share


def _methods(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Method = Annotated[str, Field(pattern=r"^[A-Z]{3,10}$", examples=["POST"])]


class HttpFault(Fault):
    """Base of the faults done to single HTTP requests as they pass the gate."""

    family: ClassVar[str] = "http"
    acts_on: ClassVar[Literal["link", "service"]] = "link"

    link: Link = Field(description="the link it acts on, client->upstream")
    methods: Annotated[tuple[Method, ...], BeforeValidator(_methods)] = Field(
        (), description="only requests with these methods; absent: all"
    )
    path: str | None = Field(
        None, pattern=r"^[/*]", description="only paths that match this pattern: /payments*; absent: all"
    )
    first: int | None = Field(None, ge=1, description="hit the first so many matching requests, then no more")
    every: int | None = Field(None, ge=1, description="hit each so-many-th matching request")
    share: Share | None = Field(None, description="hit this share, drawn for each REQUEST from the scenario's seed")

    @model_validator(mode="after")
    def _one_way_to_count(self) -> HttpFault:
        given = [name for name in ("first", "every", "share") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other; write one of first, every, share")
        return self

    def _share(self) -> float:
        """The share of matching requests it is meant to hit."""
        return 1 / self.every if self.every else 1.0 if self.share is None else self.share

    def _switch_on(self, world: World, name: str, what: dict[str, Any]) -> None:
        """The spec as the gate reads it; the seed and the expiry are the conductor's to add."""
        spec = {"kind": self.kind, **what, "methods": list(self.methods), "path": self.path}
        spec |= {"first": self.first, "every": self.every, "share": self.share}
        world.add_gate_fault(self.link, name, {key: value for key, value in spec.items() if value not in (None, [])})

    def heal(self, world: World, name: str) -> None:
        world.remove_gate_fault(self.link, name)

    def _which(self) -> str:
        """`the first 3 POST /payments* on order->payment`, for people."""
        count = "every request"
        if self.first:
            count = f"the first {self.first} requests"
        elif self.every:
            count = f"one request in {self.every}"
        elif self.share is not None:
            count = f"{show_share(self.share)} of the requests"
        route = " ".join([*(["/".join(self.methods)] if self.methods else []), *([self.path] if self.path else [])])
        return f"{count} {f'({route}) ' if route else ''}on {self.link}"
