"""
A session: one system, started with proxies on every link, loaded, hurt, observed and taken down.

The conductor drives it by a timeline, Python tests drive it by hand. It writes
the journal and has no opinion. Whatever happens, `close` leaves nothing running.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from harness.clock import NS_PER_S, Clock
from harness.errors import HarnessError, SetUpError, disk_error
from harness.faults.base import Fault
from harness.load.client import LoadChild, load_config
from harness.observe.actuator import ActuatorObserver
from harness.observe.ledger import look_into_ledger, read_ledger
from harness.observe.machine import MachineObserver
from harness.observe.replication import ReplicationObserver
from harness.observe.states import StatesObserver
from harness.progress import Progress, View
from harness.run.acknowledged import Acknowledged
from harness.run.backend import Backend
from harness.run.clean import sweep
from harness.run.facts import run_facts
from harness.run.interruption import uninterrupted
from harness.run.leases import Lease, Leases
from harness.run.recorder import Recorder, Rows
from harness.run.rig import Rig
from harness.run.tally import Tally
from harness.run.watchdog import Watchdog
from harness.scenario.masking import masked_facts
from harness.scenario.model import Load
from harness.secrets import PRIVATE_FOLDER
from harness.system.masking import remember
from harness.system.model import Ledger, System

START_DELAY_S = 0.25  # between the word "go" and the first arrival
LOAD_READY_LIMIT_S = 60.0
DRAIN_MARGIN_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a session is about, before any load or fault."""

    name: str
    system: System
    environment: Mapping[str, Mapping[str, str]]
    seed: int
    run_id: str
    run_dir: Path
    backend: str = "processes"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLoad:
    """A load that is known before the system starts, so that its child can start beside it."""

    load: Load
    profile: str | None
    duration_s: float | None


