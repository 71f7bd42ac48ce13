"""The gate as a process: how it starts, what it says of itself, how it ends."""

from __future__ import annotations

import json
import socket

import pytest
from gate_rig import HOST, LIMIT_S, GateRig, receive

from harness.links.gate_client import GateError

pytestmark = pytest.mark.system


def test_the_end_of_standard_input_ends_it_with_everything_written(tmp_path):
    """When the runner is gone the gate exits at once; what was open is never_answered."""
    rig = GateRig(tmp_path, links=1)
    link = rig.take()
    client, upstream = link.connect()
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    receive(upstream, 18)

    assert rig.first_line == {"event": "ready"}
    assert rig.close() == 0
    assert [row["ending"] for row in link.wire(1)] == ["never_answered"]
    assert [(row["closed_by"], row["ending"]) for row in link.connections()] == [("gate", "aborted")]


def test_it_tells_its_own_lag_and_how_much_goes_on(tmp_path):
    """The spool holds the event loop's lag, the end, and a probe each second of a link in use."""
    rig = GateRig(tmp_path, links=2)
    link = rig.take()
    client, _ = link.connect()
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    probes = rig.rows("probes", link.name, 2)
    rig.client.stop()
    rig.process.wait(LIMIT_S)
    rig.close()
    events = rig.rows("events", "gate", 2)

    assert json.loads(probes[-1]["data"]) == {"connections_open": 1, "in_flight": 1, "exchanges": 0}
    assert rig.rows("probes", rig.take().name, 0) == []
    assert {event["kind"] for event in events} == {"gate.lag", "gate.ended"}
    assert json.loads(events[-1]["data"])["samples"] > 10


def test_a_taken_port_is_said_and_ends_it(tmp_path):
    """A port that is taken: one line that names it, exit code 4."""
    rig = GateRig(tmp_path, links=1)
    held = rig.take().listen
    config = json.loads((tmp_path / "gate.json").read_text())
    rig.close()
    with socket.create_server(held):
        second = object.__new__(GateRig)
        second.folder = tmp_path
        second._opened = []
        second._start(tmp_path / "gate.json")
        code = second.close()

    assert config["links"][0]["listen"] == list(held)
    assert code == 4
    assert second.first_line["event"] == "error"
    assert f"{HOST}:{held[1]}" in second.first_line["error"]


def test_a_gate_that_is_gone_is_said(tmp_path):
    """Asking a gate that has ended names what was asked and where."""
    rig = GateRig(tmp_path, links=1)
    link = rig.take()
    rig.close()

    with pytest.raises(GateError, match=r"did not answer 'fault.off fault link-0->up'"):
        link.heal()


def test_a_raw_link_is_not_read_along(tmp_path):
    """On a link declared raw nothing is taken for HTTP, and nothing is held."""
    rig = GateRig(tmp_path, links=1, protocol="raw")
    link = rig.take()
    link.fault({"kind": "abort"})
    client, upstream = link.connect()
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")

    assert receive(upstream, 18) == b"GET / HTTP/1.1\r\n\r\n"

    rig.close()

    assert link.wire(0) == []
    assert [row["protocol"] for row in link.connections()] == ["raw"]
