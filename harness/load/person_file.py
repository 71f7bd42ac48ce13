"""
A person's own Locust file, run unchanged, with our record listening.

Runs in the load child only, which hands Locust's pieces in. Three things are
changed around the file, none of them in it: the hidden retry of geventhttpclient is
switched off, a client without a time limit of its own gets the scenario's, and
requests that have started are known, so that one that never ends leaves a row.
"""

from __future__ import annotations

import functools
import math
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import geventhttpclient.client
from gevent import GreenletExit

from harness.clock import NS_PER_MS, NS_PER_S
from harness.errors import Mistake
from harness.load.config import LoadConfig
from harness.load.outcome import FALLBACK_HEADER, SOURCE_HEADER, UNFINISHED, Answer, error_class, made_of
from harness.load.record import Record, Sent

_RETRY_RULE = "_may_retry_after_send_error"  # private to geventhttpclient: hence hasattr, and the self-test


def switch_off_hidden_retry() -> bool:
    """Make geventhttpclient send each request once. False when this version has no such rule to change."""
    if not hasattr(geventhttpclient.client, _RETRY_RULE):
        return False
    setattr(geventhttpclient.client, _RETRY_RULE, lambda _method: False)
    return True


def locust_arguments(config: LoadConfig) -> list[str]:
    """The command line that runs the file headless until it is told to stop, all users at once."""
    assert config.locustfile is not None
    users = str(config.users or 1)
    return [
        "locust", "--headless", "-f", config.locustfile, "-u", users, "-r", users, "--only-summary",
        "--loglevel", "WARNING", "--exit-code-on-error", "0", "--stop-timeout", str(math.ceil(config.timeout_s)),
        *(("-H", config.host) if config.host else ()),
    ]  # fmt: skip


def mistake_in(file: str, error: BaseException) -> Mistake:
    """What a person's file did that kept it from being used, with the line of theirs that it came from."""
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == file else None
    frames = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    line = line or (frames[-1] if frames else None)
    if isinstance(error, SystemExit):
        return Mistake(file, line, f"ended the load before it began, with exit code {error.code or 0}")
    return Mistake(file, line, f"cannot be imported: {type(error).__name__}: {error}".rstrip(": "))


class WallClock:
    """Turns the wall clock's stamps, which Locust's events carry, into ours. Anchored once: see `wall_anchor`."""

    def __init__(self, *, epoch_ns: int, monotonic_ns: int) -> None:
        self._shift_ns = monotonic_ns - epoch_ns

    @classmethod
    def now(cls) -> WallClock:
        return cls(epoch_ns=time.time_ns(), monotonic_ns=time.monotonic_ns())

    def monotonic_ns(self, stamp: float | datetime) -> int:
        """Monotonic ns of an instant given as seconds since the epoch, or as an aware datetime."""
        epoch_s = stamp.timestamp() if isinstance(stamp, datetime) else stamp
        return round(epoch_s * NS_PER_S) + self._shift_ns


class RequestListener:
    """Writes a row for every request that Locust reports, whatever client it was made with."""

    def __init__(self, record: Record, wall: WallClock) -> None:
        self._record = record
        self._wall = wall

    def __call__(
        self,
        *,
        request_type: str = "",
        name: str = "",
        response_time: float | None = 0.0,
        response_length: int | None = 0,
        exception: BaseException | None = None,
        start_time: float | datetime | None = None,
        response: Any = None,
        **_: Any,
    ) -> None:
        spent_ns = round((response_time or 0.0) * NS_PER_MS)
        start_ns = time.monotonic_ns() - spent_ns if start_time is None else self._wall.monotonic_ns(start_time)
        sent = Sent(name=f"{request_type} {name}", intended_ns=start_ns, start_ns=start_ns, trace=_trace(response))
        answer = Answer(
            status=int(getattr(response, "status_code", 0) or 0),
            body_bytes=int(response_length or 0),
            fallback=made_of(_header(response, FALLBACK_HEADER), _header(response, SOURCE_HEADER)),
        )
        error = None if exception is None else _error(exception, answer.status)
        self._record.put_whole(sent, answer, ok=exception is None, error=error, end_ns=start_ns + spent_ns)


def watch(
    session: type[Any],
    record: Record,
    *,
    limits: Mapping[str, Any],
    over: Callable[[], bool],
    stop_user: type[Exception],
) -> None:
    """
    Change a session class so that a request cut off when the load ends leaves a row, and has limits.

    limits are keyword arguments of its `request` that hold where the person's file says nothing. Once
    the load is over a running user is stopped instead of sending: Locust kills users who are waiting, and one
    who wakes in that moment would be cut off in a request that never left. What on_stop sends still goes.
    """
    plain: Callable[..., Any] = session.request
    stopped_users: set[int] = set()

    @functools.wraps(plain)
    def request(self: Any, method: str, url: str, *arguments: Any, **named: Any) -> Any:
        after_the_load = over()
        user = self.user
        if after_the_load and getattr(user, "_state", None) == "running" and id(user) not in stopped_users:
            stopped_users.add(id(user))
            raise stop_user
        start_ns = time.monotonic_ns()
        try:
            return plain(self, method, url, *arguments, **{**limits, **named})
        except GreenletExit:
            if not after_the_load:
                name = named.get("name") or next(iter(arguments), None) or url
                sent = Sent(name=f"{method} {name}", intended_ns=start_ns, start_ns=start_ns)
                record.put_whole(sent, Answer(), ok=False, error=UNFINISHED, end_ns=None)
            raise

    session.request = request


def _error(exception: BaseException, status: int) -> str:
    """`status 503` for an answer that was refused for its status, else the kind of trouble."""
    kind = error_class(exception)
    return f"status {status}" if status >= 400 and kind.startswith("other:") else kind


def _header(response: Any, name: str) -> str | None:
    headers = getattr(response, "headers", None)
    return headers.get(name) if headers else None


def _trace(response: Any) -> str | None:
    """The trace id the person's file sent, if it sent one in W3C's form."""
    sent = getattr(getattr(response, "request", None), "headers", None)
    parent = sent.get("traceparent") if sent else None
    parts = parent.split("-") if isinstance(parent, str) else []
    return parts[1] if len(parts) == 4 else None
