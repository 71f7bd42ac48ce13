"""Whatever happens to a runner, nothing of its run stays."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time

import psutil
import pytest

from harness.children import RUN_VARIABLE
from harness.errors import HarnessError
from harness.run.clean import sweep
from harness.run.interruption import LIFELINE_VARIABLE
from harness.run.registry import entry_paths
from harness.run.watchdog import Watchdog

pytestmark = pytest.mark.system

LIMIT_S = 15.0

# A runner: a watchdog, then a tree with a child that leaves its session, an orphan and a paused one.
RUNNER = """
import os, signal, sys, time
from pathlib import Path
from harness.run.leases import Leases
from harness.run.watchdog import Watchdog

run_id, folder = sys.argv[1], Path(sys.argv[2])
watchdog = Watchdog(run_id, folder)
print("begun", flush=True)
watchdog.start()
print("watched", flush=True)
leases = Leases(run_id, folder)
try:
    first = leases.spawn("first", ["sleep", "600"])
    print("first", flush=True)
    leases.spawn("tree", ["sh", "-c", "setsid sleep 600 & (setsid sleep 600 &) ; sleep 600"])
    os.kill(first.pid, signal.SIGSTOP)
    watchdog.check()
    time.sleep(0.2)
    print("all", flush=True)
    time.sleep(600)
finally:
    leases.close()
    watchdog.done()
    print("over", flush=True)
"""


class Runner:
    """A runner in a process of its own, killed at the end of the test whatever happened to it."""

    def __init__(self, tmp_path):
        self.run_id = f"test-{secrets.token_hex(6)}"
        self.folder = tmp_path / "run"
        self.folder.mkdir()
        self.state = tmp_path / "state"
        self.environment = {**os.environ, "XDG_STATE_HOME": str(self.state)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, self.run_id, str(self.folder)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self.environment, start_new_session=True,
        )  # fmt: skip

    def wait_for(self, word):
        for line in self.process.stdout:
            if line.strip() == word.encode():
                return
        pytest.fail(f"the runner ended without saying {word!r}")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        for process in tagged(self.run_id):
            process.kill()

    def entries(self):
        return entry_paths({"XDG_STATE_HOME": str(self.state)})

    def watchdog(self):
        return psutil.Process(json.loads(self.entries()[0].read_bytes())["watchdog"]["pid"])


@pytest.fixture
def runner(tmp_path):
    made = Runner(tmp_path)
    yield made
    made.end()


def tagged(run_id):
    found = []
    for pid in psutil.pids():
        try:
            process = psutil.Process(pid)
            if process.environ().get(RUN_VARIABLE) == run_id and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until(condition, what, limit_s=LIMIT_S):
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline_s:
            pytest.fail(f"not within {limit_s} s: {what}")
        time.sleep(0.05)


@pytest.mark.parametrize("instant", ["begun", "watched", "first", "all"])
def test_a_killed_runner_leaves_no_process_and_no_entry(runner, instant):
    """After kill -9 of the runner at any instant nothing of the run is left, and it is no longer registered."""
    runner.wait_for(instant)

    runner.process.kill()
    runner.process.wait()

    wait_until(lambda: not tagged(runner.run_id) and (instant == "begun" or not runner.entries()), "nothing left")
    sweep(lambda _: None, runner.environment)
    assert not [path for path in runner.entries() if path.stat().st_size]
    assert not tagged(runner.run_id)


def test_the_watchdog_writes_down_what_it_ended(runner):
    """The run's folder tells afterwards what the watchdog had to end."""
    runner.wait_for("all")
    assert len(tagged(runner.run_id)) >= 5

    runner.process.kill()
    wait_until(lambda: not runner.entries(), "the watchdog is through")

    log = (runner.folder / "watchdog.log").read_text()
    assert log.count("ended sleep") >= 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_runner_takes_everything_down_itself(runner, number):
    """Ctrl-C and SIGTERM of a runner leave nothing behind."""
    runner.wait_for("all")

    runner.process.send_signal(number)
    runner.process.wait(LIMIT_S)

    wait_until(lambda: not tagged(runner.run_id) and not runner.entries(), "nothing left")


def test_ctrl_c_reaches_neither_the_watchdog_nor_the_services(runner):
    """A signal to the terminal's whole group reaches the runner alone; so it can take down in order."""
    runner.wait_for("all")
    watchdog = runner.watchdog()

    os.killpg(runner.process.pid, signal.SIGINT)
    runner.process.wait(LIMIT_S)

    assert b"over" in runner.process.stdout.read()
    wait_until(lambda: not watchdog.is_running(), "the watchdog has gone, too")
    assert "without a word" not in (runner.folder / "watchdog.log").read_text()


def test_the_watchdog_stays_when_it_is_asked_to_go(runner):
    """A SIGTERM to the watchdog does not leave a run unwatched."""
    runner.wait_for("all")

    runner.watchdog().terminate()
    runner.process.kill()
    runner.process.wait()

    wait_until(lambda: not tagged(runner.run_id), "nothing left")


