"""Who used the processors while the load was on: explains a receipt that fails, decides none."""

from __future__ import annotations

import json
from collections import defaultdict
from statistics import fmean
from typing import Any

from harness.receipts.base import Record

BUSY_CORES = 0.5  # so much taken by strangers on a small machine makes a second try worth while
STOLEN_SHARE = 0.05  # more than this taken by the host of a virtual machine is worth telling
PAUSE_S = 0.1  # the runner not running for longer, in one piece, is worth telling
_KEYS = ("busy_cores", "services_cores", "harness_cores", "other_cores", "cores")


def _samples(record: Record, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
    sql = "SELECT data FROM probes WHERE observer = 'machine' AND ok AND t_ns >= ? AND t_ns <= ?"
    samples = [json.loads(text) for (text,) in record.reader.rows(sql, (start_ns, end_ns))]
    return [s for s in samples if s.get("busy_cores") is not None]


def cores_used(record: Record, start_ns: int, end_ns: int) -> dict[str, float] | None:
    """Mean cores by owner between two instants; None when nobody looked."""
    samples = _samples(record, start_ns, end_ns)
    if not samples:
        return None
    mean: dict[str, float] = defaultdict(float)
    for sample in samples:
        for key in _KEYS:
            mean[key] += sample.get(key, 0) / len(samples)
    return dict(mean)


def strangers_busy(record: Record, start_ns: int, end_ns: int) -> bool:
    """Whether processes that are neither the system's nor ours used more than half a core."""
    mean = cores_used(record, start_ns, end_ns)
    return mean is not None and mean["other_cores"] > BUSY_CORES


def attribution(record: Record) -> str:
    """Who used the processors, for a person who wonders."""
    mean = cores_used(record, record.t0_ns, record.load_ended_ns)
    if mean is None:
        return ": this machine could not send the load on time"
    if mean["services_cores"] > 0.8 * max(mean["busy_cores"], 1e-9):
        who = f"the system under test used {mean['services_cores']:.1f} of {mean['cores']:.0f} cores"
    else:
        who = f"other processes used {mean['other_cores']:.1f} of {mean['cores']:.0f} cores"
    samples = _samples(record, record.t0_ns, record.load_ended_ns)
    stolen = fmean(s.get("stolen_share") or 0.0 for s in samples)
    if stolen > STOLEN_SHARE:
        who += f"; the host of this machine took {stolen * 100:.0f} %"
    if (pause_s := max(s.get("missing_s") or 0.0 for s in samples)) > PAUSE_S:
        who += f"; the runner stood still for {pause_s * 1000:.0f} ms in one piece"
    return f": this machine could not send the load on time ({who})"
