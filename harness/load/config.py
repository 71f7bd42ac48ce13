"""
What the load child is told: one JSON file, written by the runner, read by the child.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from harness.load.schedule import Pattern, Piece
from harness.system.model import Profile, RequestTemplate

Model = Literal["open", "closed", "file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadConfig:
    """Everything the load child needs. Paths are absolute; bases are addresses such as http://127.77.2.1:18082."""

    spool: str
    model: Model
    seed: int
    timeout_s: float
    bases: Mapping[str, str]  # service -> where its entry link listens
    profile: Profile | None = None
    segments: tuple[Piece, ...] = ()
    pattern: Pattern = "even"
    duration_s: float | None = None  # None: until it is told to stop
    users: int | None = None
    think_s: float = 0.0
    max_in_flight: int = 1000
    locustfile: str | None = None
    host: str | None = None  # where a person's own file sends to

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LoadConfig:
        values = dict(data)
        values["segments"] = tuple(Piece(**piece) for piece in values.get("segments") or ())
        if values.get("profile") is not None:
            values["profile"] = _profile(values["profile"])
        return cls(**values)


def _profile(data: Mapping[str, Any]) -> Profile:
    requests = tuple(
        RequestTemplate(**{**request, "ok": tuple(request.get("ok") or ())}) for request in data["requests"]
    )
    return Profile(name=data["name"], requests=requests, data=data["data"])
