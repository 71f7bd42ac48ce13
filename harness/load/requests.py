"""
What is sent: a profile and a seed turned into an endless stream of concrete requests.

The n-th request of a seed is always the same one, whoever sends it and when.
Nothing here sends.
"""

from __future__ import annotations

import json
import random
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from harness.errors import InputError
from harness.system.model import Profile, RequestTemplate

EARLIER = 20  # how many texts of a unique name are remembered
_NAME = re.compile(r"\{([A-Za-z_][\w-]*)\}")
_NOT_IN_A_HEADER = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_NOT_IN_A_TARGET = re.compile(r"[^\x21-\x7e]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, ready to be sent to the base address of the service `to`."""

    name: str  # POST /orders
    to: str
    method: str
    target: str  # path and query, percent-encoded
    headers: tuple[tuple[str, str], ...]
    body: bytes
    key: str | None  # business key of the effect it asks for
    trace: str  # W3C trace id, 32 hex digits; also in the header traceparent
    ok: tuple[int, ...]  # good statuses; empty: every one below 400


def requests_of(profile: Profile, seed: int) -> Iterator[Request]:
    """The profile's requests without end, mixed by weight. Raises InputError when a template cannot be filled."""
    if not profile.requests or sum(r.weight for r in profile.requests) <= 0:
        raise InputError(f"profile {profile.name!r} has no request with a weight above 0")
    for template in profile.requests:
        _check_names(template, profile)
    mix = random.Random(f"{seed}/mix")
    draws = _Draws(profile, seed)
    traces = random.Random(f"{seed}/traces")
    weights = [r.weight for r in profile.requests]
    while True:
        template = mix.choices(profile.requests, weights)[0]
        yield _fill(template, draws, traces)


class _Draws:
    """Draws the values of one profile's data, in the order they are asked for."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self._profile = profile
        self._seed = seed
        self._random = random.Random(f"{seed}/data")
        self._unique = 0
        self._given: dict[str, deque[str]] = {}  # the last texts of each unique name

    def draw(self, name: str) -> Any:
        """The next value of `name`: an integer, one of the choices as it was written, or a text never given before."""
        kind, of = next(iter(self._profile.data[name].items()))
        if kind == "integer":
            return self._random.randint(int(of[0]), int(of[1]))
        if kind == "choice":
            return self._random.choice(of)
        if kind == "unique":
            self._unique += 1
            text = f"{of}-{self._seed}-{self._unique}"
            self._given.setdefault(name, deque(maxlen=EARLIER)).append(text)
            return text
        if kind == "earlier":
            given = self._given.get(of)
            return self._random.choice(given) if given else f"none-of-{of}-yet"
        raise InputError(
            f"profile {self._profile.name!r}: data {name!r} is of the unknown kind {kind!r}",
            hint="write one of integer: [low, high], choice: [...], unique: prefix, earlier: name",
        )


def _fill(template: RequestTemplate, draws: _Draws, traces: random.Random) -> Request:
    drawn: dict[str, Any] = {}

    def value(name: str) -> Any:
        if name not in drawn:
            drawn[name] = draws.draw(name)
        return drawn[name]

    headers = {name: _text(text, value) for name, text in template.headers.items()}
    body = b""
    if template.json is not None:
        body = json.dumps(_filled(template.json, value), separators=(",", ":")).encode()
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
    trace = f"{traces.getrandbits(128) or 1:032x}"
    headers = {name: text for name, text in headers.items() if name.lower() != "traceparent"}
    headers["traceparent"] = f"00-{trace}-{traces.getrandbits(64) or 1:016x}-01"
    return Request(
        name=template.name,
        to=template.to,
        method=template.method,
        target=_target(template, value),
        headers=tuple((name, _header(template, name, text)) for name, text in headers.items()),
        body=body,
        key=None if template.key is None else _text(template.key, value),
        trace=trace,
        ok=template.ok,
    )


def _text(text: str, value: Callable[[str], Any]) -> str:
    return _NAME.sub(lambda found: str(value(found[1])), text)


def _filled(json_value: Any, value: Callable[[str], Any]) -> Any:
    """The same JSON with every {name} filled; a text that is nothing but a {name} takes the value's own type."""
    if isinstance(json_value, str):
        alone = _NAME.fullmatch(json_value)
        return value(alone[1]) if alone else _text(json_value, value)
    if isinstance(json_value, Mapping):
        return {_text(str(key), value): _filled(item, value) for key, item in json_value.items()}
    if isinstance(json_value, list | tuple):
        return [_filled(item, value) for item in json_value]
    return json_value


def _target(template: RequestTemplate, value: Callable[[str], Any]) -> str:
    target = _NAME.sub(lambda found: quote(str(value(found[1])), safe="/"), template.path)
    if not target.startswith("/") or _NOT_IN_A_TARGET.search(target):
        raise InputError(f"request {template.name!r}: path {target!r} must start with / and hold no blanks")
    return target


def _header(template: RequestTemplate, name: str, text: str) -> str:
    if _NOT_IN_A_HEADER.search(text) or _NOT_IN_A_TARGET.search(name) or ":" in name:
        raise InputError(f"request {template.name!r}: {name!r}: {text!r} cannot be an HTTP header")
    return text


def _check_names(template: RequestTemplate, profile: Profile) -> None:
    written = json.dumps([template.path, template.headers, template.json, template.key])
    for name in _NAME.findall(written):
        if name not in profile.data:
            known = ", ".join(profile.data) or "none"
            raise InputError(
                f"request {template.name!r} of profile {profile.name!r} needs {{{name}}}, which is not in its data",
                hint=f"the profile declares: {known}",
            )
