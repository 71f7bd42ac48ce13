"""
Faults made in Python: `latency("order->payment", "2s")`, `kill("user")`.

The same words as in a scenario file, for tests that prefer code. What cannot
be raises InputError with the value and what would be right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from harness.errors import InputError
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

F = TypeVar("F", bound=Fault)


def _made(fault: type[F], **words: object) -> F:
    """Validate words as if they stood in a file. Raises InputError."""
    try:
        return fault.model_validate({key: value for key, value in words.items() if value is not None})
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(str(part) for part in one['loc']) or 'fault'}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        )
        raise InputError(f"{fault.kind} fault: {said}", hint=f"as in a file: {fault.example}") from None


def latency(
    link: str, latency: str, *, jitter: str = "0ms", stream: str = "downstream", toxicity: float | str = 1.0
) -> Latency:
    """Delay what crosses link by latency, give or take jitter."""
    return _made(Latency, link=link, latency=latency, jitter=jitter, stream=stream, toxicity=toxicity)


def bandwidth(link: str, rate: str, *, stream: str = "downstream", toxicity: float | str = 1.0) -> Bandwidth:
    """Let only rate through, such as `20KB/s`."""
    return _made(Bandwidth, link=link, rate=rate, stream=stream, toxicity=toxicity)


def slow_close(link: str, delay: str, *, stream: str = "downstream", toxicity: float | str = 1.0) -> SlowClose:
    """Pass the end of a connection on only after delay."""
    return _made(SlowClose, link=link, delay=delay, stream=stream, toxicity=toxicity)


def timeout(link: str, timeout: str = "0s", *, stream: str = "downstream", toxicity: float | str = 1.0) -> Timeout:
    """Swallow everything; close after timeout, never when it is `0s`."""
    return _made(Timeout, link=link, timeout=timeout, stream=stream, toxicity=toxicity)


def reset_peer(link: str, timeout: str = "0s", *, stream: str = "downstream", toxicity: float | str = 1.0) -> ResetPeer:
    """Reset connections after timeout."""
    return _made(ResetPeer, link=link, timeout=timeout, stream=stream, toxicity=toxicity)


def slicer(
    link: str,
    average_size: str,
    *,
    size_variation: str = "0B",
    delay: str = "0us",
    stream: str = "downstream",
    toxicity: float | str = 1.0,
) -> Slicer:
    """Cut data into pieces of average_size, delay apart."""
    return _made(
        Slicer,
        link=link,
        average_size=average_size,
        size_variation=size_variation,
        delay=delay,
        stream=stream,
        toxicity=toxicity,
    )


def limit_data(link: str, size: str, *, stream: str = "downstream", toxicity: float | str = 1.0) -> LimitData:
    """Close each connection after size has crossed it, such as `1KB`."""
    return _made(LimitData, link=link, bytes=size, stream=stream, toxicity=toxicity)


def down(link: str) -> Down:
    """Cut link and refuse new connections."""
    return _made(Down, link=link)


def status(
    link: str,
    status: int,
    *,
    methods: Sequence[str] = (),
    path: str | None = None,
    first: int | None = None,
    every: int | None = None,
    share: float | str | None = None,
    body: str = "",
    headers: Mapping[str, str] | None = None,
) -> Status:
    """Answer with status in the upstream's place."""
    return _made(
        Status,
        link=link,
        status=status,
        methods=methods,
        path=path,
        first=first,
        every=every,
        share=share,
        body=body,
        headers=headers,
    )


def delay(
    link: str,
    delay: str,
    *,
    methods: Sequence[str] = (),
    path: str | None = None,
    first: int | None = None,
    every: int | None = None,
    share: float | str | None = None,
) -> Delay:
    """Hold single requests back for delay."""
    return _made(Delay, link=link, delay=delay, methods=methods, path=path, first=first, every=every, share=share)


def abort(
    link: str,
    *,
    methods: Sequence[str] = (),
    path: str | None = None,
    first: int | None = None,
    every: int | None = None,
    share: float | str | None = None,
) -> Abort:
    """Leave single requests without an answer."""
    return _made(Abort, link=link, methods=methods, path=path, first=first, every=every, share=share)


def kill(service: str, *, only: str | None = None) -> Kill:
    """Kill service without warning; with `only` the topmost process of that program alone."""
    return _made(Kill, service=service, only=only)


def partition(service: str, *, how: str = "silent") -> Partition:
    """Cut service off from all others."""
    return _made(Partition, service=service, how=how)


def lag(link: str, lag: str | None = None, *, stopped: bool = False) -> Lag:
    """Let the replica of a replication link fall behind its primary by lag, or further and further."""
    return _made(Lag, link=link, lag=lag, stopped=stopped)


def limit(service: str, *, cpus: float | None = None, memory: str | None = None) -> Limit:
    """Hold service, in a container, to so many processors, to so much memory such as `64MB`, or to both."""
    return _made(Limit, service=service, cpus=cpus, memory=memory)


def stop(service: str) -> Stop:
    """Stop service in good order."""
    return _made(Stop, service=service)


def pause(service: str) -> Pause:
    """Freeze service."""
    return _made(Pause, service=service)


def restart(service: str, *, signal: str = "term") -> Restart:
    """End service and start it again at once."""
    return _made(Restart, service=service, signal=signal)


def rolling_restart(*services: str, signal: str = "term", settle: str = "1s") -> RollingRestart:
    """Restart services one after another."""
    return _made(RollingRestart, services=services, signal=signal, settle=settle)


def lose_region(region: str, *, by: str = "kill") -> LoseRegion:
    """Kill or freeze every service of a group at once."""
    return _made(LoseRegion, region=region, by=by)


def request(
    service: str, path: str, *, json: Mapping[str, Any], undo: Mapping[str, Any], method: str = "POST"
) -> Request:
    """Send json to service as its operator would; undo takes it back."""
    return _made(Request, service=service, method=method, path=path, json=dict(json), undo=dict(undo))
