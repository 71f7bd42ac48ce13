"""
The load child: Locust, alone in a process of its own, sending what it is told and writing down what came of it.

    python -m harness.load.child CONFIG.json

The only module that imports Locust: doing so rewrites socket, time and ssl for
the whole process. What it says and understands is in channel.py, its
configuration in config.py. It has no opinion on the rows it writes.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()  # before anything else can keep hold of the plain socket, time and ssl

from harness.load import web  # noqa: E402

web.leave_out()

import resource  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import gevent.event  # noqa: E402
import locust  # noqa: E402
import locust.clients  # noqa: E402
import locust.contrib.fasthttp  # noqa: E402
import locust.event  # noqa: E402
from locust.env import Environment  # noqa: E402
from locust.exception import StopUser  # noqa: E402

from harness.clock import NS_PER_S  # noqa: E402
from harness.errors import EXIT_WRONG_INPUT, HarnessError  # noqa: E402
from harness.load import person_file  # noqa: E402
from harness.load.config import read_config  # noqa: E402
from harness.load.housekeeping import Housekeeping  # noqa: E402
from harness.load.one_shot import one_shot_sender  # noqa: E402
from harness.load.schedule import arrivals_ns  # noqa: E402
from harness.load.self_test import Send, self_test  # noqa: E402
from harness.load.sender import Sender  # noqa: E402
from harness.secrets import text  # noqa: E402

SPAWN_LIMIT_S = 30.0


def run_open(home: Housekeeping) -> None:
    """Open model: one Locust user walks the schedule and waits for no answer."""
    events = locust.event.Events()
    sender = Sender(home.config, home.record, events.request.fire)
    go = gevent.event.AsyncResult()
    walked = gevent.event.Event()

    class OpenArrivals(locust.User):  # type: ignore[misc]  # Locust has no types here
        @locust.task  # type: ignore[untyped-decorator]
        def walk(self) -> None:
            try:
                _walk(home, sender, go.get())
            finally:
                walked.set()
            raise StopUser

    runner = _parked(OpenArrivals, 1, events)
    t0_ns = home.wait_go(self_test({"one_shot": one_shot_sender}))
    if t0_ns is not None:
        go.set(t0_ns)
        walked.wait()
        home.drain()
    home.say_ended()
    runner.quit()


def _walk(home: Housekeeping, sender: Sender, t0_ns: int) -> None:
    """Send each arrival at its instant. A late one goes at once; none is left out."""
    config, stopped = home.config, home.channel.stopped
    arrivals = arrivals_ns(config.segments, pattern=config.pattern, seed=config.seed, duration_s=config.duration_s)
    for offset_ns in arrivals:
        intended_ns = t0_ns + offset_ns
        wait_s = (intended_ns - time.monotonic_ns()) / NS_PER_S
        if wait_s > 0:
            stopped.wait(timeout=wait_s)
        else:
            gevent.sleep(0)  # those already due get their turn before more are added
        if stopped.is_set():
            return
        sender.arrive(intended_ns)


def run_closed(home: Housekeeping) -> None:
    """Closed model: so many Locust users, each of whom waits for an answer before asking again."""
    events = locust.event.Events()
    sender = Sender(home.config, home.record, events.request.fire)
    go = gevent.event.Event()

    class ClosedUser(locust.User):  # type: ignore[misc]
        wait_time = locust.constant(home.config.think_s)

        @locust.task  # type: ignore[untyped-decorator]
        def ask(self) -> None:
            go.wait()
            if home.channel.stopped.is_set():
                raise StopUser
            sender.send_next()

    runner = _parked(ClosedUser, home.config.users or 1, events)
    t0_ns = home.wait_go(self_test({"one_shot": one_shot_sender}))
    if t0_ns is not None:
        home.sleep_until(t0_ns)
        go.set()
        home.wait_end(t0_ns)
        home.drain()
    home.say_ended()
    runner.quit()


def _parked(user: type[Any], count: int, events: Any) -> Any:
    """A runner whose users have all started, each waiting for the word to go."""
    runner = Environment(user_classes=[user], events=events).create_local_runner()
    spawned = gevent.event.Event()
    events.spawning_complete.add_listener(lambda **_: spawned.set())
    runner.start(count, spawn_rate=count)
    if not spawned.wait(timeout=SPAWN_LIMIT_S):
        raise HarnessError(f"Locust did not start its {count} users within {SPAWN_LIMIT_S:g} s")
    return runner


def run_file(home: Housekeeping) -> None:
    """Closed model by a person's own file: Locust's own main, with our listener beside it."""
    web.bring_back()
    import locust.main

    config = home.config
    person_file.switch_off_hidden_retry()
    locust.FastHttpUser.connection_timeout = locust.FastHttpUser.network_timeout = config.timeout_s
    tested = self_test({"FastHttpUser": _fast_session, "HttpUser": _plain_session})
    sessions = {locust.contrib.fasthttp.FastHttpSession: {}, locust.clients.HttpSession: {"timeout": config.timeout_s}}
    for session, limits in sessions.items():
        person_file.watch(session, home.record, limits=limits, over=home.channel.stopped.is_set, stop_user=StopUser)

    @locust.events.init.add_listener  # type: ignore[untyped-decorator]
    def hold_until_go(environment: Any, **_: Any) -> None:
        listener = person_file.RequestListener(home.record, person_file.WallClock.now())
        environment.events.request.add_listener(listener)
        t0_ns = home.wait_go(tested)
        if t0_ns is None:
            raise SystemExit(0)
        home.sleep_until(t0_ns)
        gevent.spawn(quit_at_end, environment, t0_ns)

    def quit_at_end(environment: Any, t0_ns: int) -> None:
        home.wait_end(t0_ns)
        environment.runner.quit()

    sys.argv = person_file.locust_arguments(config)
    try:
        locust.main.main()
    except BaseException as error:  # SystemExit is its only way to end, for good and for bad; the rest is the file's
        if not home.said_ready:
            assert config.locustfile is not None
            home.say_failed(person_file.mistake_in(config.locustfile, error))
            raise SystemExit(EXIT_WRONG_INPUT) from None
        if not isinstance(error, SystemExit):
            raise
    home.say_ended()


def _fast_session() -> Send:
    session = locust.contrib.fasthttp.FastHttpSession("", locust.event.EventHook(), None)
    return lambda method, base, path: session.request(method, base + path)


def _plain_session() -> Send:
    session = locust.clients.HttpSession("", locust.event.EventHook(), None)
    return lambda method, base, path: session.request(method, base + path)


MODELS = {"open": run_open, "closed": run_closed, "file": run_file}


def main(arguments: list[str]) -> None:
    """Read the configuration and run the model it names. Raises HarnessError for what goes wrong before `ready`."""
    config = read_config(Path(arguments[0]))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a socket for each request in flight
    home = Housekeeping(config, engine=f"locust {locust.__version__}")
    MODELS[config.model](home)
    home.leave()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except HarnessError as error:
        raise SystemExit(text(f"load: {error}")) from error
