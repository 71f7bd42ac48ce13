"""
What a breaker said of itself: its transitions, the looks at its state, and whether that word can be believed.

The word comes as events from a ring that may be lapped, so it is believed only while the chain of transitions is
unbroken, no look contradicts it, and the observer was never silent for long.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise

from harness.checks.base import Evidence, Window
from harness.clock import NS_PER_MS, NS_PER_S
from harness.receipts.base import FOREVER_NS
from harness.receipts.observer import ACTUATOR
from harness.scenario.promises import Breaker
from harness.units import show_duration
from harness.verdict import Verdict

LEAST_LOOKS = 10
LOOK_NS = NS_PER_S // 4  # a look tells of a moment up to so long before its stamp
LEAST_CONTRADICTIONS = 3  # looks; a single one may have been answered late
AHEAD_NS = 50 * NS_PER_MS  # how far a service's stamp may lie behind the moment at which it was read


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of state, as the service stamped it."""

    t_ns: int
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """All that is known of one breaker."""

    link: str
    transitions: list[Transition]
    looks: list[tuple[int, str, int]]  # instant, state, refused calls in this state
    starts: list[int]  # when its service was started: it begins closed, with no history

    def state_at(self, t_ns: int) -> str | None:
        """The state at an instant; None when nothing tells."""
        past = [(t.t_ns, t.after) for t in self.transitions if t.t_ns < t_ns]
        past += [(start, "closed") for start in self.starts if start < t_ns and past]
        if past:
            return max(past)[1]
        if self.transitions:
            return self.transitions[0].before
        return self.looks[0][1] if self.looks else None


def word_of(promise: Breaker, evidence: Evidence) -> Word:
    """All that the journal holds of it: its events, what its actuator answered, its starts."""
    client, _, name = promise.on.partition("->")
    reader = evidence.reader
    sql = """
        SELECT t_ns, data FROM app_events
        WHERE service = ? AND source = 'circuitbreaker' AND name = ? AND type = 'STATE_TRANSITION' ORDER BY t_ns, id
    """
    transitions = []
    for t_ns, text in reader.rows(sql, (client, name)):
        before, _, after = str(json.loads(text).get("stateTransition") or "").lower().partition("_to_")
        if after:
            transitions.append(Transition(t_ns=t_ns, before=before, after=after))
    looks = []
    sql = "SELECT t_ns, data FROM probes WHERE observer = ? AND subject = ? AND ok ORDER BY t_ns"
    for t_ns, text in reader.rows(sql, (ACTUATOR, client)):
        data = json.loads(text)
        state = (data.get("breakers") or {}).get(name)
        if state:
            looks.append((t_ns, str(state).lower(), int((data.get("not_permitted") or {}).get(name) or 0)))
    starts = [t_ns for t_ns, subject, _ in evidence.record.events_of("service.started") if subject == client]
    return Word(link=promise.on, transitions=transitions, looks=looks, starts=starts)


def doubt_of(promise: Breaker, evidence: Evidence, word: Word, window: Window) -> str | None:
    """Why the breaker's word cannot be believed; None when it can."""
    client, _, name = promise.on.partition("->")
    if not word.looks and not word.transitions:
        return f"{client} never said anything of a breaker {name!r}: is its actuator observed, is the name right?"
    for receipt in evidence.receipts.all:
        if (
            receipt.kind == "observer"
            and receipt.subject == f"{ACTUATOR}/{client}"
            and receipt.verdict is not Verdict.PASS
        ):
            return f"its word cannot be relied on: {receipt.sentence}"
    for first, second in pairwise(word.transitions):
        started = any(first.t_ns < start <= second.t_ns for start in word.starts)
        expected = "closed" if started else first.after
        if second.before != expected:
            at_s = evidence.record.second(second.t_ns)
            return (
                f"transitions were lost: {first.before} > {first.after} is followed by"
                f" {second.before} > {second.after} at {at_s:.2f} s"
            )
    if word.transitions and word.looks and word.looks[-1][0] > word.transitions[-1].t_ns + NS_PER_S // 2:
        told, last = word.looks[-1][1], word.state_at(word.looks[-1][0])
        if told != last:
            return f"transitions were lost: the last one leads to {last}, but the breaker is {told}"
    if not word.transitions and len({state for _, state, _ in word.looks}) > 1:
        return "its state changed, but no transition was read"
    if doubt := _ahead(promise, evidence) or _looks_differ(evidence, word):
        return doubt
    inside = [look for look in word.looks if window.holds(look[0])]
    if promise.stays is not None and not inside:
        return f"nobody looked at the breaker in the window ({window.name})"
    if not word.transitions and len(word.looks) < LEAST_LOOKS:
        return f"it was looked at {len(word.looks)} times only, {LEAST_LOOKS} needed to say that nothing happened"
    return None


def _ahead(promise: Breaker, evidence: Evidence) -> str | None:
    """Transitions that were read before they happened, by the service's own stamp."""
    client, _, name = promise.on.partition("->")
    sql = """
        SELECT max(t_ns - seen_ns) FROM app_events
        WHERE service = ? AND source = 'circuitbreaker' AND name = ? AND type = 'STATE_TRANSITION'
    """
    ahead_ns = next(evidence.reader.rows(sql, (client, name)))[0]
    if ahead_ns is None or ahead_ns <= AHEAD_NS:
        return None
    by = show_duration(ahead_ns / NS_PER_S)
    return f"a transition was read {by} before {client} says that it happened: its clock is another"


def _looks_differ(evidence: Evidence, word: Word) -> str | None:
    """Looks that show another state than the transitions lead to, well away from any change."""
    changes = sorted([*(t.t_ns for t in word.transitions), *word.starts])
    away = evidence.record.downtime(word.link.partition("->")[0])
    found = []
    for t_ns, state, _ in word.looks if word.transitions else ():
        place = bisect_left(changes, t_ns)
        near = any(abs(change - t_ns) <= LOOK_NS for change in changes[max(0, place - 1) : place + 1])
        if not near and not any(start <= t_ns <= end + NS_PER_S for start, end in away):
            told = word.state_at(t_ns)
            found += [(t_ns, state, told)] if state != told else []
    if len(found) < LEAST_CONTRADICTIONS:
        return None
    t_ns, state, told = found[0]
    return (
        f"looks and transitions differ: {len(found)} of {len(word.looks)} looks show another state than its transitions"
        f" lead to, the first {state} instead of {told} at {evidence.record.second(t_ns):.2f} s (is one of them cached?)"
    )


def path_of(word: Word, seen: list[Transition], window: Window) -> list[str]:
    """The states in order, the one at the start of the window first."""
    if seen:
        return [seen[0].before, *(t.after for t in seen)]
    state = word.state_at(window.outer[0] if window.outer[0] > -FOREVER_NS else FOREVER_NS)
    return [state] if state else []
