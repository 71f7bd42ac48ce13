"""
The rig: a system's services with a gate and a Toxiproxy on every link, all on loopback addresses of the run's own.

It starts the three side by side and knows when one of them is gone. It knows nothing of load, faults or journals.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from harness.children import Emit, Spawn
from harness.clock import Clock
from harness.errors import HarnessError
from harness.links.base import LinkSpec
from harness.links.gate_process import GateProcess
from harness.links.provision import provide_toxiproxy
from harness.links.toxiproxy import TOXIPROXY_VERSION, ToxiproxyServer
from harness.run.world import RunWorld
from harness.secrets import PRIVATE_FOLDER
from harness.system.layout import Layout, layout_of, rewrite, rewrite_health
from harness.system.model import System
from harness.topology.addresses import Block, check_free, claim_block
from harness.topology.base import Look
from harness.topology.processes import Launch, ProcessTopology
from harness.words import LOAD_CLIENT


class Rig:
    """Everything a run starts but the load. `down` may be called at any time, and twice."""

    def __init__(
        self, system: System, environment: Mapping[str, Mapping[str, str]], seed: int, run_dir: Path, *,
        spawn: Spawn, emit: Emit, clock: Clock,
    ) -> None:  # fmt: skip
        self.versions = {"toxiproxy": TOXIPROXY_VERSION}
        self._system, self._environment, self._seed, self._run_dir = system, environment, seed, run_dir
        self._spawn, self._emit, self._clock = spawn, emit, clock
        self._world: RunWorld | None = None
        self._block: Block | None = None
        self._parts: list[Callable[[], None]] = []

    def up(self, say: Callable[[str], None], meanwhile: Callable[[], None] = lambda: None) -> None:
        """
        Start everything; returns when every service is ready. Raises SetUpError.
        meanwhile: called once the addresses are known, before anything is started.
        """
        binary = provide_toxiproxy(say)
        self._block = claim_block()
        self.layout = layout_of(self._system, self._block.prefix)
        specs = link_specs(self._system, self.layout)
        check_free(self._endpoints(specs))
        self.toxiproxy = ToxiproxyServer(
            binary, self.layout.toxiproxy_api, specs, spawn=self._spawn, run_dir=self._run_dir
        )
        self.gate = GateProcess(
            specs, control=self.layout.gate_control, token=secrets.token_hex(16), spawn=self._spawn,
            run_dir=self._run_dir,
        )  # fmt: skip
        self.topology = ProcessTopology(
            with_own_health_checks(self._system, self.layout),
            self._launches(),
            self._run_dir,
            spawn=self._spawn,
            emit=self._emit,
            clock=self._clock,
        )
        self._world = RunWorld(
            toxiproxy=self.toxiproxy, gate=self.gate.client, topology=self.topology,
            address=self.service_address, emit=self._emit, seed=self._seed, clock=self._clock,
            links=[link.name for link in self._system.links],
            groups=self._system.members,
        )  # fmt: skip
        self._parts = [self.topology.down, self.gate.down, self.toxiproxy.down]
        say(f"starting {len(self._system.services)} services behind {len(specs)} links")
        meanwhile()
        self._start_side_by_side()

    def _start_side_by_side(self) -> None:
        with ThreadPoolExecutor(max_workers=3) as pool:
            starts = [pool.submit(part) for part in (self.toxiproxy.up, self.gate.up, self.topology.up)]
            try:
                for start in as_completed(starts):
                    start.result()
            except BaseException:
                self.topology.down()  # cuts its start short: the pool waits for all three
                raise

    def down(self) -> None:
        """Stop services first, so that the gate sees the last connections close, then the gate, then Toxiproxy."""
        parts, self._parts = self._parts, []
        problems = []
        for part in parts:
            try:
                part()
            except (HarnessError, OSError) as error:
                problems.append(error)
        if self._block is not None:
            self._block.close()
            self._block = None
        if problems:
            raise problems[0]

    def check(self) -> None:
        """Raise HarnessError when the gate or Toxiproxy is gone; note services that ended by themselves."""
        self.gate.check()
        self.toxiproxy.check()
        self.topology.poll()

    @property
    def world(self) -> RunWorld:
        """What faults may ask; there once `up` has returned."""
        assert self._world is not None
        return self._world

    def looks(self) -> dict[str, Look]:
        """Every service that runs, as the process table has it."""
        return self.topology.looks()

    def proxies_cpu_s(self) -> float | None:
        """None: the proxies are children of the runner, and counted with it."""
        return None

    def service_address(self, service: str) -> tuple[str, int]:
        """Where a service itself listens, past its links."""
        return self.layout.service(service)

    def entry_bases(self) -> dict[str, str]:
        """Service -> URL by which the load reaches it, through the entry link."""
        found = {}
        for link in self._system.links:
            if link.client == LOAD_CLIENT:
                host, port = self.layout.gate(link.name)
                found[link.upstream] = f"http://{host}:{port}"
        return found

    def _endpoints(self, specs: list[LinkSpec]) -> list[tuple[str, int, str]]:
        services = [
            (*self.layout.service(name), f"service {name}") for name, s in self._system.services.items() if s.port
        ]
        gates = [(*spec.listen, f"link {spec.name}") for spec in specs]
        proxies = [(*spec.proxy, f"Toxiproxy of {spec.name}") for spec in specs]
        control = [(*self.layout.toxiproxy_api, "Toxiproxy's API"), (*self.layout.gate_control, "the gate")]
        return [*services, *gates, *proxies, *control]

    def _launches(self) -> dict[str, Launch]:
        data = self._run_dir / "data"
        data.mkdir(exist_ok=True, mode=PRIVATE_FOLDER)
        found = {}
        for name, service in self._system.services.items():
            argv, environment = rewrite(service, self._system, self.layout, self._environment.get(name), data=str(data))
            host, port = self.layout.service(name)
            found[name] = Launch(argv=argv, env=environment, cwd=service.working_dir, host=host, port=port or None)
        return found


def link_specs(system: System, layout: Layout) -> list[LinkSpec]:
    """Every link of the system with its addresses."""
    return [
        LinkSpec(
            name=link.name,
            listen=layout.gate(link.name),
            proxy=layout.proxy(link.name),
            upstream=(layout.service(link.upstream)[0], link.port),
            protocol=link.protocol,
        )
        for link in system.links
    ]


def with_own_health_checks(system: System, layout: Layout) -> System:
    """The system with `localhost` in its health checks put to each service's own address."""
    services = {
        name: service if service.health is None
        else replace(service, health=replace(service.health, test=rewrite_health(service, system, layout)))
        for name, service in system.services.items()
    }  # fmt: skip
    return replace(system, services=services)
