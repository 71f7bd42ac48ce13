"""The control socket and the page: whoever shows the token, and nobody else."""

from __future__ import annotations

import http.client
import json
import socket

import pytest
from live_samples import desk_on

from harness.errors import HarnessError, InputError
from harness.live.client import Client
from harness.live.control import Control
from harness.live.door import FILE_NAME, Door, find_door
from harness.live.page import Page
from harness.run import registry


def door_to(control, token="right", **more):
    host, port = control.address
    words = {
        "run": "run-1",
        "name": "n",
        "host": host,
        "port": port,
        "token": token,
        "page": None,
        "pid": 1,
        "folder": "",
    }
    return Door(**words | more)


@pytest.fixture
def control():
    desk, session, _ = desk_on()
    session.setting = type("Setting", (), {"run_id": "run-1"})
    with Control(desk, "right") as opened:
        opened.session = session
        yield opened


def test_orders_are_carried_out_and_answered(control):
    """A fault is done when its answer comes, undone when that of heal does."""
    with Client(door_to(control)) as client:
        told = client.ask("inject", phrase="latency order->payment 2s", for_s=30, by="ana")
        assert control.session.on == ["latency"]
        assert client.ask("status")["status"]["faults"][0]["name"] == "latency"
        client.ask("note", text="hm", by="ana")
        assert client.ask("heal", by="ana") == {"names": ["latency"]}

    assert told["name"] == "latency"
    assert control.session.on == []


def test_a_wrong_order_is_told_with_its_exit_code(control):
    """What would be wrong input here is wrong input there."""
    with Client(door_to(control)) as client, pytest.raises(HarnessError) as caught:
        client.ask("inject", phrase="latency order->paiment 2s", for_s=30, by="ana")

    assert (caught.value.exit_code, caught.value.hint) == (2, "did you mean 'order->payment'?")


@pytest.mark.parametrize(
    "line", [b"", b"\n", b'{"token": "wrong"}\n', b'{"token": 7}\n', b"[" * 1000 + b"\n", b"GET / HTTP/1.1\r\n"]
)
def test_a_stranger_is_sent_away_without_a_word(control, line):
    """Nothing but the token opens the door."""
    with socket.create_connection(control.address, timeout=10) as stranger:
        stranger.sendall(line + b'{"op": "status"}\n')
        stranger.shutdown(socket.SHUT_WR)
        try:
            heard = stranger.recv(100)
        except ConnectionResetError:
            heard = b""
    assert heard == b""


@pytest.mark.parametrize(
    "line",
    [
        b"no json\n",
        b"[]\n",
        b'{"op": "rm"}\n',
        b'{"op": "inject"}\n',
        b'{"op": "inject", "phrase": "kill order", "for_s": "x"}\n',
    ],
)
def test_nonsense_is_answered_as_wrong_input(control, line):
    """A line that is no order does no harm and ends nothing."""
    answer = control.answer(line)

    assert (answer["ok"], answer["exit_code"]) == (False, 2)


def get(page, path, host="127.0.0.1"):
    port = int(page.url.split(":")[2].split("/")[0])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": f"{host}:{port}"})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), dict(answer.getheaders())
    connection.close()
    return found


def test_the_page_is_for_whoever_has_the_token():
    """Page and state with it, nothing without, nothing for a name that somebody else made point here."""
    with Page(lambda: {"name": "rehearsal"}, "right") as page:
        status, text, headers = get(page, "/?token=right")
        assert (status, "default-src 'none'" in headers["Content-Security-Policy"]) == (200, True)
        assert "http" not in text.replace("http-equiv", "")
        assert json.loads(get(page, "/state?token=right")[1]) == {"name": "rehearsal"}
        assert [get(page, path)[0] for path in ("/", "/state?token=wrong", "/other?token=right")] == [403, 403, 404]
        assert get(page, "/state?token=right", host="evil.example")[0] == 403


def test_a_living_system_is_found_by_its_register(tmp_path, monkeypatch):
    """The only one is found without a name; none, or two, are told."""
    environment = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with pytest.raises(InputError, match="no system is up"):
        find_door(None, environment)
    entries = []
    for run in ("run-a", "run-b"):
        folder = tmp_path / run
        folder.mkdir()
        entries.append(registry.register(run, folder, say=print, environment=environment))
        Door(run=run, name=run, host="127.0.0.1", port=1, token="t", page=None, pid=1, folder=str(folder)).write(folder)
        assert (folder / FILE_NAME).stat().st_mode & 0o077 == 0

    assert find_door("run-b", environment).run == "run-b"
    with pytest.raises(InputError, match="2 systems are up"):
        find_door(None, environment)
    with pytest.raises(InputError, match="'run-c'"):
        find_door("run-c", environment)
    entries[0].remove()
    assert find_door(None, environment).run == "run-b"
    entries[1].remove()
