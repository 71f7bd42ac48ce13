"""
What the nodes of a database cluster said of themselves in one run: looks by node, who was writable when, split brain.

A look holds at the instant the node itself says it was true. Between two looks in a row that say the same, no further
apart than LONGEST_GAP_S, it is taken to have been so.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.clock import NS_PER_S
from harness.receipts.base import Record

OBSERVER = "replication"
LONGEST_GAP_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One answer of a node. t_ns: monotonic, when it was true."""

    t_ns: int
    data: Mapping[str, Any]

    @property
    def writable(self) -> bool:
        return bool(self.data.get("writable"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitBrain:
    """An instant at which a node was writable although another one was too."""

    t_ns: int
    node: str
    other: str


def looks_of(record: Record) -> dict[str, list[Look]]:
    """Every answer of every node, in order; a node that never answered has none."""
    found: dict[str, list[Look]] = {
        name: [] for name, service in record.system.services.items() if service.replication_path is not None
    }
    sql = "SELECT subject, t_ns, data FROM probes WHERE observer = ? AND ok = 1 ORDER BY t_ns"
    for subject, t_ns, text in record.reader.rows(sql, (OBSERVER,)):
        found.setdefault(str(subject), []).append(Look(t_ns=t_ns, data=json.loads(text)))
    return found


def writable_spans(looks: Sequence[Look]) -> list[tuple[int, int]]:
    """When a node certainly was writable: from the first to the last look of each unbroken row that says so."""
    spans: list[tuple[int, int]] = []
    last: Look | None = None
    for look in looks:
        if look.writable:
            near = last is not None and last.writable and look.t_ns - last.t_ns <= LONGEST_GAP_S * NS_PER_S
            spans[-1:] = [(spans[-1][0], look.t_ns)] if near else [*spans[-1:], (look.t_ns, look.t_ns)]
        last = look
    return spans


def split_brains(looks: Mapping[str, Sequence[Look]]) -> list[SplitBrain]:
    """Every look that says writable while another node certainly was writable too, in order of time."""
    found: list[SplitBrain] = []
    for other, others in looks.items():
        for start_ns, end_ns in writable_spans(others):
            for node, own in looks.items():
                if node != other:
                    found += [SplitBrain(t_ns=t, node=node, other=other) for t in _within(own, start_ns, end_ns)]
    return sorted(found, key=lambda one: (one.t_ns, one.node))


def _within(looks: Sequence[Look], start_ns: int, end_ns: int) -> Iterator[int]:
    instants = [look.t_ns for look in looks]
    for look in looks[bisect_right(instants, start_ns) : bisect_left(instants, end_ns)]:
        if look.writable:
            yield look.t_ns


def primaries(looks: Mapping[str, Sequence[Look]]) -> list[tuple[int, str]]:
    """Who became the primary, and since when it was seen so: each change of the one that is writable."""
    writable = sorted((span[0], node) for node, own in looks.items() for span in writable_spans(own))
    found: list[tuple[int, str]] = []
    for t_ns, node in writable:
        if not found or found[-1][1] != node:
            found.append((t_ns, node))
    return found


def replica_rows(looks: Sequence[Look], replica: str, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
    """What a primary said of one of its replicas in a stretch of time."""
    return [
        row
        for look in looks
        if start_ns <= look.t_ns < end_ns
        for row in look.data.get("replicas") or ()
        if row.get("name") == replica
    ]
