"""
The gate's own faults: which requests they hit, and what is done to those.

    {"kind": "status" | "delay" | "abort",
     "status": 503, "body": "...", "headers": {"retry-after": "1"},      status only
     "delay_ms": 250,                                                    delay only
     "methods": ["POST"], "path": "/payments*", "trace": ["<32 hex>"],   matchers; absent: every request
     "first": 3 | "every": 5 | "share": 0.2, "seed": 7,                  which of those that match; absent: all
     "expires_ns": 123}                                                  inert from this monotonic instant on

`path` is a shell pattern on the target without its query; `*` crosses slashes. Matching requests are counted in the
order in which their heads were complete at the gate, over all connections of the link.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import translate
from typing import Any

from harness.errors import HarnessError

KINDS = ("status", "delay", "abort")
LONGEST_DELAY_MS = 7 * 24 * 3600 * 1000
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})


class FaultSpecError(HarnessError):
    """A fault spec that the gate cannot carry out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """One fault as it was asked for. Raises FaultSpecError when it makes no sense."""

    kind: str
    status: int = 0
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_ms: float = 0
    methods: tuple[str, ...] = ()
    path: str = ""
    trace: tuple[str, ...] = ()
    first: int | None = None
    every: int | None = None
    share: float | None = None
    seed: int = 0
    expires_ns: int | None = None

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> FaultSpec:
        """Read a spec as it comes over the wire. Keys that are null count as absent."""
        given = {key: value for key, value in spec.items() if value is not None}
        unknown = set(given) - {f.name for f in fields(cls)}
        if unknown:
            raise FaultSpecError(f"unknown key {min(unknown)!r} in a gate fault", hint=f"known: {_known(cls)}")
        if "kind" not in given:
            raise FaultSpecError("a gate fault without a kind", hint=f"kinds: {', '.join(KINDS)}")
        for key in ("methods", "trace"):
            if key in given:
                given[key] = _words(key, given[key])
        return cls(**given)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FaultSpecError(f"gate fault of kind {self.kind!r}", hint=f"kinds: {', '.join(KINDS)}")
        _check_types(self)
        if self.kind == "status" and not 200 <= self.status <= 599:
            raise FaultSpecError(f"status is {self.status}, must lie between 200 and 599")
        if self.kind == "delay" and not 0 < self.delay_ms <= LONGEST_DELAY_MS:
            raise FaultSpecError(f"delay_ms is {self.delay_ms}, must be above 0 and at most {LONGEST_DELAY_MS}")
        chosen = [name for name in ("first", "every", "share") if getattr(self, name) is not None]
        if len(chosen) > 1:
            raise FaultSpecError(f"a gate fault with {' and '.join(chosen)}; name one of them")
        if (self.first is not None and self.first < 1) or (self.every is not None and self.every < 1):
            raise FaultSpecError(f"{chosen[0]} is {getattr(self, chosen[0])}, must be at least 1")
        if self.share is not None and not 0 <= self.share <= 1:
            raise FaultSpecError(f"share is {self.share}, must lie between 0 and 1")

    def same_but_for_expiry(self, other: FaultSpec) -> bool:
        """True when other only lasts longer or shorter: a lease renewed, not another fault."""
        return replace(self, expires_ns=None) == replace(other, expires_ns=None)


