"""Faults harm only what the run itself started: any other target is refused, when it is read and when it is done."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.clock import FakeClock
from harness.errors import HarnessError, InputError
from harness.faults import FAULTS
from harness.links.base import LinkSpec
from harness.links.gate.control import ControlServer
from harness.links.toxiproxy import ToxiproxyServer
from harness.scenario.file import parse_scenario
from harness.system.model import System
from harness.topology.processes import ProcessTopology

ROOT = Path(__file__).parents[2]
STRANGERS = {
    "link": ["order->bank.example:443", "order->192.168.1.7", "stranger->payment", "order->sshd"],
    "service": ["sshd", "1", "bank.example", "../payment", "postgres@db.example"],
}


def examples() -> list[tuple[str, str, str]]:
    """(fault, stranger, the fault as it is written) for every kind of fault."""
    found = []
    for name, fault in FAULTS.items():
        written = fault.example.removeprefix("fault: ")
        own = next(word.strip("[]{},") for key, word in zip(written.split(), written.split()[1:], strict=False)
                   if key.strip("{") in {"link:", "service:", "services:", "region:"})  # fmt: skip
        kind = "link" if "->" in own else "service"
        found += [(str(name), stranger, written.replace(own, f'"{stranger}"')) for stranger in STRANGERS[kind]]
    return found


@pytest.mark.parametrize(("name", "stranger", "written"), examples())
def test_a_scenario_cannot_name_a_target_outside_its_system(name: str, stranger: str, written: str) -> None:
    """Every kind of fault, with targets that are hosts, pids or programs of this machine: the line is refused."""
    text = (
        "name: x\nsystem: compose/shop.yaml\nload: {profile: checkout, arrivals: 10/s}\n"
        f"timeline:\n  - steady: 3s\n  - fault: {written}\n    as: f\n  - recovery: 1s\n"
        "expect:\n  - availability: {at_least: 99%}\n"
    )

    with pytest.raises(InputError) as refused:
        parse_scenario(text, str(ROOT / "x.yaml"))

    assert any(mistake.line == 6 for mistake in refused.value.mistakes), str(refused.value)
    assert stranger in str(refused.value)


def nobody(*_: Any, **__: Any) -> subprocess.Popen[bytes]:
    raise AssertionError("something was started")


@pytest.mark.parametrize("deed", ["kill", "stop", "pause", "resume", "start"])
def test_a_topology_touches_only_its_own_services(tmp_path: Path, deed: str) -> None:
    """Whoever asks, by whatever name: a process it did not start is not there for it."""
    system = System(name="x", file=tmp_path, services={}, links=(), profiles={}, objectives=(), ledgers=())
    topology = ProcessTopology(system, {}, tmp_path, spawn=nobody, emit=lambda *_: None, clock=FakeClock())

    with pytest.raises(HarnessError, match="no service 'sshd'"):
        getattr(topology, deed)("sshd")


def test_toxiproxy_is_asked_only_for_links_of_the_run(tmp_path: Path) -> None:
    """A toxic, a refusal or a heal on another link fails before anything is asked."""
    link = LinkSpec(
        name="a->b", listen=("127.0.0.1", 1), proxy=("127.0.0.1", 2), upstream=("127.0.0.1", 3), protocol="auto"
    )
    server = ToxiproxyServer(tmp_path, ("127.0.0.1", 8474), (link,), spawn=nobody, run_dir=tmp_path)

    for ask in (
        lambda: server.add_toxic("a->bank", "f", "latency", "upstream", 1.0, {"latency": 1}),
        lambda: server.remove_toxic("a->bank", "f"),
        lambda: server.refuse("a->bank"),
        lambda: server.accept("a->bank"),
    ):
        with pytest.raises(HarnessError, match="there is no link 'a->bank'"):
            ask()


def test_the_gate_faults_only_links_of_the_run() -> None:
    """Its control refuses a link it does not carry."""

    class NoLinks:
        links: dict[str, Any] = {}  # noqa: RUF012  as Controlled has it

        def status(self) -> dict[str, Any]:
            return {}

        def stop(self) -> None: ...

    answer = ControlServer(NoLinks(), "t")._answer(b'{"op": "fault.on", "name": "f", "link": "a->bank", "spec": {}}')

    assert answer["ok"] is False
    assert "unknown link 'a->bank'" in answer["error"]
