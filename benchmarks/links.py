"""
What a link costs: one small request over one kept-alive connection, on four ways.

    python benchmarks/links.py [--toxiproxy PATH] [--rounds 60] [--requests 100]

direct, through Toxiproxy, through the gate, and through both as in a run. Rounds are short and the ways come in a
shuffled order within each, so that what else the machine does hits none of them more; what a way adds is the median
over the rounds of the difference within one round. Prints a table and one line of JSON; exits 1 when the
gate adds as much as Toxiproxy does, 4 when there is no Toxiproxy.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from harness.links.base import LinkSpec
from harness.links.gate.config import write_config

HOST = "127.0.0.1"
WAYS = ("direct", "toxiproxy", "gate", "gate+toxiproxy")
REQUEST = (
    b"GET /payments/17 HTTP/1.1\r\nHost: payment\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
    b"User-Agent: benchmark\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n"
)
BODY = b"x" * 100
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
WARM_UP_REQUESTS = 300
START_LIMIT_S = 10.0


@dataclass
class Way:
    """One way to the upstream, its connection and what was measured on it."""

    name: str
    port: int
    connection: socket.socket
    p50_us: list[float] = field(default_factory=list)
    p99_us: list[float] = field(default_factory=list)


def serve() -> None:
    """The upstream: says its port, then answers every request of every connection at once."""
    with socket.create_server((HOST, 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                answer_all(connection)
                os._exit(0)
            connection.close()


def answer_all(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):
        while connection.recv(65536):
            connection.sendall(ANSWER)


def measure(connection: socket.socket, requests: int) -> list[float]:
    """Durations of so many requests, one after the other, in microseconds, in ascending order."""
    durations_us = []
    for _ in range(requests):
        began_ns = time.perf_counter_ns()
        connection.sendall(REQUEST)
        missing = len(ANSWER)
        while missing:
            data = connection.recv(65536)
            if not data:
                raise ConnectionError("a way closed its connection")
            missing -= len(data)
        durations_us.append((time.perf_counter_ns() - began_ns) / 1000)
    return sorted(durations_us)


def measure_all(ways: list[Way], rounds: int, requests: int) -> None:
    order = list(ways)
    shuffle = random.Random(7).shuffle
    for way in ways:
        measure(way.connection, WARM_UP_REQUESTS)
    for _ in range(rounds):
        shuffle(order)
        for way in order:
            durations_us = measure(way.connection, requests)
            way.p50_us.append(durations_us[len(durations_us) // 2])
            way.p99_us.append(durations_us[len(durations_us) * 99 // 100])


@contextlib.contextmanager
def started(argv: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A child in a session of its own, ended with all its children."""
    with (folder / "stderr.log").open("ab") as errors:
        child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
    try:
        yield child
    finally:
        child_of_ours = psutil.Process(child.pid)
        for process in [*child_of_ours.children(recursive=True), child_of_ours]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        child.communicate()


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def connect(port: int) -> socket.socket:
    """Connect as soon as somebody listens. Raises OSError after START_LIMIT_S."""
    until_s = time.monotonic() + START_LIMIT_S
    while True:
        try:
            connection = socket.create_connection((HOST, port), START_LIMIT_S)
        except OSError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.02)
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def run(toxiproxy: str, rounds: int, requests: int) -> dict[str, object]:
    """Start everything, measure, end everything."""
    with contextlib.ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory()))
        upstream = undo.enter_context(started([sys.executable, __file__, "--serve"], folder))
        assert upstream.stdout is not None
        upstream_port = int(upstream.stdout.readline())
        api, proxied, gated, gated_proxied, control = free_ports(5)
        proxies = [{"name": "up", "listen": f"{HOST}:{proxied}", "upstream": f"{HOST}:{upstream_port}"}]
        (folder / "proxies.json").write_text(json.dumps(proxies))
        argv = [toxiproxy, "-host", HOST, "-port", str(api), "-config", str(folder / "proxies.json")]
        undo.enter_context(_quiet(argv, folder))
        connect(proxied).close()
        links = [_link("load->a", gated, upstream_port), _link("load->b", gated_proxied, proxied)]
        write_config(folder / "gate.json", token="t", control=(HOST, control), spool=folder / "gate.jsonl", links=links)
        gate = undo.enter_context(
            started([sys.executable, "-m", "harness.links.gate", str(folder / "gate.json")], folder)
        )
        assert gate.stdout is not None
        ready = gate.stdout.readline()
        assert json.loads(ready) == {"event": "ready"}, ready
        ports = dict(zip(WAYS, (upstream_port, proxied, gated, gated_proxied), strict=True))
        ways = [Way(name, port, undo.enter_context(connect(port))) for name, port in ports.items()]
        before_s = sum(psutil.Process(gate.pid).cpu_times()[:2])
        measure_all(ways, rounds, requests)
        cpu_s = sum(psutil.Process(gate.pid).cpu_times()[:2]) - before_s
        through_gate = 2 * (rounds * requests + WARM_UP_REQUESTS)
    return summary(ways, cpu_us=cpu_s / through_gate * 1e6) | {"rounds": rounds, "requests": requests}


