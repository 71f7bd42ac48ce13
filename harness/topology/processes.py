"""
A system's services as plain processes of this machine: started in order, hurt on demand, surely ended.

What the services say of themselves, and who calls them, is not known here.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

import psutil

from harness.children import Emit, Spawn, code_text
from harness.clock import NS_PER_S, Clock
from harness.errors import HarnessError, SetUpError
from harness.secrets import PRIVATE_FOLDER, fields, private_opener
from harness.system.model import System
from harness.topology.base import Launch, Look
from harness.topology.life import KILL_LIMIT_S, SERVICE_VARIABLE, Life
from harness.topology.order import COMPLETED, HEALTHY, check_order, one_shots
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
from harness.topology.tree import identity_of, kill_until_gone, lineage, look_at, signal_all, tagged, topmost

__all__ = ["Launch", "ProcessTopology"]

TOPOLOGY_VARIABLE = "HARNESS_TOPOLOGY"
DOWN_GRACE_S = 1.0
WATCH_PACE_S = 0.05
LOG_LINES = 15


class _TakenDownError(HarnessError):
    """Another service failed to start, or the topology was taken down meanwhile."""


class ProcessTopology:
    """
    Topology, CanKill, CanKillOne, CanStop, CanPause, CanBeWatched and HasProcesses over processes; may be used from any thread.

    commands: service -> how it is started; services without one are not run. emit gets service.* events with
    pid, started_at and, after an end, exit_code (negative: the signal). ready_limit_s bounds the wait for one
    service, limit_s the whole of up(). Logs go to run_dir/logs/<service>.log, one section a start.
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
        self._lives: dict[str, Life] = {}
        self._starts: dict[str, int] = {}
        self._abort = threading.Event()
        self._watcher: threading.Thread | None = None
        self._one_shots = one_shots(self._services)

    # -- all of them -------------------------------------------------------------------------

    def up(self) -> None:
        """Start every service as soon as what it depends on allows; wait until all are ready. Raises SetUpError."""
        if self._abort.is_set():
            raise HarnessError("this topology was taken down; it does not start again")
        check_order(self._services)
        self._make_logs()
        self._watcher = threading.Thread(target=self._watch, name="topology-watcher", daemon=True)
        self._watcher.start()
        try:
            if self._services:
                self._start_all(self._deadline_ns(self._limit_s))
        except BaseException:
            self.down()
            raise

    def _start_all(self, deadline_ns: int) -> None:
        with ThreadPoolExecutor(max_workers=len(self._services)) as pool:
            starts = [pool.submit(self._bring_up, name, deadline_ns) for name in self._services]
            try:
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
            self.poll()
            lives = {name: life for name, life in self._lives.items() if life.ending is None}
            for life in lives.values():
                life.ending = "stopped"
        self._join_watcher()
        if not self._lives:
            return
        try:
            self._end_all(list(lives.values()))
        finally:
            for name, life in lives.items():
                self._emit("service.stopped", name, life.facts())

    def _end_all(self, lives: Sequence[Life]) -> None:
        signal_all(self._everybody(), signal.SIGCONT)
        signal_all([root for life in lives if (root := life.root)], signal.SIGTERM)
        deadline_ns = self._deadline_ns(DOWN_GRACE_S)
        while any(life.alive for life in lives) and self._clock.now_ns() < deadline_ns:
            self._clock.sleep_s(0.01)
        everyone = list(self._lives.values())
        _, left = kill_until_gone(self._everybody, limit_s=KILL_LIMIT_S, reap=lambda: [life.alive for life in everyone])
        for life in everyone:
            life.reap()
        if left:
            raise HarnessError(f"could not end {', '.join(left)} within {KILL_LIMIT_S:g} s")

    def _everybody(self) -> list[psutil.Process]:
        leased = [identity for life in list(self._lives.values()) for identity in life.leased()]
        return tagged(TOPOLOGY_VARIABLE, self._token, leased=leased, spare=lineage())

    def poll(self) -> None:
        """Write down services that ended by themselves since the last look."""
        gone = []
        with self._lock:
            for life in self._lives.values():
                if life.ending is None and not life.alive:
                    life.ending = "exited"
                    gone.append(life)
        for life in gone:
            self._emit("service.exited", life.service, life.facts(unexpected=True))

    def processes(self) -> dict[str, psutil.Process]:
        """The root process of each service that runs now, paused ones included."""
        with self._lock:
            lives = list(self._lives.items())
        return {name: root for name, life in lives if (root := life.root) is not None}

    def looks(self) -> dict[str, Look]:
        """Each service that runs now, paused ones included, as the process table has it."""
        return {name: look_at(process) for name, process in self.processes().items()}

    # -- one of them -------------------------------------------------------------------------

    def kill(self, service: str) -> None:
        """SIGKILL the whole tree and see that it is gone. Raises HarnessError when there was nothing to hit."""
        with self._operation(service):
            life = self._must_run(service, "kill")
            near = life.relatives()  # while the root is there: its children lose their parent with it
            self._claim_end(life, "kill", "killed")
            signal_all(near, signal.SIGKILL)
            life.finish_off()
            code = life.process.returncode
            if code != -signal.SIGKILL:
                self._emit("service.exited", service, life.facts(unexpected=True))
                raise HarnessError(f"cannot kill {service}: it ended by itself just before, {code_text(code)}")
            self._emit("service.killed", service, life.facts(processes=len(life.seen)))

    def kill_only(self, service: str, program: str) -> None:
        """SIGKILL the topmost process that runs a program, and see it gone; what it started runs on, the service too."""
        with self._operation(service):
            life = self._must_run(service, "kill a process of")
            hit = topmost(life.relatives(), program)
            if hit is None:
                raise HarnessError(f"cannot kill {program} of {service}: no process of it runs that program")
            identity = identity_of(hit.pid)
            signal_all([hit], signal.SIGKILL)
            deadline_ns = self._deadline_ns(KILL_LIMIT_S)
            while identity is not None and identity.process() is not None:
                if self._clock.now_ns() > deadline_ns:
                    raise HarnessError(
                        f"{program} of {service}, pid {hit.pid}, is still there {KILL_LIMIT_S:g} s after SIGKILL"
                    )
                self._clock.sleep_s(0.002)
            self._emit("service.process_killed", service, life.facts(program=program, killed_pid=hit.pid))

    def stop(self, service: str) -> None:
        """SIGTERM to the root, SIGKILL to the whole tree when that ended or its grace time is over."""
        with self._operation(service):
            life = self._must_run(service, "stop")
            near = life.relatives()
            self._claim_end(life, "stop", "stopped")
            signal_all(reversed(near), signal.SIGCONT)
            life.process.terminate()
            forced = False
            try:
                life.process.wait(self._services[service].stop_grace_s)
            except subprocess.TimeoutExpired:
                forced = True
            life.finish_off()
            self._emit("service.stopped", service, life.facts(forced=forced))

    def start(self, service: str) -> None:
        """Start a service that is down and wait until it is ready; does nothing when it is there and ready."""
        with self._operation(service):
            self.poll()
            life = self._lives.get(service)
            if life is not None and life.ending is None:
                if life.ready:
                    return
            else:
                if life is not None:
                    life.finish_off()  # what an ended root left of its tree would hold the port
                self._launch(service)
            self._await_ready(service, self._deadline_ns(self._ready_limit_s))

    def pause(self, service: str) -> None:
        """SIGSTOP the whole tree and see that every process of it is held. Raises HarnessError."""
        with self._operation(service):
            life = self._must_run(service, "pause")
            if life.paused:
                raise HarnessError(f"cannot pause {service}: it is paused already")
            life.paused = True  # before the deed: a pause that fails half-way has to be thawed, too
            held = life.hold(self._clock)
            self._emit("service.paused", service, life.facts(processes=held))

    def resume(self, service: str) -> None:
        """SIGCONT the whole tree and see that nothing of it is held; does nothing when it is not paused."""
        with self._operation(service):
            self.poll()
            life = self._lives.get(service)
            if life is None or not life.paused or life.ending is not None:
                return
            moving = life.let_go(self._clock)
            life.paused = False
            self._emit("service.resumed", service, life.facts(processes=moving))

    # -- starting ----------------------------------------------------------------------------

    def _bring_up(self, service: str, deadline_ns: int) -> None:
        for name, condition in self._services[service].depends_on.items():
            self._await_dependency(service, name, condition, deadline_ns)
        with self._operation(service):
            self._launch(service)
            self._await_ready(service, min(self._deadline_ns(self._ready_limit_s), deadline_ns))

    def _await_dependency(self, service: str, name: str, condition: str, deadline_ns: int) -> None:
        while not self._abort.is_set():
            life = self._lives.get(name)
            if life is not None and (life.ready or condition not in (HEALTHY, COMPLETED)):
                return
            if self._clock.now_ns() > deadline_ns:
                raise SetUpError(
                    f"{service} was not started: it waits for {name} ({condition}), "
                    f"which was not so {self._limit_s:g} s after the start of the system"
                )
            self._clock.sleep_s(0.01)
        raise _TakenDownError(f"{service} was not started: the start of the system was given up")

    def _launch(self, service: str) -> None:
        launch, log, tag = self._commands[service], self._log(service), f"{self._token}/{service}"
        environment = {**launch.env, TOPOLOGY_VARIABLE: self._token, SERVICE_VARIABLE: tag}
        with self._lock:  # so that down() either sees this life or keeps it from beginning
            if self._abort.is_set():
                raise _TakenDownError(f"{service} was not started: the system is being taken down")
            offset = self._open_section(service, log)
            process = self._spawn(service, with_our_python(launch.argv), env=environment, cwd=launch.cwd, log=log)
            ending = "completed" if service in self._one_shots else None
            life = Life(
                service=service, tag=tag, process=process, identity=identity_of(process.pid), log_offset=offset,
                ending=ending,
            )  # fmt: skip
            self._lives[service] = life
        self._emit("service.started", service, life.facts())

    def _await_ready(self, service: str, deadline_ns: int) -> None:
        life, started_ns = self._lives[service], self._clock.now_ns()
        probe, pace_s = self._probe(service), paces_s()
        answer: str | None = None
        while not self._abort.is_set():
            if service in self._one_shots:
                if not life.alive and life.process.returncode == 0:
                    return self._completed(life)
            elif (probe is None or (answer := probe()) is None) and life.alive:  # a dead one's port may be another's
                return self._ready(life)
            at_ns = self._clock.now_ns()
            if not life.alive:
                raise self._died(life, (at_ns - started_ns) / NS_PER_S)
            if at_ns >= deadline_ns:
                lines = last_lines(self._log(service), life.log_offset, LOG_LINES)
                raise not_ready(service, self._awaited(service, probe), (at_ns - started_ns) / NS_PER_S, answer, lines)
            self._clock.sleep_s(pace_s())
        raise _TakenDownError(f"the wait for {service} was given up: the system is being taken down")

    def _ready(self, life: Life) -> None:
        self._emit("service.ready", life.service, life.facts())
        life.ready = True
        life.relatives()  # who is in it now is known later, when a child has left its parent

    def _completed(self, life: Life) -> None:
        self._emit("service.exited", life.service, life.facts(unexpected=False))
        life.ready = True

    def _died(self, life: Life, after_s: float) -> SetUpError:
        self.poll()
        if life.service in self._one_shots:
            self._emit("service.exited", life.service, life.facts(unexpected=True))
        command = " ".join(fields(self._commands[life.service].argv))
        lines = last_lines(self._log(life.service), life.log_offset, LOG_LINES)
        return SetUpError(
            f"{life.service} ended while starting, {code_text(life.process.returncode)}, after {after_s:.1f} s "
            f"(command: {command}){log_text(lines)}",
            hint=f"its whole log: {self._log(life.service)}",
        )

    def _probe(self, service: str) -> Probe | None:
        log = self._logs / f"{service}.health.log"
        return probe_of(self._services[service], self._commands[service], self._spawn, log)

    def _awaited(self, service: str, probe: Probe | None) -> str:
        if service in self._one_shots:
            return "it to end with exit code 0"
        return "it to be started" if probe is None else probe.awaited

    # -- what all of it rests on -------------------------------------------------------------

    def _operation(self, service: str) -> threading.RLock:
        """The lock of one service: what is done to it is done one after the other."""
        if service not in self._operations:
            known = ", ".join(sorted(self._operations))
            raise HarnessError(f"there is no service {service!r} among the processes; there are: {known}")
        return self._operations[service]

    def _must_run(self, service: str, verb: str) -> Life:
        self.poll()
        life = self._lives.get(service)
        if life is None:
            raise HarnessError(f"cannot {verb} {service}: it was never started")
        if life.ending is not None:
            code = life.process.poll()
            was = f"{life.ending}{'' if code is None else ', ' + code_text(code)}"
            raise HarnessError(f"cannot {verb} {service}: it is down ({was})")
        return life

    def _claim_end(self, life: Life, verb: str, ending: str) -> None:
        """From here on the end of a service is ours; raises HarnessError when it ended by itself a moment ago."""
        with self._lock:
            if life.alive and life.ending is None:
                life.ending = ending
                return
        self._must_run(life.service, verb)

    def _deadline_ns(self, span_s: float) -> int:
        return self._clock.now_ns() + round(span_s * NS_PER_S)

    def _watch(self) -> None:
        while not self._abort.wait(WATCH_PACE_S):
            self.poll()

    def _join_watcher(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join(KILL_LIMIT_S)

    def _log(self, service: str) -> Path:
        return self._logs / f"{service}.log"

    def _open_section(self, service: str, log: Path) -> int:
        """Begin a new section in the service's log; returns where its own lines begin."""
        self._starts[service] = self._starts.get(service, 0) + 1
        try:
            with open(log, "a", encoding="utf-8", opener=private_opener) as file:
                file.write(f"=== start {self._starts[service]} of {service} ===\n")
        except OSError as error:
            raise _unwritable(log, error) from error
        return log_end(log)

    def _make_logs(self) -> None:
        try:
            self._logs.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        except OSError as error:
            raise _unwritable(self._logs, error) from error


def _unwritable(path: Path, error: OSError) -> SetUpError:
    return SetUpError(
        f"cannot write {path}: {error.strerror}",
        hint="is the disk full, or the folder read-only? choose another with --reports DIR",
    )
