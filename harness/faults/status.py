"""The gate answers with a status of its own; the upstream does not see the request."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from harness.faults.base import Mark, World
from harness.faults.http import HttpFault


def _one_line(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise ValueError(f"{name!r} is not the name of a header")
        if re.search(r"[\r\n\0]", text):
            raise ValueError(f"header {name} is {text!r}, must be a single line")
    return value


class Status(HttpFault):
    """Answer in the upstream's place."""

    kind = "status"
    summary = "answer requests with an HTTP status in the upstream's place"
    example = "fault: {http: status, link: order->payment, status: 503, methods: [POST], path: /payments*, first: 3}"

    http: Literal["status"] = Field("status", description="the kind of HTTP fault")
    status: int = Field(ge=200, le=599, description="the status to answer with")
    body: str = Field("", description="the body of the answer")
    headers: Annotated[dict[str, str], AfterValidator(_one_line)] = Field(
        default_factory=dict, description="headers of the answer, such as Retry-After"
    )

    def inject(self, world: World, name: str) -> None:
        self._switch_on(world, name, {"status": self.status, "body": self.body, "headers": dict(self.headers)})

    def mark(self) -> Mark:
        return Mark(
            by="status",
            statuses=frozenset({self.status}),
            share=self._share(),
            counted=self.first,
            methods=frozenset(self.methods),
            path=self.path,
        )

    def describe(self) -> str:
        return f"status {self.status} for {self._which()}"
