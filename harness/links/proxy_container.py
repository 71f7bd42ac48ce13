"""
The runner's end of the proxy's container: gate and Toxiproxy of a run, in every network of the run.

It is made before the services and ended after them. What the gate records comes out by a folder of the run that is
mounted into the container; questions go to ports that are published on 127.0.0.1 alone.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.engine.connect import Engine, EngineError
from harness.engine.labels import PART, RUN, SOURCES
from harness.engine.logs import Follower
from harness.engine.sources import fingerprint
from harness.engine.usage import used
from harness.errors import HarnessError, SetUpError
from harness.journal import SPOOL_FOLDER
from harness.links.base import Address, LinkSpec
from harness.links.gate.config import write_config
from harness.links.gate_client import ClockReading, GateClient, GateError
from harness.links.toxiproxy_client import ToxiproxyClient
from harness.secrets import PRIVATE_FOLDER, private_opener

IMAGE = "harness-proxy"
IMAGE_VARIABLE = "HARNESS_PROXY_IMAGE"
IMAGE_USER = 10001  # who the image runs as when the runner is root
BUILD = "make images (in a clone of harness)"
READY_LIMIT_S = 20.0
END_LIMIT_S = 5.0
_PACE_S = 0.02
_LOG_LINES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One network the proxy joins: the engine's name for it, the proxy's address in it, the names it answers to."""

    network: str
    address: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """
    Ports of the proxy in its control network. entries are published on this machine; where it is in that network
    itself (direct), the others are asked there: each published port costs the engine half a second at the end.
    """

    api: int
    gate: int
    entries: tuple[int, ...]
    passages: tuple[int, ...]
    direct: bool

    @property
    def published(self) -> tuple[int, ...]:
        """Those that the engine has to publish."""
        return self.entries if self.direct else (self.api, self.gate, *self.entries, *self.passages)


