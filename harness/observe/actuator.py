"""
Reads Spring Boot Actuator's Resilience4j endpoints, ours and anybody's: breaker states and events.

The shapes are those recorded from a real Resilience4j 2.4.0 service. The event list is a ring: what was pushed out
between two looks is lost, so only the rare kinds are fetched (`/NAME/TYPE`), and a chain of transitions that does not
join is written down as a gap.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from harness.children import Emit
from harness.clock import NS_PER_S, Clock
from harness.observe.base import Add, Periodic
from harness.observe.http_json import JsonClient, NoAnswer

PERIOD_S = 0.2
UNCHANGED_S = 1.0  # a breaker whose every figure is what it was is asked for its transitions no more often
_TIME = re.compile(r"(?P<date>[^.\[Z+]+)(?:\.(?P<fraction>\d{1,9}))?(?P<zone>Z|[+-]\d\d:\d\d)?")


def creation_time_ns(text: str) -> int:
    """Nanoseconds since the epoch of a Java ZonedDateTime such as `2026-11-22T16:59:17.287794131Z[Etc/UTC]`."""
    found = _TIME.match(text)
    if found is None:
        raise ValueError(f"{text!r} is not a time as Actuator writes it")
    zone = (found["zone"] or "Z").replace("Z", "+00:00")
    seconds = datetime.fromisoformat(found["date"] + zone).timestamp()
    return round(seconds) * NS_PER_S + int((found["fraction"] or "0").ljust(9, "0"))


class ActuatorObserver:
    """Looks at one service every 0.2 s. `sources` adds events of bulkheads and retries to those of breakers."""

    def __init__(
        self, service: str, address: tuple[str, int], path: str, *, add: Add, emit: Emit, clock: Clock,
        wall_offset_ns: int, sources: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self._service = service
        self._path = path.rstrip("/")
        self._client = JsonClient(*address)
        self._add, self._emit, self._clock = add, emit, clock
        self._wall_offset_ns = wall_offset_ns  # epoch minus monotonic
        self._sources = sources
        self._seen: dict[tuple[str, str], set[str]] = {}
        self._last_state: dict[str, str] = {}
        self._asked: dict[str, tuple[int, Any]] = {}  # breaker -> when, and its figures then
        self._stopping = False
        self._periodic = Periodic(f"actuator {service}", PERIOD_S, self._look, clock)

    def start(self) -> None:
        self._periodic.start()

    def stop(self) -> None:
        self._stopping = True  # the last look leaves nothing out
        self._periodic.stop()
        self._client.close()

    def forget(self) -> None:
        """The service was started anew: its breakers begin CLOSED and its rings empty."""
        self._last_state.clear()

    def _look(self) -> None:
        try:
            breakers = self._client.get(f"{self._path}/circuitbreakers")["circuitBreakers"]
            for name in breakers:
                if self._due(name, breakers[name]):
                    self._events("circuitbreaker", name, "STATE_TRANSITION")
                    self._asked[name] = (self._clock.now_ns(), breakers[name])
            if "bulkhead" in self._sources:
                for name in self._client.get(f"{self._path}/bulkheads")["bulkheads"]:
                    self._events("bulkhead", name, "CALL_REJECTED")
        except (NoAnswer, KeyError, TypeError) as error:
            self._probe(0, {"error": str(error)})
            return
        self._probe(
            1,
            {
                "breakers": self._states(breakers),
                "not_permitted": self._refused(breakers),
                "failure_rates": self._rates(breakers),
            },
        )

    def _due(self, breaker: str, figures: Any) -> bool:
        """
        Whether to ask for a breaker's transitions: its figures moved, or it was long ago. A transition that came back to
        the very same figures is still in the ring by then, with the service's own stamp; half of all questions are saved.
        """
        if self._stopping or breaker not in self._asked:
            return True
        asked_ns, before = self._asked[breaker]
        return bool(figures != before) or self._clock.now_ns() - asked_ns >= UNCHANGED_S * NS_PER_S

    def _states(self, breakers: Any) -> dict[str, str]:
        return {name: str(b.get("state")) for name, b in breakers.items()} if isinstance(breakers, Mapping) else {}

    def _refused(self, breakers: Any) -> dict[str, int]:
        if not isinstance(breakers, Mapping):
            return {}
        return {name: int(b.get("notPermittedCalls") or 0) for name, b in breakers.items()}

    def _rates(self, breakers: Any) -> dict[str, str]:
        """Failure rates as the service writes them: `50.0%`, `-1.0%` for none. An open breaker shows the rate it opened at."""
        if not isinstance(breakers, Mapping):
            return {}
        return {name: str(b["failureRate"]) for name, b in breakers.items() if b.get("failureRate") is not None}

    def _probe(self, ok: int, data: dict[str, Any]) -> None:
        self._add("probes", (self._clock.now_ns(), "actuator", self._service, ok, json.dumps(data)))

    def _events(self, source: str, name: str, kind: str) -> None:
        answer = self._client.get(f"{self._path}/{source}events/{name}/{kind}")
        seen_ns = self._clock.now_ns()
        seen = self._seen.setdefault((source, name), set())
        for event in answer[{"circuitbreaker": "circuitBreakerEvents"}.get(source, f"{source}Events")]:
            identity = json.dumps(event, sort_keys=True)
            if identity in seen:
                continue
            seen.add(identity)
            transition = event.get("stateTransition")
            if source == "circuitbreaker" and transition:
                self._chain(name, str(transition))
            self._add(
                "app_events",
                (self._stamp(event, seen_ns), seen_ns, self._service, source, name, kind, json.dumps(event)),
            )

    def _stamp(self, event: Mapping[str, Any], seen_ns: int) -> int:
        own = event.get("monotonicTimeNs")
        if isinstance(own, int):
            return own
        try:
            return creation_time_ns(str(event.get("creationTime"))) - self._wall_offset_ns
        except ValueError:
            return seen_ns

    def _chain(self, name: str, transition: str) -> None:
        before, _, after = transition.partition("_TO_")
        expected = self._last_state.get(name)
        if expected is not None and expected != before:
            self._emit(
                "observer.gap",
                f"actuator/{self._service}",
                {"ring_lapped": True, "breaker": name, "expected_from": expected, "got": transition},
            )
        self._last_state[name] = after
