"""
A system's services as plain processes of this machine: started in order, hurt on demand, surely ended.

Each service is the root of a tree. The tree is found by ancestry and by a tag
in the environment, because children may leave their session and their parent.
What the services say of themselves, and who calls them, is not known here.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
import threading
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import psutil

from harness.children import Emit, Spawn
from harness.clock import NS_PER_S, Clock
from harness.errors import HarnessError, SetUpError
from harness.system.model import Service, System
from harness.topology.base import Launch
from harness.topology.readiness import (
    Probe,
    last_lines,
    log_end,
    log_text,
    not_ready,
    paces_s,
    probe_of,
    with_our_python,
)
from harness.topology.tree import (
    Identity,
    identity_of,
    kill_until_gone,
    lineage,
    running,
    signal_all,
    stopped,
    tagged,
)

__all__ = ["Launch", "ProcessTopology"]

TOPOLOGY_VARIABLE = "HARNESS_TOPOLOGY"
SERVICE_VARIABLE = "HARNESS_SERVICE"
KILL_LIMIT_S = 5.0
SIGNAL_LIMIT_S = 3.0
DOWN_GRACE_S = 1.0
WATCH_PACE_S = 0.05
LOG_LINES = 15
_COMPLETED = "service_completed_successfully"
_HEALTHY = "service_healthy"


@dataclass(slots=True)
class _Life:
    """One life of a service, from its start to its end. Changes under the topology's lock."""

    process: subprocess.Popen[bytes]
    identity: Identity | None
    log_offset: int
    ready: bool = False
    paused: bool = False
    ending: str | None = None  # what we are about to do to it; None: an end would be its own doing
    seen: dict[int, Identity] = field(default_factory=dict)  # of its tree, as far as it was ever looked at

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def facts(self, **more: Any) -> dict[str, Any]:
        """The data of an event about it."""
        started_at = self.identity.born_s if self.identity else None
        code = {} if self.process.returncode is None else {"exit_code": self.process.returncode}
        return {"pid": self.process.pid, "started_at": started_at, **code, **more}


class _TakenDownError(HarnessError):
    """Another service failed to start, or the topology was taken down meanwhile."""


