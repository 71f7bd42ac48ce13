"""Services as processes: started in order, hurt on demand, surely ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from harness.clock import SystemClock
from harness.errors import HarnessError, SetUpError
from harness.run.leases import Leases
from harness.system.model import HealthCheck, Service, System
from harness.topology.addresses import check_free, claim_block, owner_of
from harness.topology.base import CanKill, CanPause, CanStop, HasProcesses
from harness.topology.processes import Launch, ProcessTopology

pytestmark = pytest.mark.system

LIMIT_S = 15.0

# Listens after an optional delay, answers 503 until it is warm, and has a child of a session of its own.
SERVER = """
import http.server, os, subprocess, sys, time
host, port, cold_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
subprocess.Popen(["sleep", "600"], start_new_session=True)
warm_s = time.monotonic() + cold_s
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if time.monotonic() >= warm_s else 503)
        self.end_headers()
        self.wfile.write(b"warming up" if time.monotonic() < warm_s else b"warm")
    def log_message(self, *_):
        pass
print("listening", flush=True)
http.server.ThreadingHTTPServer((host, port), Handler).serve_forever()
"""


class Bench:
    """Builds topologies out of small Python programs, on addresses of the test's own."""

    def __init__(self, folder):
        self.folder = folder
        self.block = claim_block()
        self.events = []
        self.leases = Leases("processes-test", folder)
        self._topologies = []

    def host(self, number):
        return f"{self.block.prefix}.0.{number}"

    def emit(self, kind, subject, data):
        self.events.append((time.monotonic_ns(), kind, subject, dict(data)))

    def kinds(self, subject):
        return [kind for _, kind, name, _ in sorted(self.events, key=lambda e: e[0]) if name == subject]

    def topology(self, services, **limits):
        """services: name -> (program, arguments, Service fields)."""
        declared, commands = {}, {}
        for number, (name, (program, arguments, fields)) in enumerate(services.items(), start=2):
            port = fields.get("port")
            declared[name] = Service(
                **{
                    "name": name, "command": ("python", "-c", program), "environment": {}, "port": None,
                    "working_dir": None, "health": None, "depends_on": {}, **fields,
                }
            )  # fmt: skip
            where = [self.host(number), str(port), *arguments] if port else arguments
            commands[name] = Launch(
                argv=("python", "-c", textwrap.dedent(program), *where), host=self.host(number), port=port
            )
        system = System(
            name="bench", file=Path("bench.yaml"), services=declared, links=(), profiles={}, objectives=(), ledgers=()
        )
        made = ProcessTopology(
            system, commands, self.folder, spawn=self.leases.spawn, emit=self.emit, clock=SystemClock(), **limits
        )
        self._topologies.append(made)
        return made

    def server(self, cold_s=0.0, **fields):
        return (SERVER, [str(cold_s)], {"port": 8000, "ready_path": "/ready", **fields})

    def close(self):
        for topology in self._topologies:
            topology.down()
        self.leases.close()
        self.block.close()


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.close()


def tree(process):
    return [process, *process.children(recursive=True)]


def gone(processes):
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def wait_until(condition, what):
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline_s:
            pytest.fail(f"not within {LIMIT_S} s: {what}")
        time.sleep(0.02)


def ask(host, timeout_s=LIMIT_S):
    return urllib.request.urlopen(f"http://{host}:8000/ready", timeout=timeout_s).read()


