"""
The rig in containers: a Compose project's services with a gate and a Toxiproxy on every link, in networks of the run's
own.

The proxy's container is made first, in all networks; then `docker compose up` brings the services into them. Everything
bears the run's label and goes with it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.children import RUN_VARIABLE, Emit, Spawn
from harness.clock import NS_PER_MS, Clock
from harness.engine.connect import Engine, compose_version, connect
from harness.engine.labels import project_name
from harness.engine.networks import Network, make_networks
from harness.engine.removal import remove_run
from harness.errors import HarnessError, SetUpError
from harness.links.base import LinkSpec
from harness.links.proxy_container import Place, Ports, ProxyContainer
from harness.links.toxiproxy import TOXIPROXY_VERSION
from harness.run.container_share import hasten_forwarders, share
from harness.run.leases import CONTAINERS, Lease, Leases
from harness.run.world import RunWorld
from harness.secrets import PRIVATE_FOLDER, private_opener
from harness.system.container_layout import CONTROL, ContainerLayout, container_layout, upstream_name
from harness.system.model import DATA_VARIABLE, System
from harness.topology.base import Look
from harness.topology.compose import UP_LIMIT_S, ComposeTopology
from harness.topology.compose_command import ComposeCommand, read_project
from harness.topology.overlay import check_project, known_names, overlay
from harness.words import LOAD_CLIENT

REMOVAL_LIMIT_S = 20.0
IMAGES_LIMIT_S = 900.0  # for an image that has to be built or fetched
DATA = "/data"  # what ${HARNESS_DATA} is inside a container
PROXY_PROGRAMS = 2  # gate and Toxiproxy
CLOCK_DOUBT_NS = 5 * NS_PER_MS  # a larger doubt would show in the figures


class ComposeRig:
    """Everything a run starts but the load, in containers. `down` may be called at any time, and twice."""

    def __init__(
        self, system: System, environment: Mapping[str, Mapping[str, str]], seed: int, run_id: str, run_dir: Path, *,
        spawn: Spawn, leases: Leases, emit: Emit, clock: Clock, put: Callable[[Mapping[str, object]], None],
    ) -> None:  # fmt: skip
        """put: takes facts of the run, such as how the proxy's clock stands to ours."""
        self.versions: dict[str, str] = {"toxiproxy": TOXIPROXY_VERSION}
        self._system, self._environment, self._seed = system, environment, seed
        self._run_id, self._run_dir = run_id, run_dir
        self._spawn, self._leases, self._emit, self._clock, self._put = spawn, leases, emit, clock, put
        self._engine: Engine | None = None
        self._world: RunWorld | None = None
        self._topology: ComposeTopology | None = None
        self._proxy: ProxyContainer | None = None
        self._lease: Lease | None = None

    # -- starting ----------------------------------------------------------------------------

    def up(self, say: Callable[[str], None], meanwhile: Callable[[], None] = lambda: None) -> None:
        """Make networks, proxy and services; returns when every service is ready. Raises SetUpError, InputError."""
        self.versions["compose"] = compose_version()
        engine = self._engine = connect()
        self.versions["engine"] = engine.version
        environment = self._command_environment()
        project = read_project(self._system.file, environment)
        check_project(project, self._system.file)
        self._check_services(project)
        layout = self._layout = container_layout(self._system, known_names(project))
        name = project_name(self._run_id)
        self._lease = self._leases.lease(
            CONTAINERS, self._run_id, f"remove every container, network and volume of project {name}",
            engine=engine.place,
        )  # fmt: skip
        say(f"making {len(layout.segments) + 1} networks and the proxy of {len(self._system.links)} links")
        try:
            networks = self._make_networks(engine, name, layout)
            proxy = self._proxy = self._make_proxy(engine, name, layout, networks)
            self._note_clock(proxy)
        except SetUpError:
            raise
        except HarnessError as error:
            raise SetUpError(str(error), hint=error.hint) from error
        meanwhile()
        command = self._command(name, project, layout, networks, environment)
        wanting = self._wanting_images(project)
        say(
            f"getting the images of {', '.join(wanting)}"
            if wanting
            else f"starting {len(self._system.services)} containers"
        )
        self._topology = ComposeTopology(
            self._system, engine, command, self._run_id, self._run_dir, passage=self._passage,
            emit=self._emit, clock=self._clock, up_limit_s=IMAGES_LIMIT_S if wanting else UP_LIMIT_S,
        )  # fmt: skip
        self._topology.up()
        self._world = RunWorld(
            toxiproxy=proxy.toxiproxy, gate=proxy.gate, topology=self._topology, address=self.service_address,
            emit=self._emit, seed=self._seed, clock=self._clock, groups=self._system.members,
            links=[link.name for link in self._system.links],
        )  # fmt: skip

    def _command_environment(self) -> dict[str, str]:
        """What `docker compose` gets: ours, without what would name another project or other files."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("COMPOSE_")}
        return {**kept, DATA_VARIABLE: DATA, RUN_VARIABLE: self._run_id}

    def _check_services(self, project: Mapping[str, Mapping[str, object]]) -> None:
        ours, theirs = set(self._system.services), set(project["services"])
        if ours != theirs:
            raise SetUpError(
                f"{self._system.file}: Compose sees the services {', '.join(sorted(theirs))}; "
                f"the harness reads {', '.join(sorted(ours))}",
                hint="are there profiles of Compose, or an override file, that only one of the two heeds?",
            )

    def _make_networks(self, engine: Engine, name: str, layout: ContainerLayout) -> dict[str, Network]:
        """The layout's names -> networks."""
        names = {part: f"{name}-{part}" for part in (CONTROL, *(segment.name for segment in layout.segments))}
        made = make_networks(engine, self._run_id, list(names.values()))
        return {part: made[real] for part, real in names.items()}

    def _make_proxy(
        self, engine: Engine, name: str, layout: ContainerLayout, networks: Mapping[str, Network]
    ) -> ProxyContainer:
        control = networks[CONTROL]
        return ProxyContainer(
            engine, name=f"{name}-proxy", run_id=self._run_id, run_dir=self._run_dir, token=secrets.token_hex(16),
            control=Place(network=control.name, address=control.proxy),
            places=[
                Place(network=networks[one.name].name, address=networks[one.name].proxy, aliases=one.aliases)
                for one in layout.segments
            ],
            ports=Ports(
                api=layout.api_port, gate=layout.gate_port, entries=tuple(layout.entries.values()),
                passages=tuple(layout.passages.values()), direct=control.is_here(),
            ),
            links=self._link_specs(layout, networks), passages=self._passage_specs(layout, control),
            share=share(engine, PROXY_PROGRAMS),
        )  # fmt: skip

    def _link_specs(self, layout: ContainerLayout, networks: Mapping[str, Network]) -> list[LinkSpec]:
        specs = []
        for link in self._system.links:
            network, port = layout.listens[link.name]
            specs.append(
                LinkSpec(
                    name=link.name, listen=(networks[network].proxy, port), proxy=layout.proxies[link.name],
                    upstream=(upstream_name(link.upstream), link.port), protocol=link.protocol,
                )
            )  # fmt: skip
        return specs

    def _passage_specs(self, layout: ContainerLayout, control: Network) -> list[LinkSpec]:
        """How the runner itself asks a service, past its links: Toxiproxy alone, no gate, no faults."""
        specs = []
        for service, port in layout.passages.items():
            upstream = (upstream_name(service), self._system.services[service].port or 0)
            address = (control.proxy, port)
            specs.append(
                LinkSpec(name=f"past->{service}", listen=address, proxy=address, upstream=upstream, protocol="raw")
            )
        return specs

    def _note_clock(self, proxy: ProxyContainer) -> None:
        reading = proxy.up()
        if reading.shift_ns or reading.doubt_ns > CLOCK_DOUBT_NS:
            raise SetUpError(
                f"the proxy's clock stands {reading.offset_ns / NS_PER_MS:+.3f} ms to this machine's, give or take "
                f"{reading.doubt_ns / NS_PER_MS:.3f} ms; stamps of the two could not be compared",
                hint="run on the engine's own machine: containers in a virtual machine have a clock of their own",
            )
        self._put({"proxy_clock": {"offset_ns": reading.offset_ns, "doubt_ns": reading.doubt_ns}})
        hasten_forwarders(proxy.published_ports())

    def _command(
        self, name: str, project: Mapping[str, Mapping[str, object]], layout: ContainerLayout,
        networks: Mapping[str, Network], environment: Mapping[str, str],
    ) -> ComposeCommand:  # fmt: skip
        assert self._engine is not None
        file = self._run_dir / "overlay.yaml"
        text = overlay(
            project, layout, run_id=self._run_id, project_name=name,
            networks={part: network.name for part, network in networks.items()}, environment=self._environment,
            share=share(self._engine),
            asked=[service for service, one in self._system.services.items() if one.ready_path is not None],
        )  # fmt: skip
        with open(file, "w", encoding="utf-8", opener=private_opener) as opened:
            opened.write(text)
        log = self._run_dir / "logs" / "compose.log"
        log.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        return ComposeCommand(name, [self._system.file, file], environment, spawn=self._spawn, log=log)

    def _wanting_images(self, project: Mapping[str, Mapping[str, object]]) -> list[str]:
        """Services whose image the engine does not have yet."""
        assert self._engine is not None
        with self._engine.asking("list images") as api:
            there = {tag for image in api.images() for tag in image.get("RepoTags") or ()}
        wanting = []
        for name, service in project["services"].items():
            image = str(service.get("image") or "") if isinstance(service, Mapping) else ""
            plain = image.partition("@")[0]
            if plain and plain not in there and f"{plain}:latest" not in there and not _by_digest(self._engine, image):
                wanting.append(name)
        return wanting

    # -- ending ------------------------------------------------------------------------------

    def down(self) -> None:
        """Stop services first, so that the gate sees the last connections close, then the proxy; remove everything."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        try:
            if self._topology is not None:
                self._topology.down()
            if self._proxy is not None:
                self._proxy.down()
        finally:
            try:
                _, left = remove_run(engine, self._run_id, limit_s=REMOVAL_LIMIT_S)
            finally:
                engine.close()
        if left:
            raise HarnessError(f"could not remove {', '.join(left)}", hint="harness clean")
        if self._lease is not None:
            self._lease.undone()

    # -- while it runs -----------------------------------------------------------------------

    @property
    def world(self) -> RunWorld:
        """What faults may ask; there once `up` has returned."""
        assert self._world is not None
        return self._world

    def check(self) -> None:
        """Raise HarnessError when the proxy is gone; services tell of their ends by themselves."""
        assert self._proxy is not None
        self._proxy.check()

    def looks(self) -> Mapping[str, Look]:
        """Every service that runs, as the engine has it."""
        return {} if self._topology is None else self._topology.looks()

    def proxies_cpu_s(self) -> float | None:
        """Seconds of processor that the proxy's container has used."""
        return None if self._proxy is None else self._proxy.cpu_s()

    def service_address(self, service: str) -> tuple[str, int]:
        """Where a service itself can be asked, past its links: a passage through the proxy."""
        address = self._passage(service)
        if address is None:
            raise HarnessError(f"{service} declares no port, so it cannot be asked")
        return address

    def entry_bases(self) -> dict[str, str]:
        """Service -> URL by which the load reaches it, through the entry link."""
        assert self._proxy is not None
        found = {}
        for link in self._system.links:
            if link.client == LOAD_CLIENT:
                host, port = self._proxy.published(self._layout.entries[link.name])
                found[link.upstream] = f"http://{host}:{port}"
        return found

    def _passage(self, service: str) -> tuple[str, int] | None:
        assert self._proxy is not None
        port = self._layout.passages.get(service)
        return None if port is None else self._proxy.published(port)


def _by_digest(engine: Engine, image: str) -> bool:
    """Whether the engine has an image that is named in a way its list does not show."""
    try:
        with engine.asking(f"find the image {image}") as api:
            api.inspect_image(image)
    except HarnessError:
        return False
    return True
