"""Every fault there is, one file each; the table below is all the registration there is."""

from __future__ import annotations

from harness.faults.abort import Abort
from harness.faults.bandwidth import Bandwidth
from harness.faults.base import Fault
from harness.faults.delay import Delay
from harness.faults.down import Down
from harness.faults.kill import Kill
from harness.faults.lag import Lag
from harness.faults.latency import Latency
from harness.faults.limit import Limit
from harness.faults.limit_data import LimitData
from harness.faults.lose_region import LoseRegion
from harness.faults.partition import Partition
from harness.faults.pause import Pause
from harness.faults.request import Request
from harness.faults.reset_peer import ResetPeer
from harness.faults.restart import Restart
from harness.faults.rolling_restart import RollingRestart
from harness.faults.slicer import Slicer
from harness.faults.slow_close import SlowClose
from harness.faults.status import Status
from harness.faults.stop import Stop
from harness.faults.timeout import Timeout

FAULTS: dict[str, type[Fault]] = {
    fault.kind: fault
    for fault in (
        Latency, Bandwidth, SlowClose, Timeout, ResetPeer, Slicer, LimitData,
        Down,
        Status, Delay, Abort,
        Kill, Stop, Pause, Restart, RollingRestart, LoseRegion,
        Request,
        Partition, Lag,
        Limit,
    )
}  # fmt: skip