class Session:
    """Use as a context manager: entering starts everything, leaving takes everything down."""

    def __init__(
        self, setting: Setting, *, view: View, clock: Clock, sources: frozenset[str] = frozenset(),
        planned: PlannedLoad | None = None, watch: Callable[[Rows], None] | None = None,
    ) -> None:  # fmt: skip
        """watch: also hears of every batch of rows the journal gets, in the recorder's thread."""
        self.setting = setting
        self._watch = watch
        self._planned = planned
        self.t0_ns: int | None = None
        self._view, self._clock, self._sources = view, clock, sources
        self._undo = ExitStack()
        self._tally = Tally()
        self._acknowledged = Acknowledged(setting.system.ledgers)
        self._watchdog = Watchdog(setting.run_id, setting.run_dir, view.say)
        self._load: LoadChild | None = None
        self._load_timeout_s = 0.0
        self._faults_on: dict[str, tuple[Fault, Lease]] = {}
        self._lock = threading.Lock()
        self._how = "failed"
        self._actuators: dict[str, ActuatorObserver] = {}

    def __enter__(self) -> Self:
        try:
            self._up()
        except OSError as error:
            self._close_after_problem()
            raise disk_error(error) or error from error
        except BaseException:
            self._close_after_problem()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
            return
        self._how = "interrupted" if issubclass(kind, KeyboardInterrupt) else "failed"
        self._close_after_problem()

    # -- starting ----------------------------------------------------------------------------

    def _up(self) -> None:
        setting, clock = self.setting, self._clock
        remember(setting.system, setting.environment)
        sweep(self._view.say)  # what a killed run left must not disturb this one
        setting.run_dir.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        self._undo.callback(self._watchdog.done)  # last of all: until then it stands by
        self._watchdog.start()
        self.recorder = Recorder(setting.run_dir, clock, self._hear)
        self._undo.callback(self._close_journal)
        self.recorder.start()
        self.leases = Leases(setting.run_id, setting.run_dir)
        self._undo.callback(self.leases.close)
        facts = run_facts(setting.run_id, setting.system, setting.seed, clock)
        self.recorder.put(facts)
        self._watchdog.check()  # it has been starting meanwhile; nothing of the system starts before it watches
        self.recorder.emit("run.started", setting.run_id, {})
        self.rig = self._backend()
        self._undo.callback(self._take_down, self._watchdog.check)  # unwatched to the end is no finished run
        self._undo.callback(self._take_down, self.rig.down)
        self.rig.up(self._view.say, meanwhile=self._prepare_planned)
        self.recorder.put({"versions": {**facts["versions"], **self.rig.versions}})
        self._observe(facts["wall_anchor"])

    def _backend(self) -> Backend:
        """What runs the system, by the name a person chose."""
        setting, spawn, emit = self.setting, self.leases.spawn, self.recorder.emit
        if setting.backend == "compose":
            from harness.run.compose_rig import ComposeRig

            return ComposeRig(
                setting.system, setting.environment, setting.seed, setting.run_id, setting.run_dir,
                spawn=spawn, leases=self.leases, emit=emit, clock=self._clock, put=self.recorder.put,
            )  # fmt: skip
        return Rig(
            setting.system, setting.environment, setting.seed, setting.run_dir,
            spawn=spawn, emit=emit, clock=self._clock,
        )  # fmt: skip

    def _observe(self, anchor: Mapping[str, int]) -> None:
        machine = MachineObserver(self.rig.looks, self.recorder.add, self._clock, proxies_cpu_s=self.rig.proxies_cpu_s)
        self._undo.callback(machine.stop)
        machine.start()
        for service in self.setting.system.services.values():
            if service.replication_path is not None:
                self._observe_replication(service.name, service.replication_path)
            if service.actuator_path is None:
                continue
            observer = ActuatorObserver(
                service.name, self.rig.service_address(service.name), service.actuator_path,
                add=self.recorder.add, emit=self.recorder.emit, clock=self._clock,
                wall_offset_ns=anchor["epoch_ns"] - anchor["monotonic_ns"], sources=self._sources,
            )  # fmt: skip
            self._undo.callback(observer.stop)
            observer.start()
            self._actuators[service.name] = observer
        self._observe_states()

    def _observe_states(self) -> None:
        for service in self.setting.system.services.values():
            if service.state is None:
                continue
            observer = StatesObserver(
                service.name, service.state, self.rig.service_address(service.name),
                add=self.recorder.add, emit=self.recorder.emit, clock=self._clock,
            )  # fmt: skip
            self._undo.callback(observer.stop)
            observer.start()

    def _hear(self, batches: Rows) -> None:
        self._tally.watch(batches)
        self._acknowledged.watch(batches)
        if self._watch is not None:
            self._watch(batches)

    def _observe_replication(self, service: str, path: str) -> None:
        observer = ReplicationObserver(
            service, self.rig.service_address(service), path,
            add=self.recorder.add, emit=self.recorder.emit, clock=self._clock,
        )  # fmt: skip
        self._undo.callback(observer.stop)
        observer.start()

    # -- load --------------------------------------------------------------------------------

    def _prepare_planned(self) -> None:
        if self._planned is not None:
            self.prepare_load(self._planned.load, self._planned.profile, self._planned.duration_s)

    def prepare_load(self, load: Load, profile: str | None, duration_s: float | None) -> None:
        """Start the load child early: importing Locust takes a second."""
        system, seed = self.setting.system, self.setting.seed
        config = load_config(
            load, system.profiles[profile] if profile else None, seed=seed, duration_s=duration_s,
            bases=self.rig.entry_bases(), spool=self.recorder.spool_dir / "load.jsonl",
            locustfile_folder=system.file.parent,
        )  # fmt: skip
        self._load_timeout_s = load.timeout_s
        child = LoadChild(config, spawn=self.leases.spawn, run_dir=self.setting.run_dir, clock=self._clock)
        self._undo.callback(self._take_down, child.close)
        child.start()
        self._load = child

    def begin_load(self) -> int:
        """Let the load go; returns at the instant of the first arrival, which it gives back."""
        assert self._load is not None
        self_test = self._load.wait_ready(LOAD_READY_LIMIT_S)
        self.recorder.check()
        for ledger in self.setting.system.ledgers:
            look_into_ledger(ledger, self._keepers(ledger), emit=self.recorder.emit)
        self.t0_ns = self._clock.now_ns() + round(START_DELAY_S * NS_PER_S)
        self._load.go(self.t0_ns)
        self.recorder.put({"t0_ns": self.t0_ns})
        self.recorder.emit("load.started", "load", {"t0_ns": self.t0_ns, "self_test": self_test})
        self._clock.sleep_s((self.t0_ns - self._clock.now_ns()) / NS_PER_S)
        return self.t0_ns

    def end_load(self) -> None:
        """Stop sending, wait for what is in flight, write the load's own receipt."""
        if self._load is None:
            return
        child, self._load = self._load, None
        child.stop()
        self.recorder.emit("load.ended", "load", child.wait_ended(self._load_timeout_s + DRAIN_MARGIN_S))

    # -- faults and phases -------------------------------------------------------------------

    def inject(self, name: str, fault: Fault, declared_s: float | None = None) -> None:
        """Do a fault; its lease is on disk before it. Raises HarnessError when it did not happen."""
        data = {"family": fault.family, "kind": fault.kind, "target": fault.target, "declared_s": declared_s}
        self.recorder.emit("fault.injecting", name, data)
        lease = self.leases.lease("fault", name, fault.describe())
        with self._lock:
            self._faults_on[name] = (fault, lease)
        try:
            fault.inject(self.rig.world, name)
        except HarnessError as error:
            self.recorder.emit("fault.failed", name, {**data, "error": str(error)})
            raise
        self.recorder.emit("fault.injected", name, data)
        self._view.say(f"on: {fault.describe()}")
        if not fault.undoable:
            self._forget_fault(name)

    def heal(self, name: str, declared_s: float | None = None) -> None:
        """Undo a fault; does nothing when it is not on."""
        with self._lock:
            found = self._faults_on.get(name)
        if found is None:
            return
        fault, _ = found
        data = {"family": fault.family, "kind": fault.kind, "target": fault.target, "declared_s": declared_s}
        self.recorder.emit("fault.healing", name, data)
        fault.heal(self.rig.world, name)
        self.recorder.emit("fault.healed", name, data)
        self._view.say(f"off: {fault.describe()}")
        self._forget_fault(name)

    def _forget_fault(self, name: str) -> None:
        with self._lock:
            _, lease = self._faults_on.pop(name)
        lease.undone()

    def phase_started(self, name: str, kind: str, declared_s: float | None = None) -> None:
        self.recorder.emit("phase.started", name, {"kind": kind, "declared_s": declared_s})

    def phase_ended(self, name: str, kind: str, declared_s: float | None = None) -> None:
        self.recorder.emit("phase.ended", name, {"kind": kind, "declared_s": declared_s})

    def faults_on(self) -> dict[str, Fault]:
        """The faults that are on, or on their way, by name."""
        with self._lock:
            return {name: fault for name, (fault, _) in self._faults_on.items()}

    # -- watching ----------------------------------------------------------------------------

    def check(self) -> None:
        """Raise HarnessError when a part of the rig itself is gone: what follows could not be believed."""
        self.recorder.check()
        self._watchdog.check()
        self.rig.check()
        if self._load is not None and not self._load.alive():
            raise SetUpError("the load generator ended by itself", hint=f"see {self.setting.run_dir}/load.log")

    def show(self, phase: str, elapsed_s: float, total_s: float, seconds_left: float | None) -> None:
        """Hand the live figures to the view."""
        finished, good, errors = self._tally.rates(self._clock.now_ns(), elapsed_s)
        with self._lock:
            faults = tuple(sorted(self._faults_on))
        self._view.progress(
            Progress(
                scenario=self.setting.name, phase=phase, elapsed_s=elapsed_s, total_s=total_s,
                seconds_left=seconds_left, offered_per_s=finished, served_per_s=good, error_ratio=errors,
                breakers=dict(self._tally.breakers), faults_on=faults,
            )
        )  # fmt: skip

    # -- ending ------------------------------------------------------------------------------

    def finish(self) -> None:
        """After the timeline: end the load, heal what is still on, read the ledgers. Raises HarnessError as check does."""
        self.check()
        self.end_load()
        with self._lock:
            still_on = sorted(self._faults_on)
        for name in still_on:
            try:
                self.heal(name)
            except HarnessError as error:  # its receipt will say so
                self.recorder.emit("fault.failed", name, {"error": str(error)})
        self._read_ledgers()
        self._how = "finished"

    def _read_ledgers(self) -> None:
        if any(ledger.settled_within_s > 0 for ledger in self.setting.system.ledgers):
            self.recorder.catch_up()  # so that all acknowledged effects are known
        for ledger in self.setting.system.ledgers:
            read_ledger(
                ledger, self._keepers(ledger),
                add=self.recorder.add, emit=self.recorder.emit, clock=self._clock,
                missing=partial(self._acknowledged.missing, ledger),
            )  # fmt: skip

    def _keepers(self, ledger: Ledger) -> dict[str, tuple[str, int]]:
        return {service: self.rig.service_address(service) for service in ledger.keepers}

    def put(self, facts: Mapping[str, Any]) -> None:
        """Further facts for the journal's run table; what of them is secret is masked."""
        self.recorder.put(masked_facts(facts))

    def close(self) -> None:
        """Take everything down; may be called twice, and after a start that failed half-way."""
        with uninterrupted():
            self._undo.close()

    def _close_after_problem(self) -> None:
        """Take everything down while a problem is on its way up: what else goes wrong is said, but does not hide it."""
        try:
            self.close()
        except HarnessError as error:
            self._view.say(str(error))

    def _take_down(self, part: Callable[[], None]) -> None:
        """End a part; one that had ended by itself before makes the run a failed one, in its journal too."""
        try:
            part()
        except HarnessError:
            self._how = "failed"
            raise

    def _close_journal(self) -> None:
        self.recorder.emit("run.ended", self.setting.run_id, {"how": self._how})
        self.recorder.put({"how": self._how})
        self.recorder.close()