@contextlib.contextmanager
def _quiet(argv: list[str], folder: Path) -> Iterator[None]:
    """A child whose output nobody reads goes into a file, lest it fills its pipe."""
    with (folder / "toxiproxy.log").open("wb") as log:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        child.kill()
        child.wait()


def _link(name: str, listen: int, proxy: int) -> LinkSpec:
    return LinkSpec(name=name, listen=(HOST, listen), proxy=(HOST, proxy), upstream=(HOST, proxy), protocol="auto")


def summary(ways: list[Way], cpu_us: float) -> dict[str, object]:
    """Medians over the rounds, and what gate and Toxiproxy add to the median request."""
    p50 = {way.name: statistics.median(way.p50_us) for way in ways}
    p99 = {way.name: statistics.median(way.p99_us) for way in ways}
    by_name = {way.name: way for way in ways}

    def adds(more: str, less: str) -> float:
        """What one way costs more than another: both within the same round, so in the same weather."""
        rounds = zip(by_name[more].p50_us, by_name[less].p50_us, strict=True)
        return statistics.median(a - b for a, b in rounds)

    toxiproxy_adds = adds("toxiproxy", "direct")
    gate_adds = adds("gate+toxiproxy", "toxiproxy")
    return {
        "benchmark": "links",
        "p50_us": {name: round(value, 1) for name, value in p50.items()},
        "p99_us": {name: round(value, 1) for name, value in p99.items()},
        "toxiproxy_adds_us": round(toxiproxy_adds, 1),
        "gate_adds_us": round(gate_adds, 1),
        "gate_alone_adds_us": round(adds("gate", "direct"), 1),
        "ratio": round(gate_adds / toxiproxy_adds, 3),
        "gate_cpu_us_per_request": round(cpu_us, 1),
    }


def show(result: dict[str, object]) -> None:
    p50, p99 = result["p50_us"], result["p99_us"]
    assert isinstance(p50, dict)
    assert isinstance(p99, dict)
    print(f"{'way':<16}{'p50':>10}{'p99':>10}{'p50 more than direct':>24}")
    for name in WAYS:
        print(f"{name:<16}{p50[name]:>7.0f} us{p99[name]:>7.0f} us{p50[name] - p50['direct']:>21.0f} us")
    print(
        f"the gate adds {result['gate_adds_us']} us to Toxiproxy's {result['toxiproxy_adds_us']} us: "
        f"ratio {result['ratio']} (target below 1), {result['gate_cpu_us_per_request']} us of CPU a request"
    )
    print(json.dumps(result))


def find_toxiproxy() -> str | None:
    """The server, where the harness itself would find it."""
    from harness.links import provision

    found = provision.find_toxiproxy(provision.cache_folder(), os.environ)
    return str(found) if found else shutil.which("toxiproxy-server")


def main() -> int:
    """Exit code 0: the gate adds less than Toxiproxy; 1: it does not; 4: there is no Toxiproxy."""
    parser = argparse.ArgumentParser(description="what a link costs")
    parser.add_argument("--toxiproxy", help="the toxiproxy-server to measure; default: the one the harness uses")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--requests", type=int, default=100, help="on each way in each round")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
    toxiproxy = options.toxiproxy or find_toxiproxy()
    if toxiproxy is None:
        print("no toxiproxy-server; name one with --toxiproxy PATH", file=sys.stderr)
        return 4
    result = run(toxiproxy, options.rounds, options.requests)
    show(result)
    return 0 if float(str(result["ratio"])) < 1 else 1


if __name__ == "__main__":
    sys.exit(main())
