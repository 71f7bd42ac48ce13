"""A run full of planted secrets and shell words: nothing gets out, nobody else may read it, no shell is reached."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

LIMIT_S = 120
PLANTED = {
    name: f"plant-{name}-9f3bzq"
    for name in (
        "password", "urlword", "token", "header", "cookie", "body", "drawn", "with", "fault", "option", "outside", "set",
    )
}  # fmt: skip

# Both services in one: `front` asks `auth` with its token in the query, and answers 200 only to the planted header.
SERVICE = """
import json, os, sys, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WANTED = os.environ.get("WANTED_TOKEN")

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, said = 200, {"entries": [{"key": "one", "cardToken": WANTED}]}
        if self.path.startswith("/orders"):
            good = self.headers["Authorization"] == WANTED and json.loads(body)["password"] == os.environ["BODY_SECRET"]
            status = 200 if good and os.environ["WITH_PASSWORD"].startswith(os.environ["WITH_STARTS"][::-1]) else 401
            try:
                url = os.environ["AUTH_URL"] + "/check?x=1&token=" + os.environ["API_TOKEN"]
                urllib.request.urlopen(url, timeout=2).read()
            except OSError:
                pass
        data = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass

open(os.environ["DATA"] + "/written-by-" + os.environ["NAME"], "w").write("x")
ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


def compose(folder: Path, mark: str) -> str:
    """A system with a secret or a shell's words in every value that may hold one."""
    words = f"; touch {mark} #"
    deeper = f"$(touch {mark})`touch {mark}`"
    services = {
        name: {
            "command": ["python", str(folder / "service.py"), "--db-password", PLANTED["option"], words, deeper],
            "environment": {
                "HOST": "0.0.0.0", "PORT": port, "NAME": name, "DATA": "${HARNESS_DATA}",
                "DB_PASSWORD": PLANTED["password"], "DATABASE_URL": f"postgres://shop:{PLANTED['urlword']}@127.0.0.1/x",
                "API_TOKEN": PLANTED["token"], "WANTED_TOKEN": PLANTED["header"] + words, "OTHER": words + deeper,
                "SESSION_COOKIE": PLANTED["cookie"], "BODY_SECRET": PLANTED["body"], "WITH_STARTS": "htiw-tnalp",
                "WITH_PASSWORD": "", **({"AUTH_URL": "http://auth:18092"} if name == "front" else {}),
            },
            "expose": [port],
            "healthcheck": {"test": ["CMD", "python", "-c", "pass", words, deeper], "interval": "1s"},
        }
        for name, port in (("front", "18091"), ("auth", "18092"))
    }  # fmt: skip
    request = {
        "name": "POST /orders",
        "headers": {"Authorization": PLANTED["header"] + words, "Cookie": f"id={PLANTED['cookie']}", "X-Words": words},
        "json": {"password": PLANTED["body"], "id": "{id}", "pin": "{pin_token}", "words": words + deeper},
        "key": "{id}",
    }
    extension = {
        "entry": "front",
        "profiles": {
            "buy": {
                "requests": [request],
                "data": {"id": {"unique": "order"}, "pin_token": {"choice": [PLANTED["drawn"]]}},
            }
        },
        "ledgers": {"orders": {"service": "front", "path": "/ledger", "asked_by": "POST /orders"}},
    }
    written = {"name": "private", "services": services, "x-harness": extension}
    return json.dumps(written, indent=1).replace("$(", "$$(")