class GateFault:
    """A fault that is on: counts what matched and what it hit, and draws from its own seed."""

    __slots__ = ("_methods", "_path", "_random", "_trace", "hits", "matched", "name", "spec")

    def __init__(self, name: str, spec: FaultSpec) -> None:
        self.name = name
        self.spec = spec
        self.matched = 0
        self.hits = 0
        self._random = random.Random(spec.seed)
        self._methods = frozenset(method.upper() for method in spec.methods)
        self._path = re.compile(translate(spec.path)) if spec.path else None
        self._trace = frozenset(trace.lower() for trace in spec.trace)

    def expired(self, now_ns: int) -> bool:
        """True once the lease has run out."""
        return self.spec.expires_ns is not None and now_ns >= self.spec.expires_ns

    def hit(self, method: str, path: str, trace: str | None, now_ns: int) -> bool:
        """Decide one request. Every matching request counts and draws, hit or not, so picks repeat with the seed."""
        if self.expired(now_ns) or not self._matches(method, path, trace):
            return False
        self.matched += 1
        hit = self._chosen()
        self.hits += hit
        return hit

    def _matches(self, method: str, path: str, trace: str | None) -> bool:
        if self._methods and method not in self._methods:
            return False
        if self._path is not None and not self._path.match(path.partition("?")[0]):
            return False
        return not self._trace or trace in self._trace

    def _chosen(self) -> bool:
        spec = self.spec
        if spec.first is not None:
            return self.matched <= spec.first
        if spec.every is not None:
            return self.matched % spec.every == 0
        if spec.share is not None:
            return self._random.random() < spec.share
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens to one request: hold it delay_ms, then pass it on, answer it (status) or cut it (abort)."""

    delay_ms: float = 0
    ends: FaultSpec | None = None  # the status or abort that keeps it from the upstream
    names: tuple[str, ...] = ()


PASS = Decision()


class LinkFaults:
    """All faults that are on for one link, in the order in which they were switched on."""

    def __init__(self) -> None:
        self._on: dict[str, GateFault] = {}

    def __bool__(self) -> bool:
        return bool(self._on)

    def __iter__(self) -> Any:
        return iter(self._on.values())

    def switch_on(self, name: str, spec: FaultSpec) -> GateFault:
        """Switch on; the same name with the same spec only moves its expiry, with another spec replaces it."""
        present = self._on.get(name)
        if present is not None and present.spec.same_but_for_expiry(spec):
            present.spec = spec
            return present
        self._on[name] = GateFault(name, spec)
        return self._on[name]

    def switch_off(self, name: str) -> GateFault | None:
        """Switch off; None when it was not on."""
        return self._on.pop(name, None)

    def decide(self, method: str, path: str, trace: str | None, now_ns: int) -> Decision:
        """All delays that hit add up; of status and abort the first that hits wins and later ones do not count it."""
        delay_ms = 0.0
        ends: FaultSpec | None = None
        names = []
        for fault in self._on.values():
            is_delay = fault.spec.kind == "delay"
            if (ends is not None and not is_delay) or not fault.hit(method, path, trace, now_ns):
                continue
            names.append(fault.name)
            if is_delay:
                delay_ms += _until_expiry_ms(fault.spec, now_ns)
            else:
                ends = fault.spec
        return Decision(delay_ms=delay_ms, ends=ends, names=tuple(names)) if names else PASS


def _until_expiry_ms(spec: FaultSpec, now_ns: int) -> float:
    """A request is never held beyond the lease of the fault that holds it."""
    if spec.expires_ns is None:
        return spec.delay_ms
    return min(spec.delay_ms, (spec.expires_ns - now_ns) / 1e6)


def _check_types(spec: FaultSpec) -> None:
    for name in ("status", "first", "every", "seed", "expires_ns"):
        value = getattr(spec, name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise FaultSpecError(f"{name} is {value!r}, must be a whole number")
    for name in ("delay_ms", "share"):
        value = getattr(spec, name)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise FaultSpecError(f"{name} is {value!r}, must be a number")
    for name in ("body", "path"):
        if not isinstance(getattr(spec, name), str):
            raise FaultSpecError(f"{name} is {getattr(spec, name)!r}, must be a text")
    if not isinstance(spec.headers, Mapping):
        raise FaultSpecError(f"headers are {spec.headers!r}, must be names with values")
    for header, value in spec.headers.items():
        _check_header(header, value)


def _check_header(name: object, value: object) -> None:
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise FaultSpecError(f"{name!r} is no name of a header")
    if name.lower() in _FRAMING_HEADERS:
        raise FaultSpecError(f"header {name!r} is set by the gate itself")
    if not isinstance(value, str) or "\r" in value or "\n" in value or not value.isascii():
        raise FaultSpecError(f"header {name}: {value!r} must be one line of ASCII text")


def _words(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise FaultSpecError(f"{key} is {value!r}, must be a list of texts")
    return tuple(value)


def _known(cls: type[FaultSpec]) -> str:
    return ", ".join(f.name for f in fields(cls))