class ProcessTopology:
    """
    Topology, CanKill, CanStop, CanPause and HasProcesses over processes; may be used from any thread.

    commands: service -> how it is started. emit gets service.* events with pid, started_at (seconds since the
    epoch) and, after an end, exit_code (negative: the signal). ready_limit_s bounds the wait for one service,
    limit_s the whole of up().
    """

    def __init__(
        self,
        system: System,
        commands: Mapping[str, Launch],
        run_dir: Path,
        *,
        spawn: Spawn,
        emit: Emit,
        clock: Clock,
        ready_limit_s: float = 30.0,
        limit_s: float = 60.0,
    ) -> None:
        self._services = {name: system.services[name] for name in commands}
        self._commands, self._logs = dict(commands), run_dir / "logs"
        self._spawn, self._emit, self._clock = spawn, emit, clock
        self._ready_limit_s, self._limit_s = ready_limit_s, limit_s
        self._token = secrets.token_hex(8)
        self._lock = threading.RLock()
        self._operations = {name: threading.RLock() for name in commands}
        self._lives: dict[str, _Life] = {}
        self._starts: dict[str, int] = {}
        self._abort = threading.Event()
        self._watcher: threading.Thread | None = None
        self._one_shots = _one_shots(self._services)

    # -- all of them -------------------------------------------------------------------------

    def up(self) -> None:
        """Start every service as soon as what it depends on allows; wait until all are ready. Raises SetUpError."""
        if self._abort.is_set():
            raise HarnessError("this topology was taken down; it does not start again")
        _check_order(self._services)
        self._make_logs()
        self._watcher = threading.Thread(target=self._watch, name="topology-watcher", daemon=True)
        self._watcher.start()
        deadline_ns = self._clock.now_ns() + round(self._limit_s * NS_PER_S)
        try:
            self._start_all(deadline_ns)
        except BaseException:
            self.down()
            raise

    def _start_all(self, deadline_ns: int) -> None:
        if not self._services:
            return
        with ThreadPoolExecutor(max_workers=len(self._services)) as pool:
            try:
                starts = [pool.submit(self._bring_up, name, deadline_ns) for name in self._services]
                wait(starts, return_when=FIRST_EXCEPTION)
            finally:
                if any(not start.done() or start.exception() for start in starts):
                    self._abort.set()  # the others need not go on waiting
        problems = [problem for start in starts if (problem := start.exception()) is not None]
        causes = [problem for problem in problems if not isinstance(problem, _TakenDownError)]
        if problems:
            raise (causes or problems)[0]

    def down(self) -> None:
        """Thaw, SIGTERM, a second of grace, SIGKILL, for whole trees. Safe to call twice, and while up is at it."""
        with self._lock:
            self._abort.set()
            lives = {name: life for name, life in self._lives.items() if life.ending is None and life.alive}
            self.poll()
            for life in lives.values():
                life.ending = "stopped"
        self._join_watcher()
        if not self._lives:
            return
        self._end_all(lives)
        for name, life in lives.items():
            self._emit("service.stopped", name, life.facts())

    def _end_all(self, lives: Mapping[str, _Life]) -> None:
        signal_all(self._everybody(), signal.SIGCONT)
        roots = [process for life in lives.values() if life.identity and (process := life.identity.process())]
        signal_all(roots, signal.SIGTERM)
        deadline_ns = self._clock.now_ns() + round(DOWN_GRACE_S * NS_PER_S)
        while any(life.alive for life in lives.values()) and self._clock.now_ns() < deadline_ns:
            self._clock.sleep_s(0.01)
        _, left = kill_until_gone(
            self._everybody,
            limit_s=KILL_LIMIT_S,
            reap=lambda: [life.alive for life in lives.values()],
        )
        for life in self._lives.values():
            _reap(life)
        if left:
            raise HarnessError(f"could not end {', '.join(left)} within {KILL_LIMIT_S:g} s")

    def poll(self) -> None:
        """Write down services that ended by themselves since the last look."""
        gone = []
        with self._lock:
            for name, life in self._lives.items():
                if life.ending is None and not life.alive:
                    life.ending = "exited"
                    gone.append((name, life))
        for name, life in gone:
            self._emit("service.exited", name, life.facts(unexpected=True))

    def processes(self) -> dict[str, psutil.Process]:
        """The root process of each service that runs now, paused ones included."""
        with self._lock:
            lives = list(self._lives.items())
        found = {}
        for name, life in lives:
            process = life.identity.process() if life.identity and life.alive else None
            if process is not None:
                found[name] = process
        return found

    # -- one of them -------------------------------------------------------------------------

    def kill(self, service: str) -> None:
        """SIGKILL the whole tree and see that it is gone. Raises HarnessError when there was nothing to hit."""
        with self._operation(service):
            life = self._must_run(service, "kill")
            self._about_to(service, life, "killed")
            tree = self._tree(service, life)
            signal_all(tree, signal.SIGKILL)
            self._finish_off(service, life)
            code = life.process.returncode
            if code != -signal.SIGKILL:
                self._emit("service.exited", service, life.facts(unexpected=True))
                raise HarnessError(f"cannot kill {service}: it ended by itself just before, {code_text(code)}")
            self._emit("service.killed", service, life.facts(processes=len(tree)))

    def stop(self, service: str) -> None:
        """SIGTERM to the root, SIGKILL to the whole tree when that ended or its grace time is over."""
        with self._operation(service):
            life = self._must_run(service, "stop")
            self._about_to(service, life, "stopped")
            tree = self._tree(service, life)
            signal_all(reversed(tree), signal.SIGCONT)
            life.process.terminate()
            forced = False
            try:
                life.process.wait(self._services[service].stop_grace_s)
            except subprocess.TimeoutExpired:
                forced = True
            self._finish_off(service, life)
            self._emit("service.stopped", service, life.facts(forced=forced))

    def start(self, service: str) -> None:
        """Start a service that is down and wait until it is ready; does nothing when it is there and ready."""
        with self._operation(service):
            with self._lock:
                life = self._lives.get(service)
                there = life is not None and life.alive and life.ending is None
            if life is not None and there and life.ready:
                return
            if not there:
                self.poll()
                if life is not None:
                    self._finish_off(service, life)  # what an ended root left of its tree would hold the port
                self._launch(service)
            self._await_ready(service, self._clock.now_ns() + round(self._ready_limit_s * NS_PER_S))

    def pause(self, service: str) -> None:
        """SIGSTOP the whole tree and see that every process of it is held. Raises HarnessError."""
        with self._operation(service):
            life = self._must_run(service, "pause")
            if life.paused:
                raise HarnessError(f"cannot pause {service}: it is paused already")
            life.paused = True
            held = self._signal_until(service, life, signal.SIGSTOP, held=True)
            self._emit("service.paused", service, life.facts(processes=held))

    def resume(self, service: str) -> None:
        """SIGCONT the whole tree and see that nothing of it is held; does nothing when it is not paused."""
        with self._operation(service):
            with self._lock:
                life = self._lives.get(service)
            if life is None or not life.paused or life.ending is not None:
                return
            moving = self._signal_until(service, life, signal.SIGCONT, held=False)
            life.paused = False
            self._emit("service.resumed", service, life.facts(processes=moving))

    # -- starting ----------------------------------------------------------------------------

    def _bring_up(self, service: str, deadline_ns: int) -> None:
        for name, condition in self._services[service].depends_on.items():
            self._await_dependency(service, name, condition, deadline_ns)
        with self._operation(service):
            self._launch(service)
            limit_ns = self._clock.now_ns() + round(self._ready_limit_s * NS_PER_S)
            self._await_ready(service, min(limit_ns, deadline_ns))

    def _await_dependency(self, service: str, name: str, condition: str, deadline_ns: int) -> None:
        while not self._abort.is_set():
            with self._lock:
                life = self._lives.get(name)
                met = life is not None and (life.ready or condition not in (_HEALTHY, _COMPLETED))
            if met:
                return
            if self._clock.now_ns() > deadline_ns:
                raise SetUpError(
                    f"{service} was not started: it waits for {name} ({condition}), "
                    f"which was not so {self._limit_s:g} s after the start of the system"
                )
            self._clock.sleep_s(0.01)
        raise _TakenDownError(f"{service} was not started: the start of the system was given up")

    def _launch(self, service: str) -> None:
        launch, log = self._commands[service], self._log(service)
        environment = {
            **launch.env,
            TOPOLOGY_VARIABLE: self._token,
            SERVICE_VARIABLE: f"{self._token}/{service}",
        }
        with self._lock:
            if self._abort.is_set():
                raise _TakenDownError(f"{service} was not started: the system is being taken down")
            offset = self._open_section(service, log)
            process = self._spawn(service, with_our_python(launch.argv), env=environment, cwd=launch.cwd, log=log)
            life = _Life(process=process, identity=identity_of(process.pid), log_offset=offset)
            if service in self._one_shots:
                life.ending = "completed"
            self._lives[service] = life
        self._emit("service.started", service, life.facts())

    def _open_section(self, service: str, log: Path) -> int:
        """Begin a new section in the service's log; returns where its own lines begin."""
        self._starts[service] = self._starts.get(service, 0) + 1
        try:
            with log.open("a", encoding="utf-8") as file:
                file.write(f"=== start {self._starts[service]} of {service} ===\n")
        except OSError as error:
            raise _unwritable(log, error) from error
        return log_end(log)

    def _await_ready(self, service: str, deadline_ns: int) -> None:
        life = self._lives[service]
        started_ns = self._clock.now_ns()
        probe = self._probe(service)
        pace_s = paces_s()
        answer: str | None = None
        while not self._abort.is_set():
            if service in self._one_shots:
                if not life.alive and life.process.returncode == 0:
                    return self._completed(service, life)
            elif (probe is None or (answer := probe()) is None) and life.alive:  # a dead one's port may be another's
                return self._ready(service, life)
            at_ns = self._clock.now_ns()
            if not life.alive:
                raise self._died(service, life, (at_ns - started_ns) / NS_PER_S)
            if at_ns >= deadline_ns:
                lines = last_lines(self._log(service), life.log_offset, LOG_LINES)
                raise not_ready(service, self._awaited(service, probe), (at_ns - started_ns) / NS_PER_S, answer, lines)
            self._clock.sleep_s(pace_s())
        raise _TakenDownError(f"the wait for {service} was given up: the system is being taken down")

    def _ready(self, service: str, life: _Life) -> None:
        with self._lock:
            life.ready = True
        self._emit("service.ready", service, life.facts())

    def _completed(self, service: str, life: _Life) -> None:
        with self._lock:
            life.ready = True
        self._emit("service.exited", service, life.facts(unexpected=False))

    def _died(self, service: str, life: _Life, after_s: float) -> SetUpError:
        if life.ending is None or service in self._one_shots:
            life.ending = "exited"
            self._emit("service.exited", service, life.facts(unexpected=True))
        command = " ".join(self._commands[service].argv)
        lines = last_lines(self._log(service), life.log_offset, LOG_LINES)
        return SetUpError(
            f"{service} ended while starting, {code_text(life.process.returncode)}, after {after_s:.1f} s "
            f"(command: {command}){log_text(lines)}",
            hint=f"its whole log: {self._log(service)}",
        )

    def _probe(self, service: str) -> Probe | None:
        log = self._logs / f"{service}.health.log"
        return probe_of(self._services[service], self._commands[service], self._spawn, log)

    def _awaited(self, service: str, probe: Probe | None) -> str:
        if service in self._one_shots:
            return "it to end with exit code 0"
        return "it to be started" if probe is None else probe.awaited

    # -- trees and lives ---------------------------------------------------------------------

    def _operation(self, service: str) -> threading.RLock:
        """The lock of one service: what is done to it is done one after the other."""
        if service not in self._operations:
            known = ", ".join(sorted(self._operations))
            raise HarnessError(f"there is no service {service!r} among the processes; there are: {known}")
        return self._operations[service]

    def _must_run(self, service: str, verb: str) -> _Life:
        self.poll()
        with self._lock:
            life = self._lives.get(service)
        if life is None:
            raise HarnessError(f"cannot {verb} {service}: it was never started")
        if not life.alive or life.ending is not None:
            code = life.process.poll()
            was = f"it is down ({life.ending or 'exited'}{'' if code is None else ', ' + code_text(code)})"
            raise HarnessError(f"cannot {verb} {service}: {was}")
        return life

    def _about_to(self, service: str, life: _Life, ending: str) -> None:
        """Claim the end of a service, unless it ended by itself a moment ago."""
        with self._lock:
            if life.alive and life.ending is None:
                life.ending = ending
                return
        self._must_run(service, "end")  # notes the end and raises with it

    def _tree(self, service: str, life: _Life) -> list[psutil.Process]:
        leased = [*([life.identity] if life.identity else []), *life.seen.values()]
        found = tagged(SERVICE_VARIABLE, f"{self._token}/{service}", leased=leased, spare=lineage())
        self._remember(life, found)
        return found

    def _remember(self, life: _Life, found: list[psutil.Process]) -> None:
        for process in found:
            if process.pid not in life.seen and (identity := identity_of(process.pid)) is not None:
                life.seen[process.pid] = identity

    def _everybody(self) -> list[psutil.Process]:
        leased = [identity for life in self._lives.values() for identity in life.seen.values()]
        leased += [life.identity for life in self._lives.values() if life.identity]
        return tagged(TOPOLOGY_VARIABLE, self._token, leased=leased, spare=lineage())

    def _finish_off(self, service: str, life: _Life) -> None:
        """SIGKILL what there still is of a service's tree, see it gone, and count the root."""
        _, left = kill_until_gone(lambda: self._tree(service, life), limit_s=KILL_LIMIT_S, reap=life.process.poll)
        _reap(life)
        life.paused = False
        if left or life.process.returncode is None:
            raise HarnessError(
                f"could not end {service}: {', '.join(left) or life.process.pid} still there after {KILL_LIMIT_S:g} s"
            )

    def _signal_until(self, service: str, life: _Life, number: int, *, held: bool) -> int:
        """Signal the whole tree until each process of it is held, or none is; returns how many they are."""
        deadline_ns = self._clock.now_ns() + round(SIGNAL_LIMIT_S * NS_PER_S)
        while True:
            tree = self._tree(service, life)
            wrong = [process for process in tree if stopped(process) is not held]
            if not life.alive:
                raise HarnessError(f"cannot {'pause' if held else 'resume'} {service}: it ended meanwhile")
            if tree and not wrong:
                return len(tree)
            if self._clock.now_ns() > deadline_ns:
                names = ", ".join(f"pid {process.pid}" for process in wrong if running(process))
                state = "not held" if held else "still held"
                raise HarnessError(
                    f"{service}: {names} {state} {SIGNAL_LIMIT_S:g} s after {signal.Signals(number).name}"
                )
            # Held: parents first, so that none starts another child. Thawed: children first, so that none is missed.
            signal_all(wrong if held else reversed(wrong), number)
            self._clock.sleep_s(0.002)

    def _watch(self) -> None:
        while not self._abort.wait(WATCH_PACE_S):
            self.poll()

    def _join_watcher(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join(SIGNAL_LIMIT_S)

    def _log(self, service: str) -> Path:
        return self._logs / f"{service}.log"

    def _make_logs(self) -> None:
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(self._logs, error) from error


def code_text(code: int | None) -> str:
    """An exit code for people: `exit code 3`, `killed by SIGKILL`."""
    if code is not None and code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code}"


def _reap(life: _Life) -> None:
    try:
        life.process.wait(KILL_LIMIT_S)
    except subprocess.TimeoutExpired:
        return


def _one_shots(services: Mapping[str, Service]) -> frozenset[str]:
    """Services whose end another one waits for: they are meant to end."""
    waits = [service.depends_on.items() for service in services.values()]
    return frozenset(name for items in waits for name, condition in items if condition == _COMPLETED)


def _check_order(services: Mapping[str, Service]) -> None:
    """Raise SetUpError when the dependencies name a stranger or go in a circle."""
    for name, service in services.items():
        for other in service.depends_on:
            if other not in services:
                raise SetUpError(
                    f"{name} depends on {other!r}, which is not run as a process",
                    hint=f"give {other} a `command`, or drop it from depends_on of {name}",
                )
    try:
        TopologicalSorter({name: list(service.depends_on) for name, service in services.items()}).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise SetUpError(f"the services wait for each other in a circle: {circle}") from error


def _unwritable(path: Path, error: OSError) -> SetUpError:
    return SetUpError(
        f"cannot write {path}: {error.strerror}",
        hint="is the disk full, or the folder read-only? choose another with --reports DIR",
    )
