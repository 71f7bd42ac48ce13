"""
The mutants of live runs: the rig itself is made to lie while it runs, by wrappers around the parts of a session.

Each runs a real scenario, so each takes the time of one. A rig that notices by itself stops the run with an error,
which is as good as INCONCLUSIVE: there is no verdict to believe. Such a row says STOPPED.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from harness.errors import InputError
from harness.judge import judge
from harness.links import toxiproxy_client
from harness.links.toxiproxy import ToxiproxyServer
from harness.progress import Silent
from harness.run.options import RunOptions
from harness.run.rig import Rig
from harness.run.session import Session
from harness.run.world import RunWorld
from harness.suite import run_one
from harness.verdict import Verdict

from .matrix import SCENARIOS, Row, told

STOPPED = "STOPPED"
INCONCLUSIVE = "INCONCLUSIVE"
Around = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveMutant:
    """One lie of a running rig. available: whether this machine can do it."""

    name: str
    done: str
    base: str
    words: str
    around: Around
    expected: str = INCONCLUSIVE
    available: bool = True
    reports: Callable[[Path], AbstractContextManager[Path]] | None = None  # another place for the run's folder


LIVE: list[LiveMutant] = []


def live(base: str, done: str, words: str, **more: Any) -> Callable[[Around], Around]:
    """Put a context manager, in which the scenario runs, into the table by its own name."""

    def add(around: Around) -> Around:
        name = "live-" + around.__name__.replace("_", "-")
        LIVE.append(LiveMutant(name=name, done=done, base=base, words=words, around=around, **more))
        return around

    return add


def live_row(mutant: LiveMutant, folder: Path) -> Row:
    """Run the scenario with the lie in force, and judge it as any other run."""
    with (mutant.reports or _plain)(folder) as reports, mutant.around():
        options = RunOptions(reports=reports, retry_busy=0)
        result = run_one(SCENARIOS / f"{mutant.base}.yaml", options, Silent())
        if result.error is not None:
            got, reason = _stopped(reports), str(result.error).replace(f"{folder}/", "").splitlines()[0]
        else:
            assert result.verdict is not None
            got, reason = result.verdict.verdict.value, told(result.verdict, mutant.words)
    return Row(
        kind="live", name=mutant.name, done=mutant.done, expected=mutant.expected, got=got, reason=reason,
        words=mutant.words,
    )  # fmt: skip


def _stopped(reports: Path) -> str:
    """STOPPED, unless a journal that the run left behind would be taken for a whole one."""
    for journal in reports.glob("*/journal.db"):
        try:
            if (verdict := judge(journal.parent).verdict) is not Verdict.INCONCLUSIVE:
                return verdict.value
        except InputError:
            continue
    return STOPPED


@contextmanager
def _plain(folder: Path) -> Iterator[Path]:
    yield folder


# -- toxics ----------------------------------------------------------------------------------------------------

_add_toxic, _remove_toxic, _kill = RunWorld.add_toxic, RunWorld.remove_toxic, RunWorld.kill


@live("gentle", "the toxic is added with toxicity 0", "looked affected")
def toxicity_of_zero() -> AbstractContextManager[object]:
    def add(world, link, name, kind, stream, toxicity, attributes):
        _add_toxic(world, link, name, kind, stream, 0.0, attributes)

    return patch.object(RunWorld, "add_toxic", add)


@live("gentle", "the call that adds the toxic is swallowed", "looked affected")
def toxic_swallowed() -> AbstractContextManager[object]:
    return patch.object(RunWorld, "add_toxic", lambda *_: None)


@live("gentle", "the toxic is put on the link to another service", "looked affected")
def toxic_misplaced() -> AbstractContextManager[object]:
    def add(world, link, *more):
        _add_toxic(world, "order->product", *more)

    return patch.multiple(
        RunWorld, add_toxic=add, remove_toxic=lambda w, _, name: _remove_toxic(w, "order->product", name)
    )


@live("gentle", "somebody removes the toxic after a second of three", "before the call that switched it off")
def toxic_taken_away() -> AbstractContextManager[object]:
    def add(world, link, name, *more):
        _add_toxic(world, link, name, *more)
        threading.Timer(1.0, _remove_toxic, (world, link, name)).start()

    return patch.object(RunWorld, "add_toxic", add)


@live("gentle", "the call that takes the toxic back is swallowed", "outlived its window")
def toxic_left_on() -> AbstractContextManager[object]:
    return patch.object(RunWorld, "remove_toxic", lambda *_: None)


# -- who goes where --------------------------------------------------------------------------------------------


@live("gentle", "the order service dials the user service itself, past gate and Toxiproxy", "crossed order->user")
def client_dials_directly() -> AbstractContextManager[object]:
    launches = Rig._launches

    def direct(rig: Rig):
        found = launches(rig)
        host, port = rig.layout.service("user")
        found["order"].env["USER_URL"] = f"http://{host}:{port}"
        return found

    return patch.object(Rig, "_launches", direct)


@live(
    "gentle",
    "the load dials the order service itself, past gate and Toxiproxy",
    "never crossed load->order|lack|crossed",
)
def load_dials_directly() -> AbstractContextManager[object]:
    def direct(rig: Rig) -> dict[str, str]:
        host, port = rig.layout.service("order")
        return {"order": f"http://{host}:{port}"}

    return patch.object(Rig, "entry_bases", direct)


@live("gentle", "Locust is told to stop in the middle", "declared")
def load_stopped_in_the_middle() -> AbstractContextManager[object]:
    begin = Session.begin_load

    def begin_and_stop(session: Session) -> int:
        t0_ns = begin(session)
        assert session._load is not None
        threading.Timer(4.0, session._load.stop).start()
        return t0_ns

    return patch.object(Session, "begin_load", begin_and_stop)


# -- processes -------------------------------------------------------------------------------------------------


@live("kill", "the kill is swallowed", "no event says that user was ended")
def kill_swallowed() -> AbstractContextManager[object]:
    return patch.multiple(RunWorld, kill=lambda *_: None, start=lambda *_: None)


@live("kill", "the kill hits another service", "no event says that user was ended")
def kill_of_another() -> AbstractContextManager[object]:
    start = RunWorld.start
    return patch.multiple(
        RunWorld, kill=lambda w, _: _kill(w, "recommendation"), start=lambda w, _: start(w, "recommendation")
    )


# -- the rig ---------------------------------------------------------------------------------------------------


@live("gentle", "the Toxiproxy is of another version", "not version 9.9.9", expected=STOPPED)
def another_toxiproxy() -> AbstractContextManager[object]:
    return patch.object(toxiproxy_client, "TOXIPROXY_VERSION", "9.9.9")


@live("gentle", "the Toxiproxy has somebody else's proxies already", "already has proxies", expected=STOPPED)
def foreign_proxies() -> AbstractContextManager[object]:
    ready = ToxiproxyServer._await_api

    def with_strangers(server: ToxiproxyServer) -> None:
        ready(server)
        server._create(next(iter(server._links.values())))

    return patch.object(ToxiproxyServer, "_await_api", with_strangers)


@live("gentle", "the gate is killed in the middle", "the gate ended by itself|did not answer", expected=STOPPED)
def gate_killed() -> AbstractContextManager[object]:
    inject = Session.inject

    def kill_and_inject(session: Session, *more):
        session.rig.gate._process.kill()
        inject(session, *more)

    return patch.object(Session, "inject", kill_and_inject)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A place of 600 kB for the run's folder."""
    small = folder / "small"
    small.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(small)], check=True)
    try:
        yield small / "reports"
    finally:
        subprocess.run(["umount", str(small)], check=True)


