"""
Who leads: what was seen of the nodes, what follows from it, and in which order it is done.

A failover goes so that no acknowledged write is lost to haste: the switch lets nobody through, the old primary is ended
(fencing), the replica that received most is chosen, the others are told to follow it, it is promoted, the switch turns
to it. FENCING, CHOICE, MISSES and DEADLINE are where a defect can be planted, to see whether anybody notices.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from services.postgres.http_json import NoAnswer
from services.postgres.reach import ASK_LIMIT_S, Reach
from services.postgres.settings import SupervisorSettings

RESTART_S = 2.0  # a primary that asked to start again on its own data has this long until it is missed
PROMOTE_LIMIT_S = 5.0
DEMOTE_LIMIT_S = 3.0
CAUGHT_UP_LIMIT_S = 1.0
TIDY_S = 0.5
MOST_EVENTS = 500


@dataclass(slots=True)
class Seen:
    """The last answer of a node, and how often in a row there was none that will do."""

    state: dict[str, Any] = field(default_factory=dict)
    misses: int = 0
    answered_s: float | None = None


class Supervisor:
    """
    Decisions, one `step` at a time; what was seen is handed in by `saw` and `missed`. now_s is monotonic seconds.
    """

    def __init__(self, settings: SupervisorSettings, reach: Reach, now_s: Callable[[], float] = time.monotonic) -> None:
        self.settings, self._reach, self._now_s = settings, reach, now_s
        self.primary = settings.primary
        self.term = 1
        self.settled = False  # whether the primary was ever seen at work
        self.busy = False
        self.seen = {name: Seen() for name in settings.nodes}
        self.events: list[dict[str, Any]] = []
        self._lock = threading.RLock()
        self._grace_until_s = 0.0
        self._stuck = False  # the primary is gone and nobody can take over
        self._told: str | None = None
        self._relaxed_names: str | None = None
        self._alone_since_s: float | None = None
        self._tidied_s = 0.0

    # -- what is seen ------------------------------------------------------------------------

    def saw(self, node: str, state: dict[str, Any]) -> None:
        """An answer of a node. One that is old, for its server is frozen, is as good as none."""
        old_s = (int(state.get("asked_ns") or 0) - int(state.get("at_ns") or 0)) / 1e9
        seen = self.seen[node]
        seen.state, seen.answered_s = state, self._now_s()
        if node != self.primary or (state.get("writable") and old_s <= self.settings.deadline_s):
            seen.misses = 0
            self.settled = self.settled or node == self.primary
        else:
            self.missed(node)

    def missed(self, node: str) -> None:
        """No answer in time."""
        if self._now_s() >= self._grace_until_s or node != self.primary:
            self.seen[node].misses += 1

    # -- decisions ---------------------------------------------------------------------------

    def step(self) -> None:
        """One look at what was seen, and what follows from it."""
        with self._lock:
            if not self.settled:
                return
            if self.seen[self.primary].misses >= self.settings.misses:
                self._fail_over()
            elif self._told != self.primary:
                self._turn(self.primary)
            if self._now_s() - self._tidied_s >= TIDY_S:
                self._tidied_s = self._now_s()
                self._tidy()
            self._look_after_commits()

    def role(self, node: str) -> dict[str, Any] | None:
        """What a node is to be; None while that is being settled. A primary that asks may start again as it was."""
        if not self._lock.acquire(timeout=0.5):
            return None
        try:
            if node == self.primary and self.settled:
                if self._stuck:
                    self._event("failover.given_up", node=node)
                    self._stuck = self.busy = False
                    self.seen[node].misses = 0
                elif self.seen[node].misses >= self.settings.misses:
                    return None
                self._grace_until_s = self._now_s() + RESTART_S
            healthy = self.settled and self.seen[self.primary].misses == 0
            return {"primary": self.primary, "settled": self.settled, "parted": healthy, "term": self.term}
        finally:
            self._lock.release()

    def _fail_over(self) -> None:
        """Make another node the primary. When none can be, the next step tries again."""
        old, started_s = self.primary, self._now_s()
        if not self.busy:
            self.busy = True
            self._event("failover.detected", node=old, misses=self.seen[old].misses)
            self._turn(None)
            if self.settings.fencing:
                self._fence(old)
        candidates = self._candidates(old)
        self._stuck = not candidates
        if not candidates:
            if self.seen[old].state.get("writable") and self.seen[old].misses == 0:
                self.busy = False
            return
        best = choose(candidates, self.settings.choice)
        self._event("failover.chosen", node=best, positions=candidates)
        if self._promote(best, [node for node in self.settings.nodes if node not in (best, old)]):
            self._event("failover.done", node=best, took_s=round(self._now_s() - started_s, 3))

    def switch_over(self, candidate: str) -> str | None:
        """Planned: let another node be the primary. None when it is; else why it is not."""
        with self._lock:
            old = self.primary
            if candidate == old:
                return None
            if self.busy or not self.settled:
                return "a failover is under way, or the cluster has not settled yet"
            if candidate not in self._candidates(old):
                return f"{candidate!r} is no replica that could take over"
            self._event("switchover.started", node=candidate)
            self._turn(None)
            try:
                answer = self._reach.node(old, "POST", "/demote", limit_s=DEMOTE_LIMIT_S)
                if self.settings.catch_up:
                    self._caught_up(candidate, int(answer.get("position") or 0))
            except NoAnswer as problem:
                self._event("switchover.given_up", node=old, problem=str(problem))
                self._turn(old)
                self._grace_until_s = self._now_s() + RESTART_S  # it asks again what to be, and is told: the primary
                return f"{old} could not hand over to {candidate}: {problem}"
            others = [node for node in self.settings.nodes if node not in (candidate, old)]
            if not self._promote(candidate, others):
                return f"{candidate} could not be promoted"
            self._event("switchover.done", node=candidate)
            return None

    def _caught_up(self, candidate: str, position: int) -> None:
        """Wait until a candidate has received everything up to a position. Raises NoAnswer when it does not in time."""
        ends_s = self._now_s() + CAUGHT_UP_LIMIT_S
        while True:
            found = (self._state(candidate) or {}).get("position")
            if found is not None and int(found) >= position:
                return
            if self._now_s() >= ends_s:
                raise NoAnswer(f"it has received up to {found}, {position} was written")
            time.sleep(0.02)

    def _promote(self, best: str, others: list[str]) -> bool:
        try:
            if self.settings.synchronous:
                self._reach.node(best, "POST", "/synchronous", {"names": self._names(best)}, limit_s=ASK_LIMIT_S)
            for other in others:
                self._follow(other, best)
            answer = self._reach.node(best, "POST", "/promote", limit_s=PROMOTE_LIMIT_S)
        except NoAnswer as problem:
            self._event("promotion.failed", node=best, problem=str(problem))
            return False
        self.seen[self.primary].state = {}  # what it said while it led is no reason to end it now
        self.primary, self.busy = best, False
        self.term += 1
        self.seen[best].misses = 0
        self._relaxed_names = None
        self._event("promoted", node=best, **{key: answer.get(key) for key in ("took_s", "timeline")})
        self._turn(best)
        return True

    def _fence(self, node: str) -> None:
        hit = self._reach.kill(self.seen[node].state)
        how = "by pid"
        if not hit:
            how = "asked"
            try:
                hit = int(self._reach.node(node, "POST", "/fence", limit_s=0.3).get("ended") or 0)
            except NoAnswer:
                how = "by the switch alone"
        self._event("fenced", node=node, how=how, processes=hit)

    def _candidates(self, old: str) -> dict[str, int]:
        """Replicas that answer now, with how far each has received."""
        others = [node for node in self.settings.nodes if node != old]
        found: dict[str, int] = {}
        with ThreadPoolExecutor(max_workers=max(1, len(others))) as pool:
            for node, state in zip(others, pool.map(self._state, others), strict=True):
                full = bool(state and state.get("disk_full"))
                if state and state.get("role") == "replica" and state.get("position") is not None and not full:
                    found[node] = int(state["position"])
        return found

    def _state(self, node: str) -> dict[str, Any] | None:
        try:
            return self._reach.node(node, "GET", "/replication", limit_s=self.settings.deadline_s)
        except NoAnswer:
            return None

    def _follow(self, node: str, leader: str) -> None:
        try:
            self._reach.node(node, "POST", "/follow", {"primary": leader}, limit_s=ASK_LIMIT_S)
        except NoAnswer as problem:
            self._event("follow.failed", node=node, problem=str(problem))

    def _turn(self, target: str | None) -> None:
        try:
            self._reach.switch(target, cut=self.settings.fencing)
            self._told = target
        except NoAnswer as problem:
            self._told = None
            self._event("switch.failed", node=target, problem=str(problem))

    # -- keeping order -----------------------------------------------------------------------

    def _tidy(self) -> None:
        """Whoever follows somebody else is told anew; whoever writes and is not the primary is ended."""
        for node, seen in self.seen.items():
            if node == self.primary or seen.misses or self.busy or not seen.state:
                continue
            if seen.state.get("writable") and self.settings.fencing:
                self._fence(node)
                seen.state = {}
            elif seen.state.get("role") == "replica" and seen.state.get("leader") != self.primary:
                self._follow(node, self.primary)

    def _look_after_commits(self) -> None:
        """Synchronous commits begin once a replica streams, and end for a while when none does for too long."""
        state = self.seen[self.primary].state
        if not self.settings.synchronous or self.busy or not state.get("writable"):
            return
        streaming = [one for one in state.get("replicas", ()) if one.get("state") == "streaming"]
        wanted = self._names(self.primary)
        if streaming:
            self._alone_since_s = None
        elif self._alone_since_s is None:
            self._alone_since_s = self._now_s()
        relax_s = self.settings.relax_after_s
        alone_s = 0.0 if self._alone_since_s is None else self._now_s() - self._alone_since_s
        now = state.get("synchronous")
        if streaming and now != wanted:
            self._set_names(wanted, "synchronous.on")
        elif relax_s is not None and alone_s >= relax_s and now == wanted:
            self._set_names("", "synchronous.relaxed")

    def _set_names(self, names: str, event: str) -> None:
        try:
            self._reach.node(self.primary, "POST", "/synchronous", {"names": names}, limit_s=ASK_LIMIT_S + 0.5)
            self.seen[self.primary].state["synchronous"] = names
            self._event(event, node=self.primary)
        except NoAnswer as problem:
            self._event("synchronous.failed", node=self.primary, problem=str(problem))

    def _names(self, leader: str) -> str:
        return f"ANY {self.settings.wait_for} ({', '.join(node for node in self.settings.nodes if node != leader)})"

    def missing(self) -> list[str]:
        """What does not take part yet: nodes, synchronous commits, the switch."""
        found = [node for node, seen in self.seen.items() if not takes_part(node, self.primary, seen.state)]
        state = self.seen[self.primary].state
        if self.settings.synchronous and state.get("synchronous") != self._names(self.primary):
            found.append("synchronous commits")
        if self._told != self.primary:
            found.append("the switch")
        return found

    def _event(self, kind: str, **data: Any) -> None:
        self.events = [*self.events[-MOST_EVENTS:], {"t_ns": time.monotonic_ns(), "kind": kind, **data}]
        print(f"{time.monotonic():.3f} supervisor {kind} {data}", file=sys.stderr, flush=True)


def choose(positions: Mapping[str, int], choice: str) -> str:
    """The replica that received most; `worst` and a name are defects to plant. At a tie the first by name."""
    if choice in positions:
        return choice
    order = sorted(positions, key=lambda node: (-positions[node], node))
    return order[-1] if choice == "worst" else order[0]


def takes_part(node: str, primary: str, state: Mapping[str, Any]) -> bool:
    """Whether a node is what it should be: the primary writable, a replica streaming."""
    return bool(state.get("writable") if node == primary else state.get("streaming"))
