"""The cluster by hand: it fails over, takes the old primary back, tells split brain apart, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from postgres_rig import ROOT, Cluster

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("cluster")
    with Cluster(folder) as running:
        running.ready(120)
        with running.connect() as connection:
            connection.execute("CREATE TABLE written (id bigint PRIMARY KEY)")
        yield running


def write(cluster: Cluster, number: int) -> bool:
    try:
        with cluster.connect() as connection:
            connection.execute("INSERT INTO written VALUES (%s)", (number,))
        return True
    except psycopg.Error:
        return False


def settled(cluster: Cluster) -> str:
    cluster.ready(90)
    return cluster.primary


def segments() -> set[str]:
    """System V shared memory that no process holds any more."""
    lines = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    return {line.split()[1] for line in lines if int(line.split()[6]) == 0}


def test_a_killed_primary_is_replaced_and_comes_back_as_a_replica(cluster):
    """Writers at the one address notice a pause; what was acknowledged and replicated is there afterwards."""
    old = settled(cluster)
    assert write(cluster, 1)

    cluster.kill(old)
    cluster.until(lambda: write(cluster, 2), "writes to go on")
    leads = cluster.primary
    cluster.start(old)

    assert leads != old
    assert settled(cluster) == leads
    assert cluster.ask(old, "/replication")["role"] == "replica"
    with cluster.connect(old) as connection:
        cluster.until(lambda: connection.execute("SELECT count(*) FROM written").fetchone() == (2,), "both rows")


def test_a_frozen_primary_is_ended_before_it_thaws(cluster):
    """SIGKILL works on a frozen server; its agent thaws, finds its server gone, and asks what to be."""
    old = settled(cluster)

    cluster.signal(old, signal.SIGSTOP)
    cluster.until(lambda: write(cluster, 3), "writes to go on")
    cluster.signal(old, signal.SIGCONT)

    assert cluster.primary != old
    assert settled(cluster) != old
    fenced = [event for event in cluster.ask("supervisor", "/cluster")["events"] if event["kind"] == "fenced"]
    assert fenced[-1]["how"] == "by pid"
    assert fenced[-1]["processes"] >= 1


def test_a_planned_switchover_hands_over_everything(cluster):
    """The candidate has all that was written before it leads."""
    old = settled(cluster)
    candidate = next(node for node in ("pg0", "pg1", "pg2") if node != old)
    assert write(cluster, 4)

    cluster.ask("supervisor", "/switchover", "POST", {"candidate": candidate})

    assert settled(cluster) == candidate
    with cluster.connect() as connection:
        assert connection.execute("SELECT count(*) FROM written WHERE id = 4").fetchone() == (1,)


def test_a_server_whose_postmaster_died_alone_writes_nothing_more(cluster):
    """Its backends are ended before anything is started on their data."""
    old = settled(cluster)
    killed = cluster.ask(old, "/replication")["postmaster"]

    os.kill(killed, signal.SIGKILL)
    cluster.until(lambda: write(cluster, 5), "writes to go on")

    settled(cluster)
    assert not psutil.pid_exists(killed) or psutil.Process(killed).status() == psutil.STATUS_ZOMBIE


def test_servers_do_not_run_as_root(cluster):
    """PostgreSQL would refuse; what is checked is that somebody else's rights are really less."""
    if os.geteuid() != 0:
        pytest.skip("only root hands its servers to somebody else")
    owners = {process.username() for process in cluster.tree("pg1")[1:]}

    assert owners
    assert "root" not in owners


def test_killing_everything_leaves_no_process_and_no_shared_memory(tmp_path):
    """No segment, no orphan: the runner's own death is a normal event."""
    before = segments()
    with Cluster(tmp_path) as cluster:
        cluster.ready(120)
        trees = [process for name in ("pg0", "pg1", "pg2") for process in cluster.tree(name)]
        assert sum(process.name() == "postgres" for process in trees) > 10

    _, alive = psutil.wait_procs(trees, 5)
    assert alive == []
    assert segments() - before == set()


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"NODE": "pg9"}, 2, "NODE is 'pg9'"),
        ({"POSTGRES_BIN": "/nowhere"}, 2, "/nowhere lacks postgres"),
        ({"POSTGRES_ACCOUNT": "root"}, 2, "PostgreSQL does not run as root"),
        ({"DATA": "/proc/nothing/here"}, 4, "cannot make the data folder /proc/nothing/here"),
        ({"NODES": "pg0=127.9.9.1:5432,pg1=127.9.9.3:5432"}, 2, "NODES names 2 nodes, and SUPERVISOR nobody who leads"),
    ],
)
def test_a_node_that_cannot_start_says_why_in_one_line(tmp_path, changed, code, said):
    """Wrong input is 2, a machine that cannot is 4."""
    if "POSTGRES_ACCOUNT" in changed and os.geteuid() != 0:
        pytest.skip("an ordinary user keeps its own account")
    values = {
        "NODE": "pg0", "NODES": "pg0=127.9.9.1:5432", "HOST": "127.9.9.1", "DATA": str(tmp_path / "data"), **changed,
    }  # fmt: skip

    ended = subprocess.run(
        [sys.executable, "-m", "services.postgres.node"], cwd=ROOT, env={**os.environ, **values},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip

    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def node_on(host, data):
    """A node that leads itself, until it ends."""
    values = {"NODE": "pg0", "NODES": f"pg0={host}:5432", "HOST": host, "DATA": str(data)}
    return subprocess.run(
        [sys.executable, "-m", "services.postgres.node"], cwd=ROOT, env={**os.environ, **values},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_data_folder_of_another_version_is_refused_and_left_alone(tmp_path):
    """Wrong input: another folder is what would be right, or the programs of that version."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("9.6\n", encoding="ascii")

    ended = node_on("127.9.9.4", data)

    assert ended.returncode == 2, ended.stderr
    assert f"DATA {data} was made by PostgreSQL 9.6" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_disk_without_room_for_a_database_is_told_as_such(tmp_path):
    """On a real small disk; the machine cannot, which is 4, and initdb's own words say why."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a disk of four megabytes needs the right to mount one")
    try:
        ended = node_on("127.9.9.5", disk / "data")
    finally:
        subprocess.run(["umount", str(disk)], check=True)

    assert ended.returncode == 4, ended.stderr
    assert "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_told_as_such(tmp_path):
    """By the agent's own interface, which listens first."""
    import socket

    with socket.create_server(("127.9.9.2", 8008)):
        values = {"NODE": "pg0", "NODES": "pg0=127.9.9.2:5432", "HOST": "127.9.9.2", "DATA": str(tmp_path / "data")}
        started_s = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", "services.postgres.node"], cwd=ROOT, env={**os.environ, **values},
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip

    assert ended.returncode == 4, ended.stderr
    assert "cannot listen on 127.9.9.2:8008" in ended.stderr
    assert time.monotonic() - started_s < 30
