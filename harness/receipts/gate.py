"""
Whether the gate's rows are whole and of this run: every receipt of a fault rests on them.

The gate numbers its connections, and the exchanges of each from 1 up; it says every second how many it has seen, and
at its end how many rows it lost. A gate that died and was started anew, rows that were lost, written twice or come
from another run break one of these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from harness.receipts.base import Record

MOST_ROWS = 500_000  # of which the numbering is looked at; of more, that of every second, third ... connection


def gate_doubts(record: Record) -> list[str]:
    """What speaks against the wire of a run that finished, each as a clause; empty when nothing does."""
    wire = _wire(record)
    return [*_life(record), *_numbering(record, wire), *_strangers(record, wire), *_missing(record, wire)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wire:
    """All rows of the wire, counted."""

    rows: int
    first_ns: int
    last_ns: int
    by_link: dict[str, int]


def _wire(record: Record) -> _Wire:
    """One look at the whole table."""
    links = [link.name for link in record.system.links]
    counts = "".join(", total(link = ?)" for _ in links)
    sql = f"SELECT count(*), ifnull(min(arrived_ns), 0), ifnull(max(arrived_ns), 0){counts} FROM wire"  # noqa: S608  # question marks
    rows, first_ns, last_ns, *by_link = next(record.reader.rows(sql, links))
    return _Wire(
        rows=rows, first_ns=first_ns, last_ns=last_ns, by_link=dict(zip(links, map(int, by_link), strict=True))
    )


def _life(record: Record) -> Iterator[str]:
    """One life from the start to the end, and no row lost in it."""
    ended = record.events_of("gate.ended")
    if not ended:
        yield "the gate never came to its end: nobody knows what it saw last"
    if len(ended) > 1:
        yield f"the gate ended {len(ended)} times: it died and was started anew"
    if lost := sum(int(data.get("rows_lost") or 0) for _, _, data in ended):
        yield f"the gate lost {lost} rows that it could not write"


def _numbering(record: Record, wire: _Wire) -> Iterator[str]:
    sql = "SELECT count(*) - count(DISTINCT connection) FROM connections"
    if twice := next(record.reader.rows(sql))[0]:
        yield f"{twice} connection numbers were given twice: the gate was started anew, or rows are doubled"
    sql = """
        SELECT ifnull(sum(rows >= last), 0), ifnull(sum(rows < last), 0) FROM (
            SELECT count(*) AS rows, max(exchange) AS last, sum(exchange) AS total
            FROM wire WHERE connection % ? = 0 GROUP BY connection
        ) WHERE rows != last OR 2 * total != rows * (rows + 1)
    """
    doubled, missing = next(record.reader.rows(sql, (1 + wire.rows // MOST_ROWS,)))
    if doubled:
        yield f"on {doubled} connections exchanges are on the wire twice: rows are doubled, or of two gates"
    if missing:
        yield f"on {missing} connections exchanges are missing from the wire: rows were lost"


def _strangers(record: Record, wire: _Wire) -> Iterator[str]:
    """Rows of links that the system does not have, or from outside the time of the run."""
    if strange := wire.rows - sum(wire.by_link.values()):
        yield f"{strange} exchanges are of links that the system does not have: the wire is another run's"
    if wire.rows and (wire.first_ns < record.events[0][0] or wire.last_ns > record.events[-1][0]):
        yield "exchanges are from before the run or after it: the wire is another run's"


def _missing(record: Record, wire: _Wire) -> Iterator[str]:
    """The gate's own count of exchanges against the rows that are there."""
    told: dict[str, int] = {}
    for link, text in record.reader.rows("SELECT subject, data FROM probes WHERE observer = 'gate'"):
        told[link] = max(told.get(link, 0), int(json.loads(text).get("exchanges") or 0))
    for link, count in told.items():
        if count > (seen := wire.by_link.get(link, 0)):
            yield f"the gate counted {count} exchanges on {link}, {seen} are on the wire: rows were lost"
