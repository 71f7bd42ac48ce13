"""The receipt of the journal itself: did the run come to its end, and is what it holds whole and its own."""

from __future__ import annotations

from harness.clock import NS_PER_S
from harness.receipts.base import Record
from harness.receipts.gate import gate_doubts
from harness.units import show_duration
from harness.verdict import Receipt, Verdict


def judge_journal(record: Record) -> Receipt:
    """COMPLETE when the run says that it finished, DOUBTFUL when its rows contradict that, CUT SHORT otherwise."""
    ended = record.events_of("run.ended")
    how = ended[-1][2].get("how") if ended else None
    first_ns = record.events[0][0] if record.events else record.t0_ns
    last_ns = max(record.events[-1][0] if record.events else first_ns, record.load_ended_ns)
    length = show_duration((last_ns - first_ns) / NS_PER_S)
    numbers = {"events": len(record.events), "requests": sum(len(columns) for columns in record.requests.values())}
    if how == "finished" and (doubts := [*_one_run(record), *gate_doubts(record)]):
        return Receipt(
            kind="journal", subject="run", verdict=Verdict.INCONCLUSIVE, status="DOUBTFUL",
            sentence="; ".join(doubts), numbers=numbers,
        )  # fmt: skip
    if how == "finished":
        return Receipt(
            kind="journal", subject="run", verdict=Verdict.PASS, status="COMPLETE",
            sentence=f"the run finished after {length}", numbers=numbers,
        )  # fmt: skip
    why = f"it was {how}" if how else "nothing says how it ended: the runner was killed"
    return Receipt(
        kind="journal", subject="run", verdict=Verdict.INCONCLUSIVE, status="CUT SHORT",
        sentence=f"the run was cut short after {length}: {why}", numbers=numbers,
    )  # fmt: skip


def _one_run(record: Record) -> list[str]:
    """Whether the journal holds more than one run."""
    runs = [subject for _, subject, _ in record.events_of("run.started")]
    return [] if len(runs) == 1 else [f"the journal holds {len(runs)} starts of a run, there can be only one"]