BUSY_S, BUSY_PROCESSES = 12, 16
_BURN = f"import time\nend = time.monotonic() + {BUSY_S}\nwhile time.monotonic() < end: pass"


@live(
    "gentle",
    "sixteen busy processes take the machine",
    "could not send the load on time|in the journal|dropped|latency rose",
    available="HARNESS_TRUTH_BUSY" in os.environ,
)
@contextmanager
def machine_saturated() -> Iterator[None]:
    """
    Disturbs whoever shares the machine, so it has to be asked for: HARNESS_TRUTH_BUSY=1. Its row is a question more
    than a claim: a kernel that lets the load go first keeps it on time, and then PASS is what was earned.
    """
    begin, busy = Session.begin_load, []

    def begin_and_burn(session: Session) -> int:
        t0_ns = begin(session)
        busy.extend(subprocess.Popen([sys.executable, "-c", _BURN]) for _ in range(BUSY_PROCESSES))
        return t0_ns

    try:
        with patch.object(Session, "begin_load", begin_and_burn):
            yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


@live("gentle", "the disk is full in the middle of the run", "full", expected=STOPPED, reports=small_disk,
      available=sys.platform == "linux" and os.geteuid() == 0)  # fmt: skip
def disk_full() -> AbstractContextManager[object]:
    return nullcontext()
