"""
The floors of a drill that was played again, held against its journal: where one gave way.

A replay puts every edge where it was, so nothing is healed in it because of a floor; whether an objective fell below
one is read from the requests afterwards, looked at as often as a live system looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.clock import NS_PER_MS
from harness.drill.history import History, drill_of
from harness.journal.reader import JournalReader
from harness.live.floors import Floor, FloorWatch, Trip, is_bad
from harness.receipts.base import Record
from harness.system.model import Objective, System

LOOK_NS = 200 * NS_PER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallen:
    """A floor that gave way at a second of the run, and what was seen."""

    slo: str
    at_s: float
    sentence: str


def fallen(run: Path, history: History) -> tuple[Fallen, ...]:
    """
    The first time each floor of a replayed drill gave way, in order; nothing for a drill that was led, whose floors were
    watched, nor for a recording that was broken off itself. Raises InputError.
    """
    drill = drill_of(history)
    if drill is None or not drill.recorded or any(line.abort is not None for line in drill.script):
        return ()
    with JournalReader(run) as reader:
        objectives = {one.name: one for one in System.from_json(reader.facts["system"]).objectives}
        record = Record(reader)
        trips = [
            trip
            for floor in drill.abort
            if floor.slo in objectives
            and (trip := next(_trips(reader, floor, objectives[floor.slo]), None)) is not None
        ]
        found = [Fallen(slo=t.floor.slo, at_s=round(record.second(t.t_ns), 3), sentence=t.sentence) for t in trips]
    return tuple(sorted(found, key=lambda one: one.at_s))


def _trips(reader: JournalReader, floor: Floor, objective: Objective) -> Iterator[Trip]:
    watch = FloorWatch(floor, objective)
    sql = "SELECT ifnull(end_ns, intended_ns) AS at_ns, intended_ns, ok FROM requests WHERE name = ? ORDER BY at_ns"
    next_ns = 0
    for end_ns, intended_ns, ok in reader.rows(sql, (objective.of,)):
        if end_ns >= next_ns:
            if (trip := watch.look()) is not None:
                yield trip
            next_ns = end_ns + LOOK_NS
        watch.add(end_ns, bad=is_bad(objective, end_ns - intended_ns, good=bool(ok)))
    if (trip := watch.look()) is not None:
        yield trip
