"""What an operator does with one HTTP request to a service, such as switching a flag; another request takes it back."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from harness.faults.base import Fault, Mark, World


class Request(Fault):
    """
    Send a JSON body to the service itself, past its links, and another one to take it back. Each has to be answered
    with a status of 200 to 299.
    """

    family: ClassVar[str] = "operator"
    kind = "request"
    summary = "send a request to a service as its operator would: a flag, a breaker, a switch; healing sends another"
    example = (
        "fault: {operator: request, service: order, method: POST, path: /actuator/degradation/recommendation,"
        " json: {level: 1}, undo: {level: 0}}"
    )
    acts_on: ClassVar[Literal["link", "service"]] = "service"

    operator: Literal["request"] = Field("request", description="what the operator does")
    service: str = Field(description="the service that is asked", min_length=1)
    method: Literal["POST", "PUT", "PATCH"] = Field("POST", description="the request's method")
    path: str = Field(description="the request's path", pattern=r"^/[!-~]*$")
    body: dict[str, Any] = Field(alias="json", description="body that does it, sent as JSON")
    undo: dict[str, Any] = Field(description="body that takes it back, sent with the same method to the same path")

    def inject(self, world: World, name: str) -> None:  # noqa: ARG002  # the service knows nothing of our names
        world.request(self.service, self.method, self.path, self.body)

    def heal(self, world: World, name: str) -> None:  # noqa: ARG002
        world.request(self.service, self.method, self.path, self.undo)

    def mark(self) -> Mark:
        return Mark(by="answer")

    def describe(self) -> str:
        return f"{self.method} {self.path} to {self.service}"
