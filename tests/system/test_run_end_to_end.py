"""A whole run, from a scenario file to a verdict, and everything it leaves behind: its folder, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.children import RUN_VARIABLE

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "compose" / "shop.yaml"
SCENARIO = f"""
# A few seconds of the shop, with a short outage of recommendations.
name: tiny
system: {SHOP}
load: {{profile: checkout, arrivals: 30/s}}
timeline:
  - steady: 3500ms
  - fault: {{proxy: down, link: order->recommendation}}
    as: gone
    for: 2s
  - recovery: 1s
expect:
  - availability: {{at_least: 95%}}
"""
LIMIT_S = 90
LISTEN = """
import socket, time
for _ in range(600):  # another run on this machine may hold the port on an address of its own
    try:
        held = socket.create_server(("0.0.0.0", 18083))
        break
    except OSError:
        time.sleep(0.1)
print(flush=True)
time.sleep(90)
"""

pytestmark = pytest.mark.system


def harness(*words: object, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False, **more)


def left_of(run_ids: set[str]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(RUN_VARIABLE) in run_ids and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def runs_in(reports: Path) -> set[str]:
    return {path.name for path in reports.iterdir() if path.is_dir() and not path.is_symlink()}


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SCENARIO)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.yaml").write_text(SCENARIO)
    done = harness("run", folder / "tiny.yaml", "--reports", folder / "reports", "--plain", "--retry-busy", 3)
    return done, folder / "reports"


def test_a_run_ends_in_an_earned_verdict(finished):
    """The exit code is 0, the table shows the promise, and the receipts are there."""
    done, _ = finished

    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("PASS", "availability", "APPLIED", "HEALTHY", "VALID"):
        assert word in done.stdout


def test_a_run_leaves_its_folder_and_nothing_else(finished):
    """Journal, verdict, reports and logs are there, `latest` points to them, and no process is left."""
    _, reports = finished
    latest = reports / "latest"

    names = {path.name for path in latest.iterdir()}

    assert {"journal.db", "verdict.json", "report.html", "report.md", "junit.xml", "logs"} <= names
    assert "spool" not in names
    assert (latest / "logs" / "order.log").stat().st_size > 0
    assert left_of(runs_in(reports)) == []


def test_the_journal_holds_what_is_needed_to_repeat_the_run(finished):
    """Scenario text, seed, versions, machine and plan stand in the journal, and every link has wire rows."""
    _, reports = finished
    with sqlite3.connect(reports / "latest" / "journal.db") as db:
        facts = {key: json.loads(value) for key, value in db.execute("SELECT key, value FROM run")}
        links = {link for (link,) in db.execute("SELECT DISTINCT link FROM wire")}
    db.close()

    assert {"scenario_text", "seed", "versions", "machine", "plan", "system", "wall_anchor"} <= facts.keys()
    assert facts["versions"]["toxiproxy"] == "2.12.0"
    assert {"load->order", "order->user", "order->product", "order->payment", "order->recommendation"} <= links


def test_a_finished_run_can_be_judged_again(finished, tmp_path):
    """With nothing started, the same promises give the same verdict, and harder ones another."""
    _, reports = finished
    harder = tmp_path / "harder.yaml"
    harder.write_text(SCENARIO.replace("availability: {at_least: 95%}", "throughput: {at_least: 500/s}"))

    same = harness("judge", reports / "latest", "--json")
    other = harness("judge", reports / "latest", "--scenario", harder, "--json")

    assert (same.returncode, other.returncode) == (0, 1)
    assert json.loads(same.stdout)["verdict"] == "PASS"
    assert json.loads(other.stdout)["verdict"] == "FAIL"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_ended_runner_leaves_nothing_running(scenario, tmp_path, number):
    """Ctrl-C, SIGTERM and kill -9 in the middle of a run: within seconds no process of it is left, and the journal opens."""
    reports = tmp_path / "reports"
    command = [sys.executable, "-m", "harness", "run", str(scenario), "--reports", str(reports), "--plain"]
    runner = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: reports.is_dir() and any(begun(reports / run) for run in runs_in(reports)))
        runner.send_signal(number)
        runner.wait(LIMIT_S)
    finally:
        if runner.poll() is None:
            runner.kill()
            runner.wait()

    runs = runs_in(reports)
    wait_until(lambda: left_of(runs) == [])
    (run,) = runs
    again = harness("judge", reports / run, "--json")
    assert again.returncode == 3, again.stdout + again.stderr
    assert "cut short" in again.stdout


def begun(run: Path) -> bool:
    """Whether the load of a run is on."""
    try:
        with sqlite3.connect(f"file:{run / 'journal.db'}?mode=ro", uri=True) as db:
            found = db.execute("SELECT count(*) FROM requests").fetchone()[0] > 10
        db.close()
    except sqlite3.Error:
        return False
    return found


def wait_until(is_so) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < deadline_s, "it did not come about in time"
        time.sleep(0.05)


def assert_set_up_failed(done: subprocess.CompletedProcess[str], reports: Path, *words: str) -> None:
    assert done.returncode == 4, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    text = " ".join((done.stdout + done.stderr).split())
    for word in words:
        assert word in text, f"{word!r} is not in: {text}"
    if reports.is_dir():
        assert left_of(runs_in(reports)) == []


def test_without_toxiproxy_the_ways_to_get_it_are_said(scenario, tmp_path):
    """No Toxiproxy and no way to get it: exit 4, what was tried, and the ways out."""
    nowhere = tmp_path / "nowhere"
    environment = {
        **os.environ,
        "PATH": str(nowhere),
        "XDG_CACHE_HOME": str(nowhere),
        "HARNESS_TOXIPROXY_URL": "http://127.0.0.1:9",
    }
    environment.pop("HARNESS_TOXIPROXY", None)

    done = harness("run", scenario, "--reports", tmp_path / "reports", "--plain", env=environment)

    assert_set_up_failed(done, tmp_path / "reports", "Toxiproxy", "go install", "hint")


def test_a_taken_port_names_its_owner(scenario, tmp_path):
    """A port somebody holds on all addresses: exit 4, with the port, the service and the program that holds it."""
    with subprocess.Popen([sys.executable, "-c", LISTEN], stdout=subprocess.PIPE) as owner:
        try:
            assert owner.stdout is not None
            owner.stdout.readline()
            done = harness("run", scenario, "--reports", tmp_path / "reports", "--plain")
        finally:
            owner.kill()

    assert_set_up_failed(done, tmp_path / "reports", "18083", "payment", str(owner.pid))


def test_a_service_that_dies_at_start_shows_its_last_lines(scenario, tmp_path):
    """A service that ends before it is ready: exit 4, its name and what it last said."""
    scenario.write_text(SCENARIO.replace("load:", "with: {user: {SHOP_WORKERS: none-at-all}}\nload:", 1))

    done = harness("run", scenario, "--reports", tmp_path / "reports", "--plain")

    assert_set_up_failed(done, tmp_path / "reports", "user", "SHOP_WORKERS", "none-at-all")


def test_a_reports_folder_that_cannot_be_made_is_said(scenario, tmp_path):
    """No place for the run's folder: exit 4, the folder, and how to choose another."""
    (tmp_path / "reports").write_text("a file, not a folder")

    done = harness("run", scenario, "--reports", tmp_path / "reports", "--plain")

    assert done.returncode == 4, done.stdout + done.stderr
    assert str(tmp_path / "reports") in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="needs a small tmpfs, which needs root on Linux"
)
def test_a_full_disk_is_said_and_undone(scenario, tmp_path):
    """When the disk fills up under a run: exit 4, the file, the way out, and nothing left running."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(small)], check=True)
    try:
        done = harness("run", scenario, "--reports", small / "reports", "--plain")
        assert_set_up_failed(done, small / "reports", "full", "--reports")
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    for path in paths:
        path.write_text(SCENARIO.replace("name: tiny", f"name: {path.stem}"))
    return paths


def test_two_runs_side_by_side_do_not_disturb_each_other(two, tmp_path):
    """With -j 2 each scenario has a system of its own, and each gets its verdict."""
    done = harness("run", *two, "-j", 2, "--reports", tmp_path / "reports", "--json", "--retry-busy", 3)

    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)["scenarios"]
    assert [one["scenario"] for one in told] == ["one", "two"]
    assert {one["verdict"]["verdict"] for one in told} == {"PASS"}
    assert left_of(runs_in(tmp_path / "reports")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_ended_suite_leaves_nothing_running(two, tmp_path, number):
    """Whoever ends a suite of runs side by side, by Ctrl-C or kill -9, ends all of them."""
    reports = tmp_path / "reports"
    command = [sys.executable, "-m", "harness", "run", *map(str, two), "-j", "2", "--reports", str(reports), "--plain"]
    suite = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: reports.is_dir() and any(begun(reports / run) for run in runs_in(reports)))
        suite.send_signal(number)
        suite.wait(LIMIT_S)
    finally:
        if suite.poll() is None:
            suite.kill()
            suite.wait()

    wait_until(lambda: left_of(runs_in(reports)) == [])
