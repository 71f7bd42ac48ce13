"""The shop in containers: nothing passes the links by, services are hurt and come back, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from compose_engine import found_engine, left

from harness.engine.labels import PART, RUN, SERVICE
from harness.faults.build import kill, pause
from harness.run.options import RunOptions
from harness.testing import live_system

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "compose" / "shop.yaml"
LIMIT_S = 150
GONE_LIMIT_S = 60  # generous: how fast it is on a quiet machine is a benchmark's business

pytestmark = [pytest.mark.system, pytest.mark.slow]

# Tries to reach an address; says what became of it.
TRY = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1.5).close()
    print("reached")
except OSError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def engine():
    """An engine that has both images, or no test."""
    found = found_engine("harness-shop")
    yield found
    found.close()


def container_of(engine, run_id, service):
    with engine.asking("look") as api:
        [found] = api.containers(all=True, filters={"label": [f"{RUN}={run_id}", f"{SERVICE}={service}"]})
    return found


def said(engine, container, *words):
    """What a command inside a container prints."""
    with engine.asking("run a command") as api:
        command = api.exec_create(container["Id"], ["python", "-c", TRY, *words])
        return api.exec_start(command["Id"]).decode().strip()


def addresses(container):
    return [one["IPAddress"] for one in container["NetworkSettings"]["Networks"].values()]


def test_a_system_in_containers_is_walled_in_hurt_and_gone(engine, tmp_path):
    """
    An upstream is reached by its name and its port alone, which is the proxy: not by its address, another port or the
    host's. The probe sees a way past when there is one. A paused service and a killed one are told with their pids,
    come back, and at the end containers, networks and volumes are gone, images are not.
    """
    with live_system(SHOP, name="walled-in", options=RunOptions(reports=tmp_path, backend="compose")) as shop:
        run_id = shop._session.setting.run_id
        order, payment = (container_of(engine, run_id, name) for name in ("order", "payment"))
        [home] = addresses(payment)
        [gateway] = [one["Gateway"] for one in order["NetworkSettings"]["Networks"].values()]

        assert "reached" == said(engine, order, "payment", "18083")
        assert "reached" != said(engine, order, home, "18083")
        assert "reached" != said(engine, order, gateway, "18083")
        assert "reached" != said(engine, order, "payment", "8474")
        assert "reached" != said(engine, payment, "order", "18082")

        [network] = payment["NetworkSettings"]["Networks"]
        with engine.asking("build a way past") as api:
            api.connect_container_to_network(order["Id"], network)
        assert "reached" == said(engine, order, home, "18083")

        with shop.load("checkout", arrivals="10/s", steady="1s", recovery="1s"):
            with shop.fault(pause("user")):
                pass
            with shop.fault(kill("recommendation")):
                pass

    journal = sqlite3.connect(f"file:{next(tmp_path.glob('*/journal.db'))}?mode=ro", uri=True)
    told = {}
    for kind, subject, data in journal.execute("SELECT kind, subject, data FROM events ORDER BY t_ns"):
        told.setdefault((kind, subject), []).append(json.loads(data))
    facts = dict(journal.execute("SELECT key, value FROM run"))
    journal.close()

    assert told[("service.paused", "user")][0]["pid"] == told[("service.resumed", "user")][0]["pid"] > 0
    before, after = told[("service.started", "recommendation")]
    assert before["pid"] == told[("service.killed", "recommendation")][0]["pid"] != after["pid"]
    assert -9 == told[("service.killed", "recommendation")][0]["exit_code"]
    assert len(told[("service.ready", "recommendation")]) == 2
    assert json.loads(facts["proxy_clock"])["doubt_ns"] > 0
    assert left(engine, run_id) == []
    with engine.asking("look") as api:
        assert api.inspect_image("harness-shop")
    for service in ("order", "payment", "user", "proxy"):
        assert next(tmp_path.glob(f"*/logs/{service}.log")).stat().st_size > 0


def test_a_killed_runner_leaves_no_container(engine, tmp_path):
    """Its watchdog removes what it started, a paused container included."""
    command = [
        sys.executable, "-m", "harness", "run", ROOT / "scenarios" / "steady-state.yaml", "--backend", "compose",
        "--reports", tmp_path, "--plain",
    ]  # fmt: skip
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    runner = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        run_id, container = begun(engine, runner, tmp_path)
        with engine.asking("pause") as api:
            api.pause(container["Id"])
    finally:
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    deadline_s = time.monotonic() + GONE_LIMIT_S
    while (found := left(engine, run_id)) and time.monotonic() < deadline_s:
        time.sleep(0.1)

    assert found == []


def begun(engine, runner, folder):
    """The run's id and its first service's container, once that runs."""
    deadline_s = time.monotonic() + LIMIT_S
    while runner.poll() is None and time.monotonic() < deadline_s:
        runs = [path.parent.name for path in folder.glob("*/leases.jsonl")]
        if runs:
            filters = {"label": [f"{RUN}={runs[0]}", f"{PART}=service"], "status": "running"}
            with engine.asking("look") as api:
                found = api.containers(filters=filters)
            if found:
                return runs[0], found[0]
        time.sleep(0.05)
    pytest.fail(f"no container ran; the runner's exit code is {runner.poll()}")
