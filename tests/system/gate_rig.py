"""A real gate process for tests, with links whose upstream is a socket in the test's own hands."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass

from harness.journal.spool import COLUMNS, SpoolReader
from harness.links.gate_client import GateClient

LIMIT_S = 5.0
HOST = "127.88.7.1"  # nobody else listens there
TOKEN = "right"


def free_ports(count):
    """Ports that were free a moment ago, all different."""
    probes = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def receive(connection, count):
    """Exactly count bytes, or what came until the end."""
    data = b""
    while len(data) < count:
        piece = connection.recv(min(65536, count - len(data)))
        if not piece:
            break
        data += piece
    return data


def receive_all(connection):
    return receive(connection, 1 << 40)


def reset(connection):
    """Close so that the other end gets a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@dataclass
class TestLink:
    """One link: connect() gives both ends of a connection through the gate."""

    __test__ = False

    rig: GateRig
    name: str
    listen: tuple[str, int]
    upstream: socket.socket
    opened: list[socket.socket]

    def dial(self):
        client = socket.create_connection(self.listen, LIMIT_S)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.opened.append(client)
        return client

    def accept(self):
        server, _ = self.upstream.accept()
        server.settimeout(LIMIT_S)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.opened.append(server)
        return server

    def connect(self):
        client = self.dial()
        return client, self.accept()

    def fault(self, spec, name="fault"):
        return self.rig.client.fault_on(name, self.name, spec)

    def heal(self, name="fault"):
        return self.rig.client.fault_off(name, self.name)

    def wire(self, count):
        """The first `count` exchanges of this link, as dicts, once they are written."""
        return self.rig.rows("wire", self.name, count)

    def connections(self, count=1):
        return self.rig.rows("connections", self.name, count)


class GateRig:
    """Starts the gate with `links` links; each test takes one of its own by take()."""

    def __init__(self, folder, links, protocol="auto"):
        self.folder = folder
        self.spool = folder / "gate.jsonl"
        ports = iter(free_ports(links + 1))
        self.control = (HOST, next(ports))
        self.client = GateClient(*self.control, TOKEN)
        self._reader = SpoolReader(self.spool)
        self._rows = []
        self._opened = []
        self._links = [self._link(f"link-{number}->up", next(ports)) for number in range(links)]
        self._free = iter(self._links)
        config = {
            "token": TOKEN, "control": self.control, "spool": str(self.spool), "lifeline": True,
            "links": [
                {"name": link.name, "listen": link.listen, "upstream": link.upstream.getsockname(), "protocol": protocol}
                for link in self._links
            ],
        }  # fmt: skip
        path = folder / "gate.json"
        path.write_text(json.dumps(config))
        self._start(path)

    def _start(self, path):
        with (self.folder / "stderr").open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "harness.links.gate", str(path)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        self.first_line = json.loads(self.process.stdout.readline())

    def _link(self, name, port):
        upstream = socket.create_server(("127.0.0.1", 0))
        upstream.settimeout(LIMIT_S)
        self._opened.append(upstream)
        return TestLink(self, name, (HOST, port), upstream, self._opened)

    def take(self):
        return next(self._free)

    def rows(self, table, subject, count):
        """At least count rows of a table that concern a link; waits for the gate to write them."""
        until_s = time.monotonic() + LIMIT_S
        while True:
            self._rows += self._reader.rows()
            found = [dict(zip(COLUMNS[t], values, strict=True)) for t, values in self._rows if t == table]
            found = [row for row in found if subject in (row.get("link"), row.get("subject"))]
            if len(found) >= count or time.monotonic() > until_s:
                return found
            time.sleep(0.02)

    def said(self):
        """What the gate wrote to standard error; a gate without faults of its own writes nothing."""
        return (self.folder / "stderr").read_text()

    def close(self):
        """End the gate as a runner that is gone would, and return its exit code; the links' sockets go after it."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            return self.process.wait(LIMIT_S)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            for opened in self._opened:
                opened.close()
