"""
The receipt of a partition: did anything still cross the links of the service that was cut off.

Judged from the gate's rows: exchanges that were under way or began while it was on, and, on links that speak no HTTP,
connections that brought nothing back.
"""

from __future__ import annotations

from harness.clock import NS_PER_S
from harness.receipts.base import FaultCalls, FaultSpan, Record
from harness.receipts.fault import call_zone, receipt_of
from harness.verdict import Receipt

LEAST_ROWS = 3
LEAST_SHARE = 0.95
_SETTLES_NS = NS_PER_S // 4  # what was on its way when the links were cut one after the other


def judge_partition(record: Record, calls: FaultCalls) -> tuple[Receipt, FaultSpan | None]:
    """The receipt of one partition, and when it was on (None: it never was)."""
    if calls.failed is not None:
        return receipt_of(calls, "NO EFFECT", f"it could not be injected or healed: {calls.failed}"), None
    if calls.injecting_ns is None or calls.injected_ns is None:
        return receipt_of(calls, "NO EVIDENCE", "the run ended before it was injected"), None
    start, end = call_zone(record, calls)
    span = FaultSpan(start=start, end=end, how="by call")
    rows = _rows(record, calls.fault.target, start[1] + _SETTLES_NS, end[0])
    cut = sum(rows)
    numbers: dict[str, object] = {"tried": len(rows), "cut": cut}
    text = f"{cut} of {len(rows)} exchanges and connections on its links came to nothing"
    if len(rows) < LEAST_ROWS:
        return receipt_of(calls, "NO EVIDENCE", f"{text}; {LEAST_ROWS} are needed", numbers), span
    if cut < LEAST_SHARE * len(rows):
        return receipt_of(calls, "NO EFFECT", text, numbers), span
    return receipt_of(calls, "APPLIED", text, numbers), span


def _rows(record: Record, service: str, start_ns: int, end_ns: int) -> list[bool]:
    """Whether each thing that was tried on a link of the service while it was cut off came to nothing."""
    links = [link.name for link in record.system.links if service in (link.client, link.upstream)]
    marks = ", ".join("?" * len(links))
    exchanges = f"""
        SELECT ending = 'answered' AND head_ns IS NOT NULL AND head_ns < ? FROM wire
        WHERE link IN ({marks}) AND arrived_ns >= ? AND arrived_ns < ?
    """  # noqa: S608  # only question marks are put in
    connections = f"""
        SELECT bytes_down > 0 AND ifnull(closed_ns, ?) < ? FROM connections
        WHERE link IN ({marks}) AND opened_ns >= ? AND opened_ns < ? AND protocol <> 'http'
    """  # noqa: S608
    crossed = [row[0] for row in record.reader.rows(exchanges, (end_ns, *links, start_ns, end_ns))]
    crossed += [row[0] for row in record.reader.rows(connections, (end_ns, end_ns, *links, start_ns, end_ns))]
    return [not one for one in crossed]
