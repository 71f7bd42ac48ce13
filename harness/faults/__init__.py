"""Every fault there is, one file each; the table below is all the registration there is."""

from __future__ import annotations

from harness.faults.base import Fault
from harness.faults.latency import Latency

FAULTS: dict[str, type[Fault]] = {fault.kind: fault for fault in (Latency,)}