def scenario(mark: str) -> str:
    return json.dumps(
        {
            "name": "private-run",
            "system": "system.yaml",
            "with": {
                "front": {"WITH_PASSWORD": f"{PLANTED['with']}; touch {mark}", "SET_SECRET": "x"},
                "auth": {"OTHER": f"; touch {mark}"},
            },
            "load": {"arrivals": "15/s"},
            "timeline": [
                {"steady": "4s"},
                {
                    "fault": {
                        "http": "status", "link": "front->auth", "status": 503, "path": "/check*",
                        "body": f"; touch {mark}", "headers": {"Set-Cookie": PLANTED["fault"]},
                    },
                    "as": "refused", "for": "2s",
                },
                {"recovery": "1s"},
            ],
            "expect": [{"availability": {"at_least": "90%"}}],
        },
        indent=1,
    )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Finished:
    folder: Path
    run: Path
    code: int
    said: str
    seen_spools: bytes = b""
    seen_modes: dict[str, int] = field(default_factory=dict)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("private")
    mark = str(folder / "pwned")
    (folder / "service.py").write_text(SERVICE)
    (folder / "system.yaml").write_text(compose(folder, mark))
    (folder / "tiny.yaml").write_text(scenario(mark))
    reports = folder / "reports"
    command = [
        sys.executable, "-m", "harness", "run", str(folder / "tiny.yaml"), "--reports", str(reports), "--plain",
        "--retry-busy", "3", "--set", f"with.front.SET_SECRET={PLANTED['set']}",
    ]  # fmt: skip
    environment = {**os.environ, "CI_JOB_TOKEN": PLANTED["outside"]}
    before = os.umask(0)  # the most careless there is
    try:
        runner = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
    finally:
        os.umask(before)
    found = Finished(folder=folder, run=reports / "none", code=-1, said="")
    deadline_s = time.monotonic() + LIMIT_S
    try:
        while runner.poll() is None and time.monotonic() < deadline_s:
            look(reports, found)
            time.sleep(0.2)
        said, _ = runner.communicate(timeout=LIMIT_S)
    finally:
        if runner.poll() is None:
            runner.kill()
            runner.wait()
    found.code, found.said = runner.returncode, said.decode()
    found.run = max(path for path in reports.iterdir() if path.name.startswith("2") and path.is_dir())
    return found


def look(reports: Path, found: Finished) -> None:
    """What lies there while the run goes on: the modes of everything, the bytes of the spools."""
    for path in reports.glob("2*/**/*"):
        try:
            mode = path.lstat().st_mode
            found.seen_modes[str(path.relative_to(reports))] = mode
            if path.parent.name == "spool":
                found.seen_spools += path.read_bytes()
        except OSError:
            continue  # gone meanwhile


def test_the_processes_got_the_real_values(finished: Finished) -> None:
    """The service asked for header, body and environment as they are, and the run still passed and was judged."""
    assert finished.code == 0, finished.said
    assert "PASS" in finished.said


def test_no_planted_secret_is_in_anything_the_run_left_or_said(finished: Finished) -> None:
    """Journal, leases, configurations, logs, reports, spools and the terminal hold none of them."""
    leaks = [(name, "terminal") for name, value in PLANTED.items() if value in finished.said]
    leaks += [(name, "spool") for name, value in PLANTED.items() if value.encode() in finished.seen_spools]
    for path in finished.run.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        leaks += [(name, str(path.relative_to(finished.run))) for name in PLANTED if PLANTED[name].encode() in data]

    assert leaks == []
    assert finished.seen_spools


def test_a_masked_run_can_be_judged_and_reported_again(finished: Finished) -> None:
    """By its journal alone, and by a scenario in which the secrets stand."""
    for more in ([], ["--scenario", str(finished.folder / "tiny.yaml")]):
        command = [sys.executable, "-m", "harness", "judge", str(finished.run), "--json", *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)

        assert done.returncode == 0, done.stdout + done.stderr
        receipts = {r["kind"]: r["verdict"] for r in json.loads(done.stdout)["receipts"]}
        assert receipts["fault"] == "PASS"
        assert not any(value in done.stdout for value in PLANTED.values())


def test_everything_of_a_run_is_its_owners_alone(finished: Finished) -> None:
    """Folders 0700 and files 0600, whatever the umask, while it goes on and afterwards, what services wrote included."""
    modes = dict(finished.seen_modes)
    for path in [finished.run, *finished.run.rglob("*")]:
        modes[str(path.relative_to(finished.run.parent))] = path.lstat().st_mode

    assert {name: oct(mode) for name, mode in modes.items() if stat.S_IMODE(mode) & 0o077} == {}
    names = " ".join(modes)
    for expected in ("journal.db", "leases.jsonl", "gate.json", "load.json", "spool/gate.jsonl", "logs/front.log",
                     "data/written-by-front", "verdict.json", "report.html", "report.md", "junit.xml",
                     "watchdog.log"):  # fmt: skip
        assert expected in names


def test_no_value_reached_a_shell(finished: Finished) -> None:
    """Commands, environments, headers, bodies, health checks and `with`: none of their shell words was run."""
    assert not (finished.folder / "pwned").exists()
