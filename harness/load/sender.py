"""
Sends a profile's requests one by one, and reports each to the record and to Locust's listeners.

Runs in the load child only. When to send is not decided here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import gevent

from harness.clock import NS_PER_MS, NS_PER_S
from harness.errors import HarnessError, InputError
from harness.load.config import LoadConfig
from harness.load.one_shot import OneShotClient
from harness.load.outcome import Answer, error_class
from harness.load.record import Record, Sent
from harness.load.requests import Request, requests_of


class RequestFailed(HarnessError):
    """Why a request was no good, in the form Locust's listeners expect; never raised."""


class Sender:
    """`fire` is the `fire` of Locust's request event. Raises InputError when a request's service has no address."""

    def __init__(self, config: LoadConfig, record: Record, fire: Callable[..., None]) -> None:
        if config.profile is None:
            raise InputError("the load has no profile to draw requests from")
        self._record = record
        self._fire = fire
        self._in_flight_limit = config.max_in_flight
        self._clients = {
            service: OneShotClient(base, timeout_s=config.timeout_s) for service, base in config.bases.items()
        }
        if missing := {r.to for r in config.profile.requests} - set(self._clients):
            raise InputError(f"profile {config.profile.name!r}: no address for {', '.join(sorted(missing))}")
        self._requests: Iterator[Request] = requests_of(config.profile, config.seed)

    def arrive(self, intended_ns: int) -> None:
        """Send the next request in a greenlet of its own, or drop it when too many are open."""
        request = next(self._requests)
        if self._record.in_flight >= self._in_flight_limit:
            self._record.drop(name=request.name, intended_ns=intended_ns, trace=request.trace, key=request.key)
        else:
            gevent.spawn(self._send, request, intended_ns)

    def send_next(self) -> None:
        """Send the next request and wait for its answer; it was meant for this very moment."""
        self._send(next(self._requests), None)

    def _send(self, request: Request, intended_ns: int | None) -> None:
        start_ns = time.monotonic_ns()
        sent = Sent(
            name=request.name,
            intended_ns=start_ns if intended_ns is None else intended_ns,
            start_ns=start_ns,
            ok=request.ok,
            trace=request.trace,
            key=request.key,
        )
        number = self._record.start(sent)
        try:
            answer = self._clients[request.to].send(request)
        except Exception as error:  # a bug of the client must not leave a request open for ever
            answer = Answer(error=error_class(error))
        end_ns = time.monotonic_ns()
        _, why_not = self._record.finish(number, answer, end_ns)
        self._fire(
            request_type=request.method,
            name=request.name,
            response_time=(end_ns - sent.intended_ns) / NS_PER_MS,
            response_length=answer.body_bytes,
            exception=None if why_not is None else RequestFailed(why_not),
            context={"trace": request.trace},
            start_time=time.time() - (end_ns - start_ns) / NS_PER_S,
            url=request.target,
            response=None,
        )
