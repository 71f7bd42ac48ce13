"""
Lanes of the time axis: what had a state, or happened, rather than a number. Phases, faults, breakers, services,
people's notes, and any other event a journal holds, without knowing its kind.

A lane holds bars (a state from here to there) and ticks (something that happened). Reads the journal, decides nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.journal.reader import JournalReader
from harness.report import escape
from harness.report.html.axis import Axis

MOST_LANES = 40  # of one group
MOST_MARKS = 1_000  # bars, and as many ticks, of one group
LEAST_MARKS = 20  # of one lane, however many there are
MOST_FAMILIES = 12  # of events of kinds not known here
MOST_TICKS = 120  # of one lane; more are counted together by bucket
Event = tuple[int, str, str, dict[str, Any]]

PEOPLES = ("note", "step", "person", "lease", "abort")  # what people of a drill said and did
DRAWN_ELSEWHERE = ("run", "load", "phase", "fault", "ledger", "gate", "service", *PEOPLES)
LEAST_GAUGE = 5  # events of nothing but numbers, from which on they are numbers over time
_STATE_KEYS = ("state", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A state of something from one second of the run to another."""

    start_s: float
    end_s: float
    word: str
    css: str
    told: str = ""  # more than the word, shown on hovering

    @property
    def length_s(self) -> float:
        return round(self.end_s - self.start_s, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Something that happened at one second of the run."""

    at_s: float
    word: str
    css: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One line of bars and ticks."""

    name: str
    bars: tuple[Bar, ...] = ()
    ticks: tuple[Tick, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Lanes that belong together; left_out says how many there was no room for."""

    key: str
    title: str
    lanes: tuple[Lane, ...]
    note: str = ""
    left_out: int = 0


def group(key: str, title: str, lanes: Sequence[Lane], note: str = "") -> Group:
    """A group with at most as many lanes, bars and ticks as a page can hold and people can look at."""
    most = max(LEAST_MARKS, MOST_MARKS // max(1, min(len(lanes), MOST_LANES)))
    shown = tuple(replace(lane, bars=lane.bars[:most], ticks=lane.ticks[:most]) for lane in lanes[:MOST_LANES])
    cut = sum(max(0, len(lane.bars) - most) + max(0, len(lane.ticks) - most) for lane in lanes[:MOST_LANES])
    if cut:
        note = f"{note}; {cut} later changes are in the journal alone".removeprefix("; ")
    return Group(key=key, title=title, lanes=shown, note=note, left_out=len(lanes) - len(shown))


# -- phases -----------------------------------------------------------------------------------------------------


def phases(events: Sequence[Event], axis: Axis) -> Group:
    """The steps of the timeline; one that never ended lasts to the end of the axis."""
    ended = {subject: t_ns for t_ns, kind, subject, _ in events if kind == "phase.ended"}
    bars = [
        Bar(
            start_s=axis.second(t_ns),
            end_s=axis.second(ended[subject]) if subject in ended else axis.end_s,
            word=subject,
            css=f"phase {'hurt' if data.get('kind') == 'fault' else 'calm'}",
            told=str(data.get("kind", "")),
        )
        for t_ns, kind, subject, data in events
        if kind == "phase.started"
    ]
    return group("phases", "Timeline", _rows("phase", bars) if bars else [])


def _rows(name: str, bars: Sequence[Bar]) -> list[Lane]:
    """Bars that overlap stand in lanes of their own."""
    lanes: list[list[Bar]] = []
    for bar in sorted(bars, key=lambda bar: bar.start_s):
        free = next((lane for lane in lanes if lane[-1].end_s <= bar.start_s + 0.05), None)
        if free is None:
            lanes.append([bar])
        else:
            free.append(bar)
    return [Lane(name=name if n == 0 else "", bars=tuple(lane)) for n, lane in enumerate(lanes)]


# -- breakers and other words of the services --------------------------------------------------------------------


def breakers(reader: JournalReader, events: Sequence[Event], axis: Axis) -> Group:
    """One lane a breaker, by the transitions its service told; where it told none, by what was seen on looking."""
    changes: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
    sql = (
        "SELECT t_ns, service, name, data FROM app_events"
        " WHERE source = 'circuitbreaker' AND type = 'STATE_TRANSITION' ORDER BY t_ns, id"
    )
    for t_ns, service, name, text in reader.rows(sql):
        before, _, after = str(json.loads(text).get("stateTransition") or "").partition("_TO_")
        if after:
            changes.setdefault((service, name), []).append((t_ns, before, after))
    looks = _looks(reader)
    starts = [(t_ns, subject) for t_ns, kind, subject, _ in events if kind == "service.started"]
    lanes = []
    for key in sorted(changes.keys() | looks.keys()):
        told = changes.get(key, [])
        states = [(t_ns, after) for t_ns, _, after in told] if told else looks[key]
        if told:
            since = [t_ns for t_ns, subject in starts if subject == key[0]]
            states = sorted([*states, *((t_ns, "CLOSED") for t_ns in since)])
            if states[0][1] != told[0][1] and states[0][0] == told[0][0]:
                states.insert(0, (min(axis.start_ns, states[0][0]), told[0][1]))
        lanes.append(Lane(name=f"{key[0]}: {key[1]}", bars=_state_bars(states, axis, "breaker")))
    note = "by the services' own word" if lanes else "No service told of a breaker."
    return group("breakers", "Breakers", lanes, note)


def _looks(reader: JournalReader) -> dict[tuple[str, str], list[tuple[int, str]]]:
    """States seen by whoever looked at a service's breakers, by service and breaker."""
    found: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for t_ns, subject, text in reader.rows(
        "SELECT t_ns, subject, data FROM probes WHERE observer = 'actuator' AND ok ORDER BY t_ns"
    ):
        for name, state in (json.loads(text).get("breakers") or {}).items():
            found.setdefault((subject, str(name)), []).append((t_ns, str(state)))
    return found


def _state_bars(states: Sequence[tuple[int, str]], axis: Axis, css: str) -> tuple[Bar, ...]:
    """A bar for each stretch of one state; the last goes on to the end of the axis."""
    kept: list[tuple[int, str]] = []
    for t_ns, state in states:
        if not kept or kept[-1][1] != state:
            kept.append((t_ns, state))
    bars = []
    for (t_ns, state), (end_ns, _) in zip(kept, [*kept[1:], (None, "")], strict=False):
        start_s = max(axis.second(t_ns), axis.start_s)
        end_s = axis.end_s if end_ns is None else axis.second(end_ns)
        if end_s > axis.start_s and start_s < axis.end_s:
            bars.append(Bar(start_s=start_s, end_s=max(start_s, end_s), word=state, css=f"{css} {_css_word(state)}"))
    return tuple(bars)


def _css_word(state: str) -> str:
    """A state as a class name: only letters and minus signs."""
    return "is-" + "".join(c if c.isascii() and c.isalpha() else "-" for c in state.lower())[:30]


def told_by_services(reader: JournalReader, axis: Axis) -> Group:
    """Everything else the services said of themselves, a lane for each source, instance and type."""
    found: dict[str, list[int]] = {}
    sql = (
        "SELECT t_ns, service, source, name, type FROM app_events"
        " WHERE NOT (source = 'circuitbreaker' AND type = 'STATE_TRANSITION') ORDER BY t_ns, id"
    )
    for t_ns, service, source, name, kind in reader.rows(sql):
        found.setdefault(f"{service}: {source} {name} {kind}", []).append(t_ns)
    lanes = [Lane(name=name, ticks=_counted(stamps, axis, "")) for name, stamps in sorted(found.items())]
    return group(
        "told", "Told by services", lanes, "a tick is one event, or the number of them in a bucket" if lanes else ""
    )


def _counted(stamps: Sequence[int], axis: Axis, word: str) -> tuple[Tick, ...]:
    """A tick an event; where there are too many, a tick a bucket with their number."""
    if len(stamps) <= MOST_TICKS:
        return tuple(Tick(at_s=axis.second(t_ns), word=word or "1 event") for t_ns in stamps)
    counts = Counter(axis.bucket(t_ns) for t_ns in stamps)
    half_ns = axis.bucket_ns // 2
    return tuple(
        Tick(at_s=axis.second(axis.edge_ns(n) + half_ns), word=f"{times} {word or 'events'}")
        for n, times in sorted(counts.items())
    )


# -- processes, people, anything -----------------------------------------------------------------------------------

_SERVICE_STATES = {
    "started": "starting", "ready": "up", "resumed": "up", "paused": "paused", "killed": "down", "stopped": "down",
    "exited": "down",
}  # fmt: skip


def services(events: Sequence[Event], axis: Axis) -> Group:
    """A lane a process: starting, up, paused, down; ticks for what an operator asked it."""
    states: dict[str, list[tuple[int, str]]] = {}
    asked: dict[str, list[Tick]] = {}
    for t_ns, kind, subject, data in events:
        name = kind.partition(".")[2]
        if not kind.startswith("service."):
            continue
        if name in _SERVICE_STATES:
            states.setdefault(subject, []).append((t_ns, _SERVICE_STATES[name]))
        else:
            asked.setdefault(subject, []).append(Tick(at_s=axis.second(t_ns), word=f"{name} {_pairs(data)}"))
    lanes = [
        Lane(
            name=name,
            bars=_state_bars(states.get(name, []), axis, "service"),
            ticks=tuple(asked.get(name, [])),
        )
        for name in sorted(states.keys() | asked.keys())
    ]
    return group("services", "Processes", lanes)


def notes(events: Sequence[Event], axis: Axis) -> Group:
    """What people wrote down while it went on, and what they did and were asked."""
    lanes = []
    for name, families in (("notes", ("note",)), ("people", PEOPLES[1:])):
        ticks = [
            Tick(at_s=axis.second(t_ns), word=peoples_text(kind, subject, data), css="note")
            for t_ns, kind, subject, data in events
            if kind.partition(".")[0] in families
        ]
        lanes += [Lane(name=name, ticks=tuple(ticks))] if ticks else []
    return group("notes", "Notes", lanes)


def peoples_text(kind: str, subject: str, data: Mapping[str, Any]) -> str:
    """A note, or a deed, in one line."""
    if kind == "note":
        return note_text(subject, data)
    what = kind.partition(".")[2]
    if kind == "abort":
        return f"everything healed by {subject}: {data.get('why', '')}"
    if what == "prompted":
        return f"{data.get('role')} is asked: {data.get('prompt', '')}"
    return f"{data.get('by', kind.partition('.')[0])} {what} {subject}"


def note_text(subject: str, data: Mapping[str, Any]) -> str:
    """A note in one line: who, and what."""
    said = data.get("text") or data.get("note") or _pairs(data)
    return f"{subject}: {said}" if subject and subject != "note" else str(said)


def others(events: Sequence[Event], axis: Axis) -> list[Group]:
    """
    Any other events, a group for what stands before the dot of their kind. An event whose data has a state, or
    says what something changed `to`, begins a bar that lasts until the next one of that lane; any other is a tick.
    """
    families: dict[str, dict[str, list[Event]]] = {}
    for event in events:
        family, _, name = event[1].partition(".")
        if family not in DRAWN_ELSEWHERE:
            lane = f"{event[2]}: {name}" if event[3].keys() == {"from", "to"} else event[2]
            families.setdefault(family, {}).setdefault(lane, []).append(event)
    return [
        group(
            f"other-{n}",
            family.capitalize(),
            [_any_lane(name, lanes[name], axis) for name in sorted(lanes, key=_by_what)],
        )
        for n, (family, lanes) in enumerate(sorted(families.items())[:MOST_FAMILIES])
    ]


def _by_what(lane: str) -> tuple[str, str]:
    """Lanes that tell the same of several subjects stand together."""
    subject, _, what = lane.rpartition(": ")
    return (what, subject) if subject else ("", lane)


def _any_lane(name: str, events: Sequence[Event], axis: Axis) -> Lane:
    states: list[tuple[int, str]] = []
    ticks: list[Tick] = []
    plain: dict[str, list[int]] = {}
    numbers = sum(is_gauge(data) for *_, data in events) >= LEAST_GAUGE
    for t_ns, kind, _, data in events:
        state = _state(data)
        word = kind.partition(".")[2] or kind
        if state is not None:
            if not states and data.get("from") is not None:
                states.append((min(axis.start_ns, t_ns), escape.value(data["from"])))
            states.append((t_ns, state))
        elif numbers and is_gauge(data):
            continue  # numbers over time are a chart's business
        elif len(events) <= MOST_TICKS:
            ticks.append(Tick(at_s=axis.second(t_ns), word=f"{word} {_pairs(data)}".strip()))
        else:
            plain.setdefault(word, []).append(t_ns)
    for word, stamps in plain.items():
        ticks += _counted(stamps, axis, word)
    return Lane(name=name, bars=_state_bars(states, axis, "state"), ticks=tuple(ticks))


def _state(data: Mapping[str, Any]) -> str | None:
    """The state that an event begins; None when it begins none."""
    if "to" in data:
        return escape.value(data["to"])
    return next((data[key] for key in _STATE_KEYS if isinstance(data.get(key), str)), None)


def is_gauge(data: Mapping[str, Any]) -> bool:
    """Whether an event's data is nothing but numbers."""
    return bool(data) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in data.values())


def _pairs(data: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {escape.value(item)}" for key, item in data.items())[:200]
