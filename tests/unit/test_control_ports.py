"""What steers a run listens on loopback alone and, where it is ours, to nobody without the run's token."""

from __future__ import annotations

import asyncio
import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SetUpError
from harness.links.base import is_loopback
from harness.links.gate import control
from harness.links.gate.config import read_config, write_config
from harness.links.gate.control import ControlServer
from harness.links.toxiproxy import ToxiproxyServer
from harness.system.layout import layout_of
from harness.system.model import Service, System, SystemLink

TOKEN = "the-runs-own"


def test_every_address_of_a_run_is_on_loopback() -> None:
    """Services, gates, proxies and both control ports."""
    words = {"command": ("serve",), "environment": {}, "port": 8080, "working_dir": None, "health": None}
    services = {name: Service(name=name, depends_on={}, **words) for name in ("order", "payment")}
    link = SystemLink(client="order", upstream="payment", port=8080)
    system = System(
        name="x", file=Path("x.yaml"), services=services, links=(link,), profiles={}, objectives=(), ledgers=()
    )

    layout = layout_of(system, "127.77")

    controls = [layout.toxiproxy_api, layout.gate_control]
    for host, _ in (*controls, *layout.services.values(), *layout.gates.values(), *layout.proxies.values()):
        assert ip_address(host).is_loopback
    assert all(is_loopback(address) for address in controls)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "", "gate.example"])
def test_the_gate_refuses_a_control_address_that_others_could_reach(tmp_path: Path, host: str) -> None:
    """Wherever its configuration comes from."""
    path = tmp_path / "gate.json"
    write_config(path, token=TOKEN, control=(host, 9000), spool=tmp_path / "spool", links=())

    with pytest.raises(SetUpError, match="others could reach"):
        read_config(path)


def test_the_gate_refuses_an_empty_token_and_its_file_is_private(tmp_path: Path) -> None:
    """A token anybody can guess is none."""
    path = tmp_path / "gate.json"
    write_config(path, token="", control=("127.0.0.1", 9000), spool=tmp_path / "spool", links=())

    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SetUpError, match="token is empty"):
        read_config(path)


def test_toxiproxys_api_never_listens_beyond_loopback(tmp_path: Path) -> None:
    """It knows no token, so the address is all there is; nothing is started elsewhere."""

    def spawn(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was started")

    server = ToxiproxyServer(tmp_path / "server", ("0.0.0.0", 8474), (), spawn=spawn, run_dir=tmp_path)

    with pytest.raises(SetUpError, match="loopback"):
        server.up()


class FakeGate:
    """Counts what it was asked."""

    def __init__(self) -> None:
        self.links: dict[str, Any] = {}
        self.asked = 0

    def status(self) -> dict[str, Any]:
        self.asked += 1
        return {"asked": self.asked}

    def stop(self) -> None:
        self.asked += 1


def talk(*lines: bytes) -> tuple[bytes, int]:
    """What a control answers to these lines, and how often its gate was asked."""

    async def exchange() -> tuple[bytes, int]:
        gate = FakeGate()
        server = ControlServer(gate, TOKEN)
        await server.listen("127.0.0.1", 0)
        assert server._server is not None
        host, port = server._server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port)
        for line in lines:
            writer.write(line + b"\n")
        if lines:
            writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        server.close()
        return answer, gate.asked

    return asyncio.run(exchange())


STATUS = json.dumps({"op": "status"}).encode()


def test_who_has_the_token_is_answered() -> None:
    """One line for each request."""
    answer, asked = talk(json.dumps({"token": TOKEN}).encode(), STATUS)

    assert json.loads(answer) == {"ok": True, "asked": 1}
    assert asked == 1


@pytest.mark.parametrize(
    "first",
    [b"", STATUS, b'{"token": ""}', b'{"token": null}', b'{"token": ["the-runs-own"]}', b'{"token": "the-runs-ow"}',
     b'"the-runs-own"', b"the-runs-own", b"\xff\xfe", b'{"token": "the-runs-own', b"GET / HTTP/1.1"],
)  # fmt: skip
def test_who_has_not_hears_nothing_and_moves_nothing(first: bytes) -> None:
    """The connection is closed without a word."""
    assert talk(first, STATUS, b'{"op": "stop"}') == (b"", 0)


def test_who_says_nothing_is_shown_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a token is not kept."""
    monkeypatch.setattr(control, "TOKEN_LIMIT_S", 0.05)

    assert talk() == (b"", 0)
