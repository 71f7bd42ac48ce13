"""The load child as a real process against a little server that counts, stalls and breaks connections."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET

import pytest

from harness.clock import NS_PER_S, SystemClock
from harness.errors import HarnessError, InputError
from harness.journal.spool import COLUMNS, SpoolReader
from harness.load.client import LoadChild, load_config
from harness.scenario.model import Load
from harness.system.model import Profile, RequestTemplate

pytestmark = pytest.mark.system

READY_S = 30.0


class Server:
    """Counts requests by path; the path says what it does with them. Stalls between two instants, ms after `arm`."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.traces: list[str] = []
        self.stall_until_s = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = self._ask(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._ask(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _ask(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answered = 0
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().lower().split("\r\n")
                await reader.readexactly(sum(int(x[15:]) for x in lines if x.startswith("content-length:")))
                self.traces += [x[13:].strip().split("-")[1] for x in lines if x.startswith("traceparent:")]
                path = lines[0].split(" ")[1]
                self.requests[path] += 1
                if path == "/reset" or (path == "/second-resets" and answered):
                    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
                    return
                if path == "/half":
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                    await writer.drain()
                    return
                if path == "/hang":
                    await asyncio.sleep(60)
                await asyncio.sleep(max(0.0, self.stall_until_s - time.monotonic()))
                status = b"503 No" if path == "/503" else b"200 OK"
                writer.write(b"HTTP/1.1 " + status + b"\r\nX-Fallback: deferred\r\nContent-Length: 2\r\n\r\nok")
                answered += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def spawn(_name, argv, *, env=None, cwd=None, log=None, pipes=False) -> subprocess.Popen[bytes]:
    assert pipes
    with log.open("ab") as errors:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=cwd,
            env={**os.environ, **(env or {})},
        )


def get(path: str, method: str = "GET") -> Profile:
    template = RequestTemplate(name=f"{method} {path}", weight=1, to="shop", method=method, path=path)
    return Profile(name="mix", requests=(template,), data={})


@contextmanager
def child(tmp_path: Path, base: str, load: Load, profile: Profile | None, duration_s: float | None):
    config = load_config(
        load, profile, seed=7, duration_s=duration_s, bases={"shop": base}, spool=tmp_path / "spool" / "load.jsonl",
        locustfile_folder=tmp_path,
    )  # fmt: skip
    child = LoadChild(config, spawn=spawn, run_dir=tmp_path, clock=SystemClock())
    try:
        child.start()
        child.self_test = child.wait_ready(READY_S)
        yield child
    finally:
        child.close()


def rows(tmp_path: Path) -> list[dict]:
    found = SpoolReader(tmp_path / "spool" / "load.jsonl").rows()
    return [dict(zip(COLUMNS["requests"], values, strict=True)) for table, values in found if table == "requests"]


def send(tmp_path: Path, base: str, load: Load, profile: Profile | None, duration_s: float) -> tuple[dict, list[dict]]:
    """One load from start to end: its receipt and its rows."""
    with child(tmp_path, base, load, profile, duration_s) as sender:
        sender.go(time.monotonic_ns() + NS_PER_S // 10)
        receipt = sender.wait_ended(duration_s + load.timeout_s + 10)
    return receipt, rows(tmp_path)


def test_each_scheduled_arrival_reaches_the_server_once(tmp_path, server):
    """Rows, receipt and requests that arrived agree, stamps lie on the schedule, and trace ids are those sent."""
    receipt, found = send(tmp_path, server.base, Load(arrivals="50/s"), get("/"), 1.0)

    assert server.requests["/"] == receipt["intended"] == receipt["sent"] == receipt["finished"] == len(found) == 50
    assert receipt["dropped"] == receipt["unfinished"] == 0
    assert receipt["self_test"]["ok"]
    assert receipt["self_test"]["calls"] == receipt["self_test"]["upstream"] > 0
    assert {row["intended_ns"] - found[0]["intended_ns"] for row in found} == {n * NS_PER_S // 50 for n in range(50)}
    assert all(row["intended_ns"] <= row["start_ns"] <= row["end_ns"] for row in found)
    assert sorted(row["trace"] for row in found) == sorted(server.traces)
    assert {(r["status"], r["ok"], r["error"], r["bytes"], r["fallback"]) for r in found} == {
        (200, 1, None, 2, "deferred")
    }
    assert receipt["cpu_share_max"] > 0
    assert 0 <= receipt["schedule_error_p50_ms"] <= receipt["schedule_error_p99_ms"] <= receipt["schedule_error_max_ms"]


@pytest.mark.parametrize(
    ("path", "error"),
    [("/reset", "reset"), ("/half", "closed_early"), ("/503", "status 503"), ("/second-resets", "reset")],
)
def test_trouble_is_told_once_and_never_tried_again(tmp_path, server, path, error):
    """An answer that breaks off, is reset or is bad makes one row with its kind of trouble, and one request."""
    receipt, found = send(tmp_path, server.base, Load(arrivals="20/s"), get(path), 0.5)

    assert server.requests[path] == receipt["sent"] == len(found) == 10
    assert error in {row["error"] for row in found}
    assert {row["error"] for row in found} <= {error, None}


def test_nobody_listening_is_a_refusal(tmp_path, server):
    """A port without a listener gives `refused`, with no status."""
    receipt, found = send(tmp_path, "http://127.0.0.1:1", Load(arrivals="20/s"), get("/"), 0.5)

    assert receipt["finished"] == 10
    assert {(row["error"], row["status"]) for row in found} == {("refused", 0)}


def test_arrivals_beyond_the_limit_in_flight_are_dropped_and_said_so(tmp_path, server):
    """When too many requests are open, an arrival becomes a row without a start, and the rest time out."""
    load = Load(arrivals="20/s", max_in_flight=3, timeout="800ms")
    receipt, found = send(tmp_path, server.base, load, get("/hang"), 0.5)

    dropped = [row for row in found if row["error"] == "dropped"]
    assert (receipt["intended"], receipt["sent"], receipt["dropped"]) == (10, 3, 7)
    assert [row["start_ns"] for row in dropped] == [None] * 7
    assert [row["error"] for row in found if row not in dropped] == ["read_timeout"] * 3
    assert server.requests["/hang"] == 3


def test_stop_ends_the_arrivals_of_an_endless_load(tmp_path, server):
    """After stop nothing is sent, what was in flight is awaited, and the receipt comes."""
    with child(tmp_path, server.base, Load(arrivals="50/s"), get("/"), None) as sender:
        sender.go(time.monotonic_ns())
        while server.requests["/"] < 10:
            time.sleep(0.01)
        sender.stop()
        receipt = sender.wait_ended(20)

    assert receipt["intended"] == receipt["finished"] == server.requests["/"] == len(rows(tmp_path)) >= 10


def test_stop_before_go_sends_nothing(tmp_path, server):
    """A load that is stopped before it began says so with a receipt of nothing."""
    with child(tmp_path, server.base, Load(arrivals="50/s"), get("/"), 1.0) as sender:
        sender.stop()
        receipt = sender.wait_ended(20)

    assert receipt["intended"] == server.requests.total() == 0


def test_a_runner_that_is_gone_ends_the_child_and_keeps_its_rows(tmp_path, server):
    """When standard input ends the child exits at once; requests still open are in the spool as unfinished."""
    with child(tmp_path, server.base, Load(arrivals="20/s"), get("/hang"), None) as sender:
        sender.go(time.monotonic_ns())
        while server.requests["/hang"] < 3:
            time.sleep(0.01)
        sender.close()

        assert not sender.alive()
    assert {(row["error"], row["end_ns"]) for row in rows(tmp_path)} == {("unfinished", None)}
    assert len(rows(tmp_path)) >= 3


def test_closed_users_wait_for_their_answers(tmp_path, server):
    """Each of N users has one request open at a time, so with a server that hangs only N are ever sent."""
    receipt, found = send(tmp_path, server.base, Load(users=4, timeout="2s"), get("/hang"), 0.5)

    assert receipt["sent"] == server.requests["/hang"] == len(found) == 4
    assert all(row["intended_ns"] == row["start_ns"] for row in found)
    assert receipt["schedule_error_p99_ms"] is None


def test_closed_users_pause_between_requests(tmp_path, server):
    """A user who thinks longer than the load lasts asks once."""
    receipt, _ = send(tmp_path, server.base, Load(users=3, think="60s"), get("/"), 0.5)

    assert receipt["sent"] == receipt["finished"] == server.requests["/"] == 3


LOCUSTFILE = """
from locust import FastHttpUser, HttpUser, constant, events, task

print("a person's file may print")

@events.test_start.add_listener
def started(**_):
    print("and may listen")

class Fast(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def ask(self):
        self.client.get("/{path}")

class Plain(HttpUser):
    wait_time = constant(0.05)

    @task
    def ask(self):
        self.client.get("/{path}", name="renamed")
"""


@pytest.mark.parametrize(("path", "errors"), [("", {None}), ("second-resets", {None, "reset"})])
def test_a_persons_own_file_runs_unchanged(tmp_path, server, path, errors):
    """Both of Locust's clients leave a row for every request that arrived, none is sent again behind their backs."""
    (tmp_path / "mine.py").write_text(LOCUSTFILE.replace("{path}", path))
    before_ns = time.monotonic_ns()
    receipt, found = send(tmp_path, server.base, Load(users=2, locustfile="mine.py"), None, 1.0)

    assert receipt["self_test"]["ok"]
    assert {row["name"] for row in found} - {"GET /bye"} == {f"GET /{path}", "GET renamed"}
    assert server.requests.total() == receipt["sent"] == len(found) > 4
    assert {row["error"] for row in found} == errors
    assert all(before_ns <= row["start_ns"] <= row["end_ns"] <= time.monotonic_ns() for row in found)


def test_a_persons_request_that_never_ends_is_a_row(tmp_path, server):
    """What a person's file still waits for when the load is over does not vanish from the record."""
    (tmp_path / "mine.py").write_text(LOCUSTFILE.replace("{path}", "hang"))
    receipt, found = send(tmp_path, server.base, Load(users=2, locustfile="mine.py", timeout="1500ms"), None, 0.4)

    assert len(found) == server.requests["/hang"] == receipt["sent"] == 2
    assert {row["error"] for row in found} <= {"read_timeout", "unfinished"}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("import locust\n\nraise RuntimeError('broken on purpose')\n", 3, "RuntimeError: broken on purpose"),
        ("def f():\n    return 1 / 0\n\n\nf()\n", 2, "ZeroDivisionError"),
        ("import sys\n\nsys.exit(7)\n", 3, "exit code 7"),
        ("import locust\n", None, "exit code 1"),
    ],
)
def test_a_file_that_cannot_be_used_is_wrong_input_with_its_own_line(tmp_path, server, text, line, said):
    """Whatever a person's file does at its import, they hear of the line it came from, not of our traceback."""
    (tmp_path / "mine.py").write_text(text)

    with pytest.raises(InputError) as caught:
        send(tmp_path, server.base, Load(users=2, locustfile="mine.py"), None, 1.0)

    (mistake,) = caught.value.mistakes

    assert (Path(mistake.file).name, mistake.line) == ("mine.py", line)
    assert said in mistake.message


def test_an_open_load_feels_a_stall_that_a_closed_one_hides(tmp_path, server):
    """While the server stalls, arrivals go on, and their waiting counts; a few closed users hardly notice."""
    late_shares = {}
    for name, load in {"open": Load(arrivals="50/s"), "closed": Load(users=1, think="10ms")}.items():
        folder = tmp_path / name
        folder.mkdir()
        with child(folder, server.base, load, get("/"), 2.0) as sender:
            start_ns = time.monotonic_ns() + NS_PER_S // 10
            sender.go(start_ns)
            server.stall_until_s = start_ns / NS_PER_S + 1.0
            sender.wait_ended(30)
        spans_s = [(row["end_ns"] - row["intended_ns"]) / NS_PER_S for row in rows(folder)]
        late_shares[name] = statistics.mean(span_s > 0.25 for span_s in spans_s)

    assert late_shares["open"] > 0.25
    assert late_shares["closed"] < 0.1


def test_the_runner_side_never_loads_locust():
    """Importing the client must leave socket, time and ssl of the runner alone."""
    code = "import sys, harness.load.client; print({'locust', 'gevent'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "set()"


def test_a_load_that_shows_no_page_does_not_load_what_pages_are_made_of():
    """Locust's page brings Flask, a third of what the child costs to start; a person's own file gets it back."""
    code = (
        "import sys, harness.load.child as c; before = 'flask' in sys.modules; c.web.bring_back();"
        "import locust.env, locust.web; print(before, locust.env.WebUI is locust.web.WebUI, 'flask' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.split() == ["False", "True", "True"]


def test_the_self_test_convicts_a_client_that_tries_again():
    """Locust's fast client as it comes repeats what was reset, and the self-test says so; switched off, it passes."""
    code = (
        "import json; from harness.load import child, person_file as p, self_test as s;"
        "before = s.self_test({'fast': child._fast_session}); p.switch_off_hidden_retry();"
        "print(json.dumps([before, s.self_test({'fast': child._fast_session})]))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    before, after = json.loads(said.stdout)

    assert not before["ok"]
    assert before["upstream"] > before["calls"]
    assert any("GET/reset" in case for case in before["wrong"])
    assert after["ok"]


def test_a_child_that_is_killed_is_an_error_that_keeps_its_rows(tmp_path, server):
    """The runner hears of a sudden death at once, and what had been written down is still there."""
    told_at_the_end = pytest.raises(HarnessError, match="ended by itself, killed by SIGKILL")
    with told_at_the_end, child(tmp_path, server.base, Load(arrivals="50/s"), get("/"), None) as sender:
        sender.go(time.monotonic_ns())
        while not rows(tmp_path):
            time.sleep(0.01)
        sender._process.kill()

        with pytest.raises(HarnessError, match="ended before it said 'ended'"):
            sender.wait_ended(20)
        assert not sender.alive()
    assert rows(tmp_path)
