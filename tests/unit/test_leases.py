"""Leases: what is on the disk before and after a deed, and what the register says of a run."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import time

import psutil
import pytest

from harness.children import RUN_VARIABLE
from harness.errors import SetUpError
from harness.run import registry
from harness.run.clean import sweep
from harness.run.leases import FILE_NAME, Leases, started
from harness.topology.tree import Identity, identity_of


class FakeChild:
    """A child that never was a process; its pid is the test's own, so that its birth can be looked up."""

    made: list[FakeChild] = []  # noqa: RUF012  emptied by each test
    hurried: list[tuple[int, int, int]] = []  # noqa: RUF012  emptied by each test

    def __init__(self, argv, **arguments):
        self.argv, self.arguments, self.pid, self.returncode = argv, arguments, os.getpid(), None
        self.lines_before = lines(FakeChild.path)
        FakeChild.made.append(self)

    def poll(self):
        return self.returncode

    def kill(self):
        self.returncode = -9

    def wait(self, _timeout=None):
        return self.returncode


@pytest.fixture
def leases(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", FakeChild)
    FakeChild.made, FakeChild.path, FakeChild.hurried = [], tmp_path / FILE_NAME, []
    monkeypatch.setattr(os, "setpriority", lambda *asked: FakeChild.hurried.append(asked))
    made = Leases("run-1", tmp_path)
    yield made
    made.close()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_intent_is_on_disk_before_the_start_and_the_pid_after(leases):
    """A line stands before a child is started; one with its pid and birth follows, one more when it has ended."""
    leases.spawn("order", ["serve", "--port", "1"])
    [child] = FakeChild.made
    child.returncode = 3
    leases.reap()

    [intent] = child.lines_before
    assert (intent["what"], intent["kind"], intent["subject"], intent["argv"][0]) == (
        "intent", "process", "order", "serve"
    )  # fmt: skip
    _, begun, undone = lines(leases.path)
    assert (begun["what"], begun["pid"]) == ("started", os.getpid())
    assert begun["born_s"] == pytest.approx(psutil.Process().create_time(), abs=1.5)
    assert (undone["what"], undone["how"], undone["lease"]) == ("undone", "exited 3", intent["lease"])


def test_the_system_goes_before_strangers_as_much_as_the_load_does(leases):
    """Every child gets the same priority: else a load on time would say nothing about a system that had to wait."""
    for name in ("order", "gate", "load"):
        leases.spawn(name, ["serve"])
    assert FakeChild.hurried == [(os.PRIO_PROCESS, os.getpid(), -10)] * 3


def test_every_child_carries_the_run_and_a_session_of_its_own(leases, monkeypatch):
    """A child gets the runner's environment, its own values over it, and the run's id over both."""
    monkeypatch.setenv("A", "runner")
    monkeypatch.setenv("B", "runner")
    leases.spawn("order", ["serve"], env={"A": "mine", RUN_VARIABLE: "another"})
    leases.spawn("gate", ["relay"], pipes=True)

    first, second = (child.arguments for child in FakeChild.made)
    assert (first["env"]["A"], first["env"]["B"], first["env"][RUN_VARIABLE]) == ("mine", "runner", "run-1")
    assert first["start_new_session"]
    assert (first["stdin"], first["stdout"], first["stderr"]) == (subprocess.DEVNULL,) * 3
    assert (second["stdin"], second["stdout"], second["stderr"]) == (
        subprocess.PIPE, subprocess.PIPE, subprocess.DEVNULL
    )  # fmt: skip


def test_a_full_disk_keeps_the_deed_from_being_done(leases, monkeypatch):
    """When the intent cannot be written nothing is started, and the error says what to do."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)

    with pytest.raises(SetUpError, match="No space left on device") as caught:
        leases.spawn("order", ["serve"])

    assert FakeChild.made == []
    assert "disk full" in caught.value.hint


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    """Leases in a folder that is not there end in an error that names the file."""
    with pytest.raises(SetUpError, match=FILE_NAME):
        Leases("run-1", tmp_path / "nowhere")


def test_a_start_that_failed_counts_as_undone(leases, monkeypatch):
    """A child that never came to be leaves no open lease."""

    def missing(*_, **__):
        raise FileNotFoundError(errno.ENOENT, "No such file", "serve")

    monkeypatch.setattr(subprocess, "Popen", missing)
    with pytest.raises(SetUpError, match="cannot start order: there is no program 'serve'"):
        leases.spawn("order", ["serve"])

    assert lines(leases.path)[-1]["how"] == "never started"
    assert started(leases.path) == []


def test_a_fault_is_leased_until_it_is_undone(leases):
    """A fault's lease says what undoes it, and is closed once; leaving it with an error leaves it open."""
    lease = leases.lease("fault", "slow", "remove the toxic")
    lease.undone()
    lease.undone()
    with pytest.raises(KeyError), leases.lease("fault", "other", "heal"):
        raise KeyError
    with leases.lease("fault", "third", "heal"):
        pass

    assert [(line["what"], line["lease"]) for line in lines(leases.path)] == [
        ("intent", 1), ("undone", 1), ("intent", 2), ("intent", 3), ("undone", 3)
    ]  # fmt: skip
    assert lines(leases.path)[0]["undo"] == "remove the toxic"


def test_lines_cut_short_or_damaged_do_not_hide_the_others(tmp_path):
    """The file of a killed run is read as far as it makes sense; what was undone is not in it any more."""
    path = tmp_path / FILE_NAME
    path.write_text(
        '{"lease": 1, "what": "started", "pid": 11, "born_s": 1.5}\n'
        '{"lease": 2, "what": "started", "pid": 22, "born_s": 2.5}\nnonsense\n[]\n'
        '{"lease": 3, "what": "started", "pid": 33, "born_s": null}\n'
        '{"lease": 1, "what": "undone", "how": "exited 0"}\n{"lease": 4, "wh'
    )
    assert started(path) == [Identity(pid=22, born_s=2.5)]
    assert started(tmp_path / "nowhere") == []


def test_a_recycled_pid_is_nobody(monkeypatch):
    """A pid whose process was born at another time than written down is not that process."""
    own = identity_of(os.getpid())

    assert own.process().pid == os.getpid()
    assert Identity(pid=own.pid, born_s=own.born_s - 60).process() is None
    assert Identity(pid=own.pid, born_s=own.born_s + 60).process() is None


@pytest.fixture
def environment(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return {"XDG_STATE_HOME": str(tmp_path / "state")}


def test_a_run_is_in_the_register_while_it_lasts(tmp_path, environment):
    """Its entry names folder, runner and watchdog; while the runner holds it nobody takes it for dead."""
    said = []
    registration = registry.register("run-1", tmp_path, say=said.append, environment=environment)
    watchdog = Identity(pid=4242, born_s=17.0)
    registration.watched_by(watchdog)

    [path] = registry.entry_paths(environment)
    entry = registry.Entry.of(json.loads(path.read_bytes()))
    assert (entry.run_id, entry.run_dir, entry.runner.pid, entry.watchdog) == (
        "run-1", tmp_path, os.getpid(), watchdog
    )  # fmt: skip
    with registry.dead(path) as found:
        assert found is None
    assert sweep(said.append, environment) == []
    registration.remove()
    registration.remove()
    assert registry.entry_paths(environment) == []
    assert said == []


def test_the_register_moves_when_the_home_cannot_be_written(tmp_path, environment):
    """Without a writable state folder the register is kept in a private temporary one, and that is said once."""
    (tmp_path / "state").write_text("in the way")
    said = []

    registration = registry.register("run-1", tmp_path, say=said.append, environment=environment)

    assert len(said) == 1
    assert str(tmp_path / "tmp") in said[0]
    assert registry.entry_paths(environment) == [registration.path]
    registration.remove()


def test_a_foreign_folder_is_not_trusted_with_the_register(tmp_path, environment):
    """A link that somebody put where the temporary register would be is not followed."""
    (tmp_path / "state").write_text("in the way")
    (tmp_path / "tmp" / f"harness-{os.getuid()}").symlink_to(tmp_path)

    with pytest.raises(OSError, match="Not a directory"):
        registry.register("run-1", tmp_path, say=print, environment=environment)
    assert registry.entry_paths(environment) == []


def test_an_entry_that_makes_no_sense_is_dropped_only_when_it_is_old(tmp_path, environment):
    """A damaged entry does not stop the cleaning; a fresh one may be just being written and stays."""
    folder, _ = registry.folders(environment)
    folder.mkdir(parents=True)
    old, fresh = folder / "old.json", folder / "fresh.json"
    old.write_text("{")
    fresh.write_text("")
    past_s = time.time() - 1000
    os.utime(old, (past_s, past_s))

    assert sweep(print, environment) == []
    assert registry.entry_paths(environment) == [fresh]
