"""
The load's own account: a row for every request that was meant, and the numbers of the load's receipt.

Knows neither Locust nor sockets; stamps are handed in.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from harness.clock import NS_PER_MS, NS_PER_S
from harness.journal.spool import SpoolWriter
from harness.load.outcome import DROPPED, UNFINISHED, Answer, judged, shortened


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request on its way."""

    name: str
    intended_ns: int
    start_ns: int
    ok: Collection[int] = ()
    trace: str | None = None
    key: str | None = None


class Record:
    """Writes the rows of one load and counts them. One thread (or one thread's greenlets) only."""

    def __init__(self, spool: SpoolWriter, *, scheduled: bool) -> None:
        self._spool = spool
        self._scheduled = scheduled
        self._late_ns = array("q")
        self._open: dict[int, Sent] = {}
        self._next = 0
        self.intended = self.sent = self.dropped = self.finished = self.unfinished = 0

    @property
    def in_flight(self) -> int:
        return len(self._open)

    def drop(self, *, name: str, intended_ns: int, trace: str | None, key: str | None) -> None:
        """An arrival that could not be sent because too many requests were open."""
        self.intended += 1
        self.dropped += 1
        row = (name, intended_ns, None, None, 0, 0, DROPPED, 0, trace, key, None)
        self._spool.append("requests", row)

    def start(self, sent: Sent) -> int:
        """A request leaves now; the number handed back ends it."""
        self.intended += 1
        self.sent += 1
        if self._scheduled:
            self._late_ns.append(sent.start_ns - sent.intended_ns)
        self._next += 1
        self._open[self._next] = sent
        return self._next

    def finish(self, number: int, answer: Answer, end_ns: int) -> tuple[bool, str | None]:
        """Its end, good or bad, seen by the client. Returns what `judged` says of it."""
        sent = self._open.pop(number)
        ok, error = judged(answer, sent.ok)
        self._put(sent, answer, ok=ok, error=error, end_ns=end_ns)
        return ok, error

    def put_whole(self, sent: Sent, answer: Answer, *, ok: bool, error: str | None, end_ns: int | None) -> None:
        """A request that others started and watched: its start and its end in one. end_ns is None: it never ended."""
        self.intended += 1
        self.sent += 1
        self._put(sent, answer, ok=ok, error=error, end_ns=end_ns)

    def give_up(self) -> None:
        """Rows for everything still open: it was sent, and nobody knows how it would have ended."""
        for sent in self._open.values():
            self._put(sent, Answer(), ok=False, error=UNFINISHED, end_ns=None)
        self._open.clear()

    def flush(self) -> None:
        self._spool.flush()

    def numbers(self) -> dict[str, Any]:
        """The receipt. Schedule errors (start - intended) in ms; None in a closed model, which has no schedule."""
        late_ms = sorted(late / NS_PER_MS for late in self._late_ns)
        return {
            "intended": self.intended,
            "sent": self.sent,
            "dropped": self.dropped,
            "finished": self.finished,
            "unfinished": self.unfinished,
            "schedule_error_p50_ms": rank(late_ms, 0.50),
            "schedule_error_p99_ms": rank(late_ms, 0.99),
            "schedule_error_max_ms": rank(late_ms, 1.0),
        }

    def _put(self, sent: Sent, answer: Answer, *, ok: bool, error: str | None, end_ns: int | None) -> None:
        if end_ns is None:
            self.unfinished += 1
        else:
            self.finished += 1
        row = (
            sent.name, sent.intended_ns, sent.start_ns, end_ns, answer.status, int(ok), error, answer.body_bytes,
            sent.trace, sent.key, shortened(answer.fallback),
        )  # fmt: skip
        self._spool.append("requests", row)


class CpuMeter:
    """CPU seconds a process used, in all and at worst over windows of about a second. Both clocks are handed in."""

    def __init__(self, *, now_ns: int, cpu_ns: int) -> None:
        self._first_cpu_ns = self._cpu_ns = cpu_ns
        self._now_ns = now_ns
        self._worst: float | None = None

    def window(self, *, now_ns: int, cpu_ns: int) -> None:
        """A window ends here and the next begins; one of no length is passed over."""
        if now_ns > self._now_ns:
            share = (cpu_ns - self._cpu_ns) / (now_ns - self._now_ns)
            self._worst = max(share, self._worst or 0.0)
        self._now_ns, self._cpu_ns = now_ns, cpu_ns

    def numbers(self) -> dict[str, Any]:
        """Seconds of CPU so far, and the largest share of one core (None before the first window ended)."""
        worst = None if self._worst is None else round(self._worst, 3)
        return {"cpu_s": round((self._cpu_ns - self._first_cpu_ns) / NS_PER_S, 3), "cpu_share_max": worst}


def rank(ordered: list[float], share: float) -> float | None:
    """The value of an ordered list below or at which `share` of it lies (nearest rank); None when it is empty."""
    if not ordered:
        return None
    index = max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)
    return round(ordered[index], 3)