class ProxyContainer:
    """
    Gate and Toxiproxy of one run. Errors are HarnessError, at the start SetUpError.

    control is the network no other container joins; links are the gate's, passages go past it (Toxiproxy only).
    """

    def __init__(
        self, engine: Engine, *, name: str, run_id: str, run_dir: Path, token: str, control: Place,
        places: Sequence[Place], ports: Ports, links: Sequence[LinkSpec], passages: Sequence[LinkSpec],
        share: Mapping[str, int | str] | None = None,
    ) -> None:  # fmt: skip
        """share: its part of the processor, as the engine takes it."""
        self._engine, self._name, self._run_id, self._run_dir = engine, name, run_id, run_dir
        self._token, self._control, self._places, self._ports = token, control, places, ports
        self._links, self._passages, self._share = links, passages, share or {}
        self._log = run_dir / "logs" / "proxy.log"
        self._id: str | None = None
        self._follower: Follower | None = None
        self._published: Mapping[int, int] = {}
        self._lock = threading.Lock()
        self.toxiproxy = ToxiproxyClient(("127.0.0.1", 0), [*links, *passages])
        self.gate = GateClient("127.0.0.1", 0, token)
        self.pid: int | None = None

    def up(self) -> ClockReading:
        """Make and start it; returns when every link listens, with how its clock stands to ours. Raises SetUpError."""
        image = self._image()
        self._write_configuration()
        try:
            with self._engine.asking("start the proxy's container") as api:
                self._id = self._create(api, image)
                for place in self._places:
                    api.connect_container_to_network(
                        self._id, place.network, ipv4_address=place.address, aliases=list(place.aliases)
                    )
                api.start(self._id)
                self._note_published(api.inspect_container(self._id))
        except EngineError as error:
            raise SetUpError(str(error)) from error
        self._log.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        self._follower = Follower(self._engine, self._id, self._log)
        self._follower.start()
        self.gate = GateClient(*self.published(self._ports.gate), self._token)
        self.toxiproxy.connect(self.published(self._ports.api))
        self._await_both()
        self.toxiproxy.make_proxies()
        return self.gate.clock()

    def published(self, port: int) -> Address:
        """Where this machine reaches a port of the proxy."""
        if port in self._published:
            return "127.0.0.1", self._published[port]
        return self._control.address, port

    def published_ports(self) -> list[int]:
        """Every port of this machine that leads to it."""
        return list(self._published.values())

    def check(self) -> None:
        """Raise HarnessError when it no longer runs."""
        state = self._state()
        if not state.get("Running"):
            code = state.get("ExitCode")
            raise HarnessError(f"the proxy's container ended by itself, exit code {code}", hint=f"its log: {self._log}")

    def cpu_s(self) -> float | None:
        """Seconds of processor it has used; None where that is not known."""
        return None if self.pid is None or self._id is None else used(self.pid, self._id)[0]

    def down(self) -> None:
        """Let the gate write its last rows and end; the container itself is removed with the run. Safe to call twice."""
        with self._lock:
            container, self._id = self._id, None
        self.toxiproxy.disconnect()
        if container is None:
            return
        with suppress(GateError):
            self.gate.stop()
        with suppress(EngineError), self._engine.asking("wait for the proxy's end") as api:
            api.wait(container, timeout=END_LIMIT_S)
        if self._follower is not None:
            self._follower.stop()

    # -- starting ----------------------------------------------------------------------------

    def _image(self) -> str:
        """The image's name, once it is seen to hold this very code."""
        image = os.environ.get(IMAGE_VARIABLE) or IMAGE
        try:
            with self._engine.asking(f"find the image {image}") as api:
                labels = api.inspect_image(image)["Config"].get("Labels") or {}
        except EngineError as error:
            raise SetUpError(f"there is no image {image}, which holds the gate and Toxiproxy", hint=BUILD) from error
        if (found := labels.get(SOURCES)) != fingerprint():
            raise SetUpError(
                f"the image {image} holds another gate ({found}) than this one ({fingerprint()})", hint=BUILD
            )
        return image

    def _write_configuration(self) -> None:
        folder, spool = self._run_dir / "proxy", self._run_dir / SPOOL_FOLDER / "proxy"
        for one in (folder, spool):
            one.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        write_config(
            folder / "gate.json", token=self._token, control=(self._control.address, self._ports.gate),
            links=self._links, spool=Path("/spool/gate.jsonl"), lifeline=False, enclosed=True,
        )  # fmt: skip
        with open(folder / "proxy.json", "w", encoding="utf-8", opener=private_opener) as file:
            json.dump({"toxiproxy": (self._control.address, self._ports.api), "gate": "/config/gate.json"}, file)
        if os.getuid() == 0:  # the container's user is not us, and nobody else may read them
            for one in (folder, spool, folder / "gate.json", folder / "proxy.json"):
                os.chown(one, IMAGE_USER, IMAGE_USER)

    def _create(self, api: Any, image: str) -> str:
        ports = self._ports.published
        host = api.create_host_config(
            binds=[f"{self._run_dir / 'proxy'}:/config:ro", f"{self._run_dir / SPOOL_FOLDER / 'proxy'}:/spool"],
            port_bindings=dict.fromkeys(ports, ("127.0.0.1", None)),
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            read_only=True,
            # A name that no container has must be told unknown at once, not be looked for in the world outside.
            dns=["127.0.0.1"],
            sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},  # an upstream's port may be 80
            **self._share,
        )
        network = api.create_networking_config(
            {self._control.network: api.create_endpoint_config(ipv4_address=self._control.address)}
        )
        made = api.create_container(
            image, name=self._name, labels={RUN: self._run_id, PART: "proxy"}, ports=list(ports), host_config=host,
            networking_config=network, user=None if os.getuid() == 0 else f"{os.getuid()}:{os.getgid()}",
        )  # fmt: skip
        return str(made["Id"])

    def _note_published(self, found: Mapping[str, Any]) -> None:
        self.pid = found["State"]["Pid"] or None
        bound = found["NetworkSettings"]["Ports"]
        self._published = {
            int(port.partition("/")[0]): int(places[0]["HostPort"]) for port, places in bound.items() if places
        }
        missing = [port for port in self._ports.published if port not in self._published]
        if missing:
            raise SetUpError(
                f"the engine did not publish the proxy's ports {missing}; is it started with --iptables=false?"
            )

    def _await_both(self) -> None:
        deadline_s = time.monotonic() + READY_LIMIT_S
        while True:
            try:
                self.gate.status()
                self.toxiproxy.must_fit(self.toxiproxy.answers())
                return
            except SetUpError:
                raise
            except HarnessError as error:
                problem = error
            if not self._state().get("Running"):
                raise SetUpError(
                    f"the proxy's container ended at once{self._last_lines()}", hint=f"its log: {self._log}"
                )
            if time.monotonic() > deadline_s:
                raise SetUpError(f"the proxy did not answer within {READY_LIMIT_S:g} s: {problem}{self._last_lines()}")
            time.sleep(_PACE_S)

    def _state(self) -> Mapping[str, Any]:
        if self._id is None:
            return {}
        with self._engine.asking("look at the proxy's container") as api:
            state: Mapping[str, Any] = api.inspect_container(self._id)["State"]
            return state

    def _last_lines(self) -> str:
        time.sleep(0.2)  # the engine hands lines on a moment after they were written
        try:
            lines = self._log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:]
        except OSError:
            lines = []
        return "; last log lines:\n" + "\n".join(f"    {line}" for line in lines) if lines else ""