def test_sweeping_undoes_a_run_whose_runner_and_watchdog_were_killed(runner):
    """When nobody was left to undo a run, cleaning does it, says so, and has nothing more to do the next time."""
    runner.wait_for("all")
    runner.watchdog().kill()
    runner.process.kill()
    runner.process.wait()
    assert tagged(runner.run_id)

    said = []
    lines = sweep(said.append, runner.environment)

    assert not tagged(runner.run_id)
    assert lines == said
    assert len(lines) == 1
    assert runner.run_id in lines[0]
    assert "sleep" in lines[0]
    assert sweep(said.append, runner.environment) == []


def test_sweeping_leaves_a_live_run_alone(runner):
    """Cleaning never touches a run whose runner lives."""
    runner.wait_for("all")
    before = {process.pid for process in tagged(runner.run_id)}

    lines = sweep(lambda _: None, runner.environment)

    assert lines == []
    assert before == {process.pid for process in tagged(runner.run_id)}
    assert runner.watchdog().is_running()


def test_who_only_looks_like_one_of_ours_survives(runner):
    """A process of the same name without the run's tag survives, and so does one whose pid an old lease names."""
    runner.wait_for("all")
    stranger = subprocess.Popen(["sleep", "600"])
    recycled = subprocess.Popen(["sleep", "600"])
    try:
        with (runner.folder / "leases.jsonl").open("a") as file:
            born_s = psutil.Process(recycled.pid).create_time() - 100
            file.write(json.dumps({"lease": 99, "what": "started", "pid": recycled.pid, "born_s": born_s}) + "\n")

        runner.process.kill()
        wait_until(lambda: not runner.entries(), "the watchdog is through")

        assert stranger.poll() is None
        assert recycled.poll() is None
    finally:
        for process in (stranger, recycled):
            process.kill()
            process.wait()


def test_a_leased_process_without_the_tag_is_ended(runner):
    """A child that hides its environment is still ended: its pid and birth are in the leases."""
    runner.wait_for("all")
    bare = subprocess.Popen(["sleep", "600"], env={})
    try:
        with (runner.folder / "leases.jsonl").open("a") as file:
            born_s = psutil.Process(bare.pid).create_time()
            file.write(json.dumps({"lease": 98, "what": "started", "pid": bare.pid, "born_s": born_s}) + "\n{cut")

        runner.process.kill()

        assert bare.wait(LIMIT_S) == -signal.SIGKILL
    finally:
        bare.kill()
        bare.wait()


def test_a_run_is_struck_off_before_its_watchdog_goes(tmp_path, monkeypatch):
    """A runner that is killed while it sends its watchdog away leaves no entry: whichever of them is there removes it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    watchdog = Watchdog("going", tmp_path)
    watchdog.start()
    watchdog.check()
    entries, dismiss = [], watchdog._dismiss

    def look_and_dismiss(process):
        entries.extend(entry_paths({"XDG_STATE_HOME": str(tmp_path / "state")}))
        return dismiss(process)

    monkeypatch.setattr(watchdog, "_dismiss", look_and_dismiss)
    watchdog.done()

    assert entries == []


def test_a_runner_that_is_killed_while_it_registers_leaves_no_entry(tmp_path):
    """The watchdog is there before the entry is: an entry that was being written is removed with the rest."""
    state = tmp_path / "state"
    dying = (
        "import os, signal, sys; from pathlib import Path; from harness.run import registry, watchdog\n"
        "registry.Registration.write = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "watchdog.Watchdog('registering', Path(sys.argv[1])).start()"
    )
    done = subprocess.run(
        [sys.executable, "-c", dying, str(tmp_path)], env={**os.environ, "XDG_STATE_HOME": str(state)}, check=False
    )

    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: not entry_paths({"XDG_STATE_HOME": str(state)}), "the entry is gone")


def test_a_runner_whose_suite_is_gone_ends_whatever_holds_it_up():
    """In order if it can, and by SIGKILL when the taking down takes too long: nobody is left who would wait for it."""
    holding = (
        "import signal, time; from harness.run.interruption import hang_on_lifeline\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); hang_on_lifeline(); print('ready', flush=True); time.sleep(600)"
    )
    runner = subprocess.Popen(
        [sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, LIFELINE_VARIABLE: "1"},
    )  # fmt: skip
    with runner:
        try:
            assert runner.stdout.readline() == b"ready\n"
            runner.stdin.close()

            assert runner.wait(LIMIT_S) == -signal.SIGKILL
        finally:
            runner.kill()


def test_a_watchdog_that_died_is_noticed(tmp_path, monkeypatch):
    """A run does not go on unwatched without knowing it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    watchdog = Watchdog("unwatched", tmp_path)
    watchdog.start()
    try:
        watchdog.check()
        [path] = entry_paths({"XDG_STATE_HOME": str(tmp_path / "state")})
        psutil.Process(json.loads(path.read_bytes())["watchdog"]["pid"]).kill()

        def gone():
            try:
                watchdog.check()
            except HarnessError:
                return True
            return False

        wait_until(gone, "its end is noticed")
    finally:
        with pytest.raises(HarnessError, match="is gone"):
            watchdog.done()
        watchdog.done()
    assert not path.exists()
