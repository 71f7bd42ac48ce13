"""HAProxy and Redis by their launchers: states told as they change, and nothing left behind."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from services.redis.protocol import ask

ROOT = Path(__file__).parents[2]
HOST = f"127.{60 + os.getpid() % 3}.{os.getpid() % 199 + 1}.1"
PATIENCE_S = 30.0

pytestmark = pytest.mark.system


def needs(program):
    found = shutil.which(program) or (Path("/usr/sbin") / program).exists()
    return pytest.mark.skipif(not found, reason=f"{program} is not installed: .ci/install-balancers")


class Launcher:
    """A launcher in a process of its own, ended when left."""

    def __init__(self, module, **values):
        environment = {**os.environ, "HOST": HOST, **values}
        self.process = subprocess.Popen([sys.executable, "-m", module], env=environment, cwd=ROOT)

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()


def until(question):
    """The first true answer. Fails when there is none in time."""
    ends_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_s:
        try:
            if answer := question():
                return answer
        except (OSError, http.client.HTTPException, ValueError):
            pass
        time.sleep(0.05)
    raise AssertionError("it did not come to that in time")


def got(host, port, path):
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def states(path, port):
    status, body = got(HOST, port, path)
    return {name: node["state"] for name, node in json.loads(body)["nodes"].items()} if status == 200 else {}


@pytest.fixture
def instances():
    """Two small servers that say their name."""
    found = []
    for number in (1, 2):

        class Handler(http.server.BaseHTTPRequestHandler):
            name = f"instance-{number}".encode()

            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(self.name)))
                self.end_headers()
                self.wfile.write(self.name)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer((HOST, 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        found.append(server)
    yield found
    for server in found:
        server.shutdown()
        server.server_close()


@needs("haproxy")
def test_a_balancer_asks_both_and_then_only_who_is_left(instances, tmp_path):
    """An instance that is gone is told as down, and no client hears of it."""
    servers = " ".join(f"one-{n}={HOST}:{s.server_address[1]}" for n, s in enumerate(instances))
    values = {"POOLS": "one", "ONE_PORT": "18090", "ONE_SERVERS": servers, "CHECK_PATH": "/", "DATA": str(tmp_path)}
    with Launcher("services.haproxy.node", **values) as process:
        until(lambda: got(HOST, 18090, "/haproxy/ready")[0] == 200)
        assert {b"instance-1", b"instance-2"} == {got(HOST, 18090, "/")[1] for _ in range(10)}
        instances[0].shutdown()
        instances[0].server_close()
        answers = {got(HOST, 18090, "/") for _ in range(20)}
        until(lambda: states("/haproxy/state", 18090) == {"one-0": "down", "one-1": "up"})

        assert answers == {(200, b"instance-2")}
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


@needs("haproxy")
def test_a_configuration_that_haproxy_refuses_is_told_in_its_words(tmp_path):
    """Exit code 2 and HAProxy's own alert."""
    values = {"POOLS": "one", "ONE_PORT": "18091", "ONE_SERVERS": "a=no.such.host.invalid:1", "DATA": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "services.haproxy.node"], env={**os.environ, "HOST": HOST, **values}, cwd=ROOT,
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert "no.such.host.invalid" in done.stderr


@needs("redis-server")
def test_sentinels_make_the_replica_the_primary(tmp_path):
    """The primary dies: two of three Sentinels agree on it, and the replica takes writes."""
    one, two = f"{HOST[:-1]}2", f"{HOST[:-1]}3"
    common = {"DATA": str(tmp_path), "STATE_PORT": "6380", "PORT": "6379"}
    first = Launcher("services.redis.node", **common | {"HOST": one, "NAME": "redis-1", "ANNOUNCED": f"{one}:6379"})
    replica = {"HOST": two, "NAME": "redis-2", "ANNOUNCED": f"{two}:6379", "REPLICA_OF": f"{one}:6379"}
    sentinels = []
    with first as primary, Launcher("services.redis.node", **common | replica):
        try:
            until(lambda: "master_link_status:up" in ask((two, 6379), "INFO", "replication"))
            for number in range(3):
                place = f"{HOST[:-1]}{number + 4}"
                sentinels.append(Launcher("services.redis.sentinel", HOST=place, NAME=f"sentinel-{number}", DATA=str(tmp_path), MONITOR=f"{one}:6379", ANNOUNCED=f"{place}:26379"))  # fmt: skip
            until(lambda: _agreed(f"{HOST[:-1]}4"))
            primary.send_signal(signal.SIGTERM)
            until(lambda: ask((two, 6379), "ROLE")[0] == "master")

            assert ask((two, 6379), "SET", "key", "value") == "OK"
        finally:
            for sentinel in sentinels:
                sentinel.__exit__()


def _agreed(place):
    """Whether a Sentinel knows the replica and both others."""
    told = ask((place, 26379), "SENTINEL", "masters")[0]
    facts = dict(zip(told[::2], told[1::2], strict=True))
    return facts["num-slaves"] == "1" and facts["num-other-sentinels"] == "2"