def test_services_start_in_the_order_they_need(bench):
    """A dependent starts only when its dependency is healthy, a one-shot has ended, or it was at least started."""
    topology = bench.topology(
        {
            "front": bench.server(depends_on={"back": "service_healthy", "setup": "service_completed_successfully"}),
            "back": bench.server(cold_s=0.3),
            "setup": ("print('migrated')", [], {}),
            "side": ("import time; time.sleep(600)", [], {"depends_on": {"back": "service_started"}}),
        }
    )
    topology.up()

    at = {(kind, name): t_ns for t_ns, kind, name, _ in bench.events}
    assert at["service.ready", "back"] <= at["service.started", "front"]
    assert at["service.exited", "setup"] <= at["service.started", "front"]
    assert at["service.started", "back"] <= at["service.started", "side"] <= at["service.ready", "back"]
    assert [data["unexpected"] for _, kind, _, data in bench.events if kind == "service.exited"] == [False]
    assert set(topology.processes()) == {"front", "back", "side"}
    assert all(isinstance(topology, ability) for ability in (CanKill, CanStop, CanPause, HasProcesses))


def test_taking_down_leaves_no_process_and_no_port(bench):
    """After down, called twice, no process of any tree is left and the ports are free."""
    topology = bench.topology({"one": bench.server(), "deaf": (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1); time.sleep(600)", [], {})})  # fmt: skip
    topology.up()
    processes = [p for root in topology.processes().values() for p in tree(root)]
    assert len(processes) == 3
    topology.pause("one")

    topology.down()
    topology.down()

    assert gone(processes)
    check_free([(bench.host(2), 8000, "one")])
    assert topology.processes() == {}
    assert bench.kinds("one")[-1] == "service.stopped"
    with pytest.raises(HarnessError, match="taken down"):
        topology.up()


def test_a_service_that_crashes_at_start_is_told_with_its_last_words(bench):
    """The error names the service, its exit code and its last log lines, and everything else is taken down."""
    topology = bench.topology(
        {
            "good": bench.server(),
            "bad": (
                "import sys; print('\\n'.join(str(n) for n in range(50))); sys.exit('no database')",
                [],
                {"port": 1},
            ),
        }
    )
    with pytest.raises(SetUpError, match=r"bad ended while starting, exit code 1") as caught:
        topology.up()

    assert "no database" in str(caught.value)
    assert "\n    49\n" in str(caught.value)
    assert "\n    20\n" not in str(caught.value)
    assert topology.processes() == {}
    assert "service.exited" in bench.kinds("bad")


def test_a_service_that_is_not_ready_in_time_is_told_with_what_it_answered(bench):
    """The error says what was waited for, how long, the last answer and the last log lines."""
    topology = bench.topology({"cold": bench.server(cold_s=600)}, ready_limit_s=0.6)

    with pytest.raises(SetUpError) as caught:
        topology.up()

    message = str(caught.value)
    assert "cold was not ready after 0." in message
    assert f"GET http://{bench.host(2)}:8000/ready to answer 200" in message
    assert "last answer: status 503 warming up" in message
    assert "    listening" in message
    assert topology.processes() == {}


def test_a_dependency_that_never_comes_ends_the_start(bench):
    """The whole start has a limit, and one failure stops the waiting of the others."""
    topology = bench.topology(
        {"cold": bench.server(cold_s=600), "after": bench.server(depends_on={"cold": "service_healthy"})}, limit_s=0.5
    )
    with pytest.raises(SetUpError, match=r"cold was not ready|after was not started"):
        topology.up()
    assert "service.started" not in bench.kinds("after")


def test_a_health_check_command_decides(bench):
    """Without a path the health check's command is run, in the service's environment, until it ends with 0."""
    marker = bench.folder / "marker"
    check = HealthCheck(test=("test", "-e", str(marker)), shell=False)
    program = f"import time, pathlib; time.sleep(0.2); pathlib.Path({str(marker)!r}).touch(); time.sleep(600)"
    topology = bench.topology({"worker": (program, [], {"health": check})})

    topology.up()

    assert marker.exists()
    assert bench.kinds("worker") == ["service.started", "service.ready"]


def test_a_killed_service_is_gone_with_its_tree_and_starts_again(bench):
    """Kill ends the whole tree, children of other sessions included; start brings another process, when ready."""
    topology = bench.topology({"one": bench.server()})
    topology.up()
    before = tree(topology.processes()["one"])
    assert len(before) == 2

    topology.kill("one")
    assert gone(before)
    with pytest.raises(OSError, match="refused"):
        ask(bench.host(2))
    topology.start("one")
    topology.start("one")

    assert ask(bench.host(2)) == b"warm"
    assert topology.processes()["one"].pid != before[0].pid
    assert bench.kinds("one") == [
        "service.started", "service.ready", "service.killed", "service.started", "service.ready"
    ]  # fmt: skip
    [killed] = [data for _, kind, _, data in bench.events if kind == "service.killed"]
    assert (killed["pid"], killed["exit_code"], killed["processes"]) == (before[0].pid, -signal.SIGKILL, 2)
    assert (bench.folder / "logs" / "one.log").read_text().count("=== start") == 2


def test_an_orphan_of_a_service_is_killed_with_it(bench):
    """A child whose parent has ended and which left its session still belongs to its service."""
    program = """
    import subprocess, time
    subprocess.run(["sh", "-c", "setsid sleep 611 & echo $! is it"])
    time.sleep(600)
    """
    topology = bench.topology({"one": (program, [], {})})
    topology.up()
    log = bench.folder / "logs" / "one.log"
    wait_until(lambda: log.read_text().endswith(" is it\n"), "the orphan's pid is in the log")
    orphan = psutil.Process(int(log.read_text().split()[-3]))
    assert orphan.ppid() != topology.processes()["one"].pid

    topology.kill("one")

    assert gone([orphan])


def test_what_hits_nothing_is_an_error(bench):
    """Killing, stopping or pausing a service that is down, and naming an unknown one, raise instead of passing."""
    topology = bench.topology({"one": bench.server()})
    topology.up()
    topology.kill("one")

    for hurt in (topology.kill, topology.stop, topology.pause):
        with pytest.raises(HarnessError, match=r"one: it is down \(killed, killed by SIGKILL\)"):
            hurt("one")
        with pytest.raises(HarnessError, match="no service 'moon'"):
            hurt("moon")
    topology.resume("one")


def test_a_paused_service_is_held_whole_and_goes_on(bench):
    """While paused every process of the tree is stopped and nothing is answered; resumed, it answers as before."""
    topology = bench.topology({"one": bench.server()})
    topology.up()
    processes = tree(topology.processes()["one"])

    topology.pause("one")
    assert [p.status() for p in processes] == [psutil.STATUS_STOPPED] * 2
    with pytest.raises(TimeoutError):
        ask(bench.host(2), timeout_s=0.3)
    with pytest.raises(HarnessError, match="paused already"):
        topology.pause("one")
    topology.resume("one")
    topology.resume("one")

    assert psutil.STATUS_STOPPED not in [p.status() for p in processes]
    assert ask(bench.host(2)) == b"warm"
    assert bench.kinds("one")[-2:] == ["service.paused", "service.resumed"]


def test_a_paused_service_can_be_killed(bench):
    """SIGKILL ends a tree that is held; thawing it afterwards does nothing."""
    topology = bench.topology({"one": bench.server()})
    topology.up()
    processes = tree(topology.processes()["one"])
    topology.pause("one")

    topology.kill("one")

    assert gone(processes)
    topology.resume("one")


def test_stopping_asks_first_and_then_insists(bench):
    """SIGTERM lets a service end in its own way; one that does not is killed after its grace time."""
    kind = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print(1); time.sleep(600)"
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    topology = bench.topology({"kind": (kind, [], {}), "deaf": (deaf, [], {"stop_grace_s": 0.2})})
    topology.up()
    log = bench.folder / "logs" / "deaf.log"
    wait_until(lambda: log.read_text().endswith("1\n"), "the deaf one has begun")
    time.sleep(0.2)

    topology.stop("kind")
    topology.stop("deaf")

    facts = {name: data for _, what, name, data in bench.events if what == "service.stopped"}
    assert (facts["kind"]["exit_code"], facts["kind"]["forced"]) == (7, False)
    assert (facts["deaf"]["exit_code"], facts["deaf"]["forced"]) == (-signal.SIGKILL, True)


def test_a_service_that_ends_by_itself_is_noticed(bench):
    """An end nobody asked for is written down with its exit code, once, and the service can be started again."""
    topology = bench.topology({"one": bench.server()})
    topology.up()

    os.kill(topology.processes()["one"].pid, signal.SIGSEGV)
    wait_until(lambda: "service.exited" in bench.kinds("one"), "its end was noticed")
    topology.poll()

    [exited] = [data for _, kind, _, data in bench.events if kind == "service.exited"]
    assert (exited["unexpected"], exited["exit_code"]) == (True, -signal.SIGSEGV)
    with pytest.raises(HarnessError, match=r"it is down \(exited, killed by SIGSEGV\)"):
        topology.kill("one")
    topology.start("one")
    assert ask(bench.host(2)) == b"warm"


def test_taking_down_cuts_a_start_short(bench):
    """Down while up is still waiting ends the start soon, and nothing is left."""
    topology = bench.topology({"cold": bench.server(cold_s=600)})
    caught = []

    def start():
        try:
            topology.up()
        except HarnessError as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    wait_until(lambda: "service.started" in bench.kinds("cold"), "the start is under way")
    processes = list(topology.processes().values())
    topology.down()
    thread.join(LIMIT_S)

    assert not thread.is_alive()
    assert len(caught) == 1
    assert gone(processes)


def test_dependencies_in_a_circle_are_refused(bench):
    """A circle is told before anything is started."""
    topology = bench.topology(
        {"a": bench.server(depends_on={"b": "service_healthy"}), "b": bench.server(depends_on={"a": "service_healthy"})}
    )
    with pytest.raises(SetUpError, match=r"in a circle: (a -> b -> a|b -> a -> b)"):
        topology.up()
    assert bench.events == []


def test_a_taken_port_is_told_with_its_owner(bench):
    """The error names the port, who needs it and which process holds it, on 0.0.0.0 too."""
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SetUpError) as caught:
            check_free([(bench.host(9), port, "service order"), (bench.host(9), 8000, "service user")])

    assert f"service order needs {bench.host(9)}:{port}, which is taken by" in str(caught.value)
    assert f"(pid {os.getpid()}, on 0.0.0.0:{port})" in str(caught.value)
    assert "user" not in str(caught.value)
    assert owner_of(bench.host(9), port) is None
    check_free([(bench.host(9), port, "service order")])


def test_a_block_of_addresses_is_held_by_one_run_at_a_time():
    """Two runs never get the same block; one that was given back, or whose runner died, can be taken again."""
    program = """
    import sys, time
    from harness.topology.addresses import claim_block
    block = claim_block([251])
    print("held", flush=True)
    time.sleep(600)
    """
    other = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(SetUpError, match="Address already in use"):
            claim_block([251])
        with claim_block([251, 252]) as second:
            assert second.prefix == "127.252"
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    with claim_block([251, 252]) as again:
        assert again.prefix == "127.251"


def test_starting_what_cannot_be_started_says_why(bench, tmp_path):
    """A missing program, one that may not be executed and a missing folder are told apart, with a way out."""
    plain = tmp_path / "plain"
    plain.write_text("not a program")
    cases = [
        (["no-such-program"], {}, "there is no program 'no-such-program'", "PATH"),
        ([str(plain)], {}, "Permission denied", "chmod"),
        (["true"], {"cwd": tmp_path / "nowhere"}, "working folder .*nowhere does not exist", "working_dir"),
        (["true"], {"log": tmp_path / "nowhere" / "log"}, "its log .* cannot be written", "--reports"),
    ]
    for argv, arguments, message, hint in cases:
        with pytest.raises(SetUpError, match=message) as caught:
            bench.leases.spawn("thing", argv, **arguments)
        assert hint in caught.value.hint
