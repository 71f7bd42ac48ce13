"""
What the load child is told: one JSON file, written by the runner, read by the child.

Secrets stay out of the file: where it would hold some it says so, and the runner sends the whole down the pipe.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from harness.load.schedule import Pattern, Piece
from harness.system.model import Profile, RequestTemplate

FOLLOWS = "whole_follows"  # in the file: it is masked, and the whole comes as one line of standard input

Model = Literal["open", "closed", "file"]


def read_config(path: Path) -> LoadConfig:
    """The configuration in the file, or the whole of it from standard input, of which nothing else is read."""
    told = json.loads(path.read_text("utf-8"))
    if FOLLOWS in told:
        with open(0, "rb", buffering=0, closefd=False) as standard_input:
            told = json.loads(standard_input.readline())
    return LoadConfig.from_json(told)


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
