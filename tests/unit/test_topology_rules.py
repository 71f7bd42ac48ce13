"""Rules of the topology that need no process: order, readiness in words, addresses, ends."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import sys

import pytest

from harness.children import code_text
from harness.clock import FakeClock
from harness.errors import HarnessError, SetUpError
from harness.system.model import HealthCheck, Service, System
from harness.topology import addresses
from harness.topology.base import Launch
from harness.topology.order import check_order, one_shots
from harness.topology.processes import ProcessTopology
from harness.topology.readiness import (
    CommandProbe,
    HttpProbe,
    PortProbe,
    last_lines,
    log_end,
    paces_s,
    probe_of,
    with_our_python,
)
from harness.topology.tree import kill_until_gone


def service(name, **fields):
    plain = {
        "name": name, "command": None, "environment": {}, "port": None, "working_dir": None, "health": None,
        "depends_on": {},
    }  # fmt: skip
    return Service(**{**plain, **fields})


def services(**depends_on):
    return {name: service(name, depends_on=needs) for name, needs in depends_on.items()}


def test_only_who_is_waited_for_to_end_is_meant_to_end():
    """A service is a one-shot when another one waits for its completion."""
    found = services(a={"b": "service_completed_successfully", "c": "service_healthy"}, b={}, c={})

    assert one_shots(found) == {"b"}
    check_order(found)


@pytest.mark.parametrize(
    ("depends_on", "message"),
    [
        ({"a": {"a": "service_started"}}, "circle: a -> a"),
        ({"a": {"b": "service_started"}, "b": {"c": "service_healthy"}, "c": {"a": "service_healthy"}}, "circle"),
        ({"a": {"moon": "service_started"}}, "a depends on 'moon', which is not run as a process"),
    ],
)
def test_an_order_that_cannot_be_is_refused(depends_on, message):
    """A circle and a dependency on a stranger are told before anything starts."""
    with pytest.raises(SetUpError, match=message):
        check_order(services(**depends_on))


def test_a_path_is_asked_before_a_command_before_a_port(tmp_path):
    """Readiness comes from the ready path, else the health check, else the port, else from being started."""
    check = HealthCheck(test=("check",), shell=False)
    here = Launch(argv=("serve",), host="127.77.0.2", port=8080)

    def probe(port=8080, **fields):
        launch = Launch(argv=("serve",), host="127.77.0.2", port=port)
        return probe_of(service("a", **fields), launch, None, tmp_path / "log")

    assert isinstance(probe(ready_path="/ready", health=check), HttpProbe)
    assert probe(ready_path="/ready").awaited == "GET http://127.77.0.2:8080/ready to answer 200"
    assert isinstance(probe(health=check), CommandProbe)
    assert isinstance(probe(), PortProbe)
    assert probe(port=None, ready_path="/ready") is None
    assert here.port == 8080


def test_questions_come_quickly_at_first_and_never_more_than_a_tenth_of_a_second_apart():
    """The pace begins at 20 ms and grows to 100 ms."""
    found = list(itertools.islice(iter(paces_s(), None), 12))

    assert found[0] == pytest.approx(0.02)
    assert found == sorted(found)
    assert found[-1] == pytest.approx(0.1)


def test_python_means_the_python_that_runs_the_harness():
    """`python` and `python3` at the head of a command become this interpreter; nothing else changes."""
    assert with_our_python(("python", "-m", "python")) == (sys.executable, "-m", "python")
    assert with_our_python(("python3",)) == (sys.executable,)
    assert with_our_python(("redis-server", "python")) == ("redis-server", "python")


def test_the_last_lines_are_those_of_the_last_start(tmp_path):
    """Lines from before a start are not shown for it, and a log that is not there has none."""
    log = tmp_path / "log"
    log.write_text("old\n")
    offset = log_end(log)
    log.write_text("old\n" + "".join(f"{n}\n" for n in range(30)))

    assert last_lines(log, offset, 3) == ["27", "28", "29"]
    assert len(last_lines(log, offset, 100)) == 30
    assert last_lines(tmp_path / "nowhere", 0, 3) == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [(0, "exit code 0"), (3, "exit code 3"), (-signal.SIGKILL, "killed by SIGKILL"), (-200, "killed by signal 200")],
)
def test_an_exit_code_reads_as_people_say_it(code, expected):
    """A negative code is a signal and is named."""
    assert code_text(code) == expected


class FakeSocket:
    """Refuses to bind with the error that the test wants."""

    error = errno.EADDRNOTAVAIL

    def __init__(self, *_):
        pass

    def bind(self, _address):
        raise OSError(self.error, os.strerror(self.error))

    def close(self):
        pass


def test_a_machine_with_one_loopback_address_is_told_the_command(monkeypatch):
    """Where only 127.0.0.1 is there, the error holds the command that adds the others."""
    monkeypatch.setattr(addresses.socket, "socket", FakeSocket)

    with pytest.raises(SetUpError, match=r"no loopback address but 127\.0\.0\.1") as caught:
        addresses.claim_block()

    assert "ifconfig lo0 alias 127.77.0." in caught.value.hint


def test_blocks_that_are_all_taken_are_told(monkeypatch):
    """When every block is held by another run the error says so."""
    monkeypatch.setattr(addresses.socket, "socket", FakeSocket)
    monkeypatch.setattr(FakeSocket, "error", errno.EADDRINUSE)

    with pytest.raises(SetUpError, match=r"none of 187 loopback blocks .*Address already in use"):
        addresses.claim_block()


def test_all_ports_that_are_taken_are_told_at_once(monkeypatch):
    """One error names every port that cannot be had; an owner that may not be looked at is told as such."""
    taken = OSError(errno.EADDRINUSE, "in use")
    denied = OSError(errno.EACCES, "Permission denied")
    answers = {8080: taken, 80: denied, 9000: None, 9001: taken}
    monkeypatch.setattr(addresses, "_listen_error", lambda _, port: answers[port])
    owners = {8080: "nginx (pid 7, on 0.0.0.0:8080)"}

    with pytest.raises(SetUpError) as caught:
        addresses.check_free(
            [("127.77.0.1", port, f"service {port}") for port in answers], lambda _, port: owners.get(port)
        )

    assert str(caught.value).splitlines() == [
        "service 8080 needs 127.77.0.1:8080, which is taken by nginx (pid 7, on 0.0.0.0:8080)",
        "service 80 needs 127.77.0.1:80: Permission denied",
        "service 9001 needs 127.77.0.1:9001, which is taken by a process that may not be looked at",
    ]


class Stubborn:
    """A process that dies at the kill it was told, or never."""

    def __init__(self, pid, dies_at):
        self.pid, self._left = pid, dies_at

    def kill(self):
        self._left -= 1

    def name(self):
        return "stubborn"

    def is_running(self):
        return self._left > 0

    def status(self):
        return "running"


def kill_all(processes, **limits):
    clock = FakeClock()
    return kill_until_gone(
        lambda: [p for p in processes if p.is_running()],
        now_s=lambda: clock.now_ns() / 1e9, sleep_s=clock.sleep_s, **limits,
    )  # fmt: skip


def test_killing_goes_on_until_nobody_is_found():
    """Who appears late or dies late is still ended, and named once."""
    ended, left = kill_all([Stubborn(1, 1), Stubborn(2, 5)], limit_s=5, quiet_s=0.3)

    assert ended == {1: "stubborn (pid 1)", 2: "stubborn (pid 2)"}
    assert left == []


def test_who_cannot_be_killed_is_told_when_the_time_is_over():
    """The end has a limit, and says who is left."""
    _, left = kill_all([Stubborn(1, 10**9)], limit_s=5)

    assert left == ["stubborn (pid 1)"]


def test_what_never_started_cannot_be_hurt(tmp_path):
    """Before up every act on a service is an error but resume, and there is nothing to take down."""
    system = System(
        name="s", file=tmp_path, services={"a": service("a")}, links=(), profiles={}, objectives=(), ledgers=()
    )
    topology = ProcessTopology(
        system, {"a": Launch(argv=("a",))}, tmp_path, spawn=None, emit=None, clock=FakeClock()
    )  # fmt: skip
    for hurt in (topology.kill, topology.stop, topology.pause):
        with pytest.raises(HarnessError, match="a: it was never started"):
            hurt("a")
    topology.resume("a")
    topology.down()
    topology.down()
