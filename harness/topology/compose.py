"""
A system's services as containers of a Compose project: started in order, hurt on demand, surely ended.

The project comes up by `docker compose`; everything after that is asked of the engine itself. Removing what is left
is not this room's business but of whoever holds the run's label.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from harness.children import Emit
from harness.clock import NS_PER_S, Clock
from harness.engine.connect import Engine, EngineError
from harness.engine.labels import SERVICE, of_run
from harness.engine.logs import Follower
from harness.errors import HarnessError, SetUpError
from harness.secrets import PRIVATE_FOLDER
from harness.system.model import System
from harness.topology.base import Look
from harness.topology.compose_command import ComposeCommand
from harness.topology.container import Container, code_of
from harness.topology.container_limits import Limits
from harness.topology.container_readiness import container_probe
from harness.topology.order import one_shots
from harness.topology.readiness import Probe, last_lines, log_end, log_text, not_ready, paces_s

DOWN_GRACE_S = 1
LOG_LINES = 15
UP_LIMIT_S = 120.0


class ComposeTopology:
    """
    Topology, CanKill, CanStop, CanPause, CanLimit and CanBeWatched over containers; may be used from any thread.

    passage: where the runner reaches a service past its links, None where it listens nowhere. emit gets service.*
    events with pid (the container's root process as the engine's machine has it), started_at and, after an end,
    exit_code (negative: the signal). Logs go to run_dir/logs/<service>.log.
    """

    def __init__(
        self, system: System, engine: Engine, command: ComposeCommand, run_id: str, run_dir: Path, *,
        passage: Callable[[str], tuple[str, int] | None], emit: Emit, clock: Clock, ready_limit_s: float = 30.0,
        up_limit_s: float = UP_LIMIT_S,
    ) -> None:  # fmt: skip
        self._services, self._engine, self._command, self._run_id = system.services, engine, command, run_id
        self._logs = run_dir / "logs"
        self._passage, self._emit, self._clock = passage, emit, clock
        self._ready_limit_s, self._up_limit_s = ready_limit_s, up_limit_s
        self._operations = {name: threading.RLock() for name in self._services}
        self._containers: dict[str, Container] = {}
        self._limits = Limits(engine)
        self._followers: dict[str, Follower] = {}
        self._one_shots = one_shots(self._services)
        self._abort = threading.Event()
        self._events: Any = None
        self._watcher: threading.Thread | None = None

    # -- all of them -------------------------------------------------------------------------

    def up(self) -> None:
        """Start every service by `docker compose up`, then wait until all are ready. Raises SetUpError."""
        self._logs.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        try:
            self._command.up(self._up_limit_s)
            self._find_containers()
            self._begin_watching()
            with ThreadPoolExecutor(max_workers=max(1, len(self._containers))) as pool:
                deadline_ns = self._deadline_ns(self._ready_limit_s)
                waits = [pool.submit(self._await_ready, name, deadline_ns) for name in self._containers]
                wait(waits, return_when=FIRST_EXCEPTION)
                if any(not one.done() or one.exception() for one in waits):
                    self._abort.set()
            problems = [problem for one in waits if (problem := one.exception()) is not None]
            causes = [problem for problem in problems if not isinstance(problem, _GivenUpError)]
            if problems:
                raise (causes or problems)[0]
        except EngineError as error:
            raise SetUpError(str(error)) from error

    def down(self) -> None:
        """SIGTERM, a second of grace, SIGKILL, for all side by side. Safe to call twice, and while up is at it."""
        self._abort.set()
        self._command.cancel()
        alive = [one for one in self._containers.values() if one.claim_end("stopped")]
        if alive:
            with ThreadPoolExecutor(max_workers=len(alive)) as pool:
                list(pool.map(self._end, alive))
        for one in alive:
            self._emit("service.stopped", one.service, one.facts())
        self._stop_watching()
        for follower in self._followers.values():
            follower.stop()

    def _end(self, one: Container) -> None:
        try:
            one.stop(DOWN_GRACE_S)
        except HarnessError as error:  # what is left is removed with the run
            self._emit("service.stopped", one.service, one.facts(error=str(error)))

    def poll(self) -> None:
        """Nothing: the engine tells of ends by itself."""

    def looks(self) -> dict[str, Look]:
        """Every container that is not known to be down, as the engine has it; none while the engine does not answer."""
        try:
            with self._engine.asking("list the run's containers") as api:
                states = {one["Id"]: one["State"] for one in api.containers(all=True, filters=of_run(self._run_id))}
        except EngineError:  # a silence of the observer, which its receipt will tell
            return {}
        found = {}
        for name, one in list(self._containers.items()):
            status = _STATUS.get(states.get(one.id, "gone"), "gone")
            if status == "gone" and one.ending is not None:
                continue
            cpu_s, rss_bytes = one.usage() if status != "gone" else (None, None)
            found[name] = Look(pid=one.pid, status=status, cpu_s=cpu_s, rss_bytes=rss_bytes)
        return found

    # -- one of them -------------------------------------------------------------------------

    def kill(self, service: str) -> None:
        """SIGKILL the container's whole process tree and see that it is gone. Raises HarnessError."""
        with self._operation(service):
            one = self._must_run(service, "kill", "killed")
            one.kill()
            if one.exit_code != -9:
                self._emit("service.exited", service, one.facts(unexpected=True))
                raise HarnessError(f"cannot kill {service}: it ended by itself just before, exit code {one.exit_code}")
            self._emit("service.killed", service, one.facts())

    def stop(self, service: str) -> None:
        """SIGTERM (or the image's own stop signal), SIGKILL when its grace time is over."""
        with self._operation(service):
            one = self._must_run(service, "stop", "stopped")
            grace_s = self._services[service].stop_grace_s
            one.stop(max(1, round(grace_s)))
            self._emit("service.stopped", service, one.facts(forced=one.exit_code == -9))

    def start(self, service: str) -> None:
        """Start a service that is down and wait until it is ready; does nothing when it is there and ready."""
        with self._operation(service):
            one = self._containers[service]
            if one.ending is None:
                if one.ready:
                    return
            else:
                self._follow(service, self._start(one))
            self._await_ready(service, self._deadline_ns(self._ready_limit_s))

    def _start(self, one: Container) -> float:
        """Start the container again; returns the instant it started, seconds since the epoch."""
        one.start()
        self._emit("service.started", one.service, one.facts())
        return one.started_at

    def pause(self, service: str) -> None:
        """Freeze every process of the container and see that the engine says so. Raises HarnessError."""
        with self._operation(service):
            one = self._must_run(service, "pause", None)
            one.pause()
            self._emit("service.paused", service, one.facts())

    def resume(self, service: str) -> None:
        """Thaw it; does nothing when it is not paused."""
        with self._operation(service):
            one = self._containers[service]
            if one.paused and one.ending is None:
                one.resume()
                self._emit("service.resumed", service, one.facts())

    def limit(self, service: str, cpus: float | None, memory_bytes: int | None) -> None:
        """Hold the container to so many processors and bytes of memory. Raises HarnessError."""
        with self._operation(service):
            one = self._must_run(service, "limit", None)
            self._emit("service.limited", service, self._limits.take(one, cpus, memory_bytes))

    def unlimit(self, service: str) -> None:
        """Give back what it had; does nothing when it is not limited."""
        with self._operation(service):
            if (facts := self._limits.give_back(self._containers[service])) is not None:
                self._emit("service.unlimited", service, facts)

    # -- starting ----------------------------------------------------------------------------

    def _find_containers(self) -> None:
        with self._engine.asking("list the run's containers") as api:
            found = api.containers(all=True, filters=of_run(self._run_id))
        for one in found:
            service = one["Labels"].get(SERVICE)
            if service not in self._services:
                continue
            if service in self._containers:
                raise SetUpError(
                    f"{service} has several containers; replicas of one service are not told apart yet",
                    hint=f"set its replicas to 1, or write them as services of their own: {service}-1, {service}-2",
                )
            ending = "completed" if service in self._one_shots else None
            self._containers[service] = Container(self._engine, service, one["Id"], ending)
        missing = sorted(set(self._services) - set(self._containers))
        if missing:
            raise SetUpError(f"`docker compose up` made no container of {', '.join(missing)}")
        for name, container in self._containers.items():
            container.look()
            self._emit("service.started", name, container.facts())
            self._follow(name, None)

    def _follow(self, service: str, since_s: float | None) -> None:
        follower = Follower(self._engine, self._containers[service].id, self._logs / f"{service}.log", since_s)
        self._followers[service] = follower
        follower.start()

    def _await_ready(self, service: str, deadline_ns: int) -> None:
        one, started_ns = self._containers[service], self._clock.now_ns()
        log, pace_s = self._logs / f"{service}.log", paces_s()
        offset, answer = log_end(log) if one.starts > 1 else 0, None
        probe: Probe | None = container_probe(self._services[service], self._passage(service), one.look)
        while not self._abort.is_set():
            if service in self._one_shots:
                if not one.look().get("Running") and one.exit_code == 0:
                    self._emit("service.exited", service, one.facts(unexpected=False))
                    one.ready = True
                    return
            elif (probe is None or (answer := probe()) is None) and one.look().get("Running"):
                one.ready = True
                self._emit("service.ready", service, one.facts())
                return
            waited_s = (self._clock.now_ns() - started_ns) / NS_PER_S
            if not one.look().get("Running"):
                self._clock.sleep_s(0.2)  # its last lines come a moment later
                raise SetUpError(
                    f"{service} ended while starting, exit code {one.exit_code}, after {waited_s:.1f} s"
                    f"{log_text(last_lines(log, offset, LOG_LINES))}",
                    hint=f"its whole log: {log}",
                )
            if self._clock.now_ns() >= deadline_ns:
                awaited = "it to be started" if probe is None else probe.awaited
                raise not_ready(service, awaited, waited_s, answer, last_lines(log, offset, LOG_LINES))
            self._clock.sleep_s(pace_s())
        raise _GivenUpError(f"the wait for {service} was given up: the system is being taken down")

    # -- what the engine tells by itself -----------------------------------------------------

    def _begin_watching(self) -> None:
        with self._engine.asking("listen to its events") as api:
            filters = {"type": "container", "label": of_run(self._run_id)["label"]}
            self._events = api.events(decode=True, filters=filters)
        self._watcher = threading.Thread(target=self._watch, name="engine-events", daemon=True)
        self._watcher.start()
        for one in self._containers.values():  # what ended before we listened
            if one.ending is None and not one.look().get("Running"):
                self._note_end(one, oom=False)

    def _watch(self) -> None:
        by_id = {one.id: one for one in self._containers.values()}
        oom: set[str] = set()
        try:
            for event in self._events:
                one = by_id.get(event.get("id", ""))
                if one is None:
                    continue
                what = str(event.get("Action", event.get("status", "")))
                if what == "oom":
                    oom.add(one.id)
                elif what == "die":
                    one.exit_code = code_of(event["Actor"]["Attributes"].get("exitCode"))
                    self._note_end(one, oom=one.id in oom)
                elif what == "start":
                    self._note_start(one)
                elif what == "health_status: unhealthy":
                    self._emit("service.unhealthy", one.service, one.facts())
        except Exception as error:  # the stream ends with the run; before that it is worth knowing
            if not self._abort.is_set():
                self._emit("engine.silent", "engine", {"error": str(error)})

    def _note_end(self, one: Container, *, oom: bool) -> None:
        """A service ended; unless that was asked for, write it down as its own doing."""
        if one.claim_end("exited"):
            self._emit("service.exited", one.service, one.facts(unexpected=True, out_of_memory=oom))

    def _note_start(self, one: Container) -> None:
        """A service that ended by itself was started again by its restart policy."""
        if one.ending == "exited" and not self._abort.is_set():
            one.born_again()
            self._emit("service.started", one.service, one.facts(by="restart policy"))
            self._follow(one.service, one.started_at)

    def _stop_watching(self) -> None:
        if self._events is not None:
            self._events.close()
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join(1.0)

    # -- what all of it rests on -------------------------------------------------------------

    def _operation(self, service: str) -> threading.RLock:
        if service not in self._operations:
            raise HarnessError(f"there is no service {service!r}; there are: {', '.join(sorted(self._operations))}")
        return self._operations[service]

    def _must_run(self, service: str, verb: str, ending: str | None) -> Container:
        """The container, which runs; with `ending` its end is from here on asked for."""
        one = self._containers.get(service)
        if one is None:
            raise HarnessError(f"cannot {verb} {service}: it was never started")
        if ending is None and one.paused:
            raise HarnessError(f"cannot {verb} {service}: it is paused already")
        if one.ending is not None or (ending is not None and not one.claim_end(ending)):
            raise HarnessError(f"cannot {verb} {service}: it is down ({one.ending}, exit code {one.exit_code})")
        return one

    def _deadline_ns(self, span_s: float) -> int:
        return self._clock.now_ns() + round(span_s * NS_PER_S)


class _GivenUpError(HarnessError):
    """Another service failed to start, or the topology was taken down meanwhile."""


_STATUS: Mapping[str, str] = {
    "running": "running",
    "paused": "stopped",
    "restarting": "gone",
    "exited": "gone",
    "dead": "gone",
    "created": "gone",
}
