"""
Processes beside the runs that look like theirs: same program, same command, nothing to do with them.

None of them may ever be killed, held or changed. The Toxiproxy holds a proxy with a toxic of its own, under the names
that runs use.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from harness.links.provision import provide_toxiproxy

HOST = f"127.62.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250 + 1}"  # below the blocks that runs take
SERVICES = ("user", "recommendation")
API_PORT, SERVICE_PORT = 8474, 18081
READY_LIMIT_S = 30.0
CALL_LIMIT_S = 5.0
TOXIC = {"name": "slow-user", "type": "latency", "stream": "downstream", "attributes": {"latency": 100, "jitter": 0}}


class Bystanders:
    """Started once, looked at after every kill."""

    def __init__(self) -> None:
        self._processes: dict[str, tuple[subprocess.Popen[bytes], int, str]] = {}

    def start(self) -> None:
        """Returns when all of them answer."""
        binary = provide_toxiproxy(lambda _: None)
        self._start("toxiproxy", [str(binary), "-host", HOST, "-port", str(API_PORT)], API_PORT, "/version")
        for number, name in enumerate(SERVICES):
            port = SERVICE_PORT + number
            command = [sys.executable, "-m", f"services.shop.{name}"]
            self._start(name, command, port, "/actuator/health", HOST=HOST, PORT=str(port))
        deadline_s = time.monotonic() + READY_LIMIT_S
        while problems := self._silent():
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"the bystanders did not come up: {problems}")
            time.sleep(0.1)
        _ask("POST", API_PORT, "/proxies", {"name": "order~user", "listen": f"{HOST}:0", "upstream": f"{HOST}:1"})
        _ask("POST", API_PORT, "/proxies/order~user/toxics", TOXIC)

    def _start(self, name: str, command: list[str], port: int, path: str, **environment: str) -> None:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._processes[name] = (process, port, path)

    def harmed(self) -> list[str]:
        """What became of those that are no longer as they were; empty when all is well."""
        found = []
        for name, (process, _, _) in self._processes.items():
            if process.poll() is not None:
                found.append(f"bystander {name} (pid {process.pid}) ended, exit code {process.returncode}")
            elif psutil.Process(process.pid).status() == psutil.STATUS_STOPPED:
                found.append(f"bystander {name} (pid {process.pid}) is held")
        if found:
            return found
        toxics = json.loads(_ask("GET", API_PORT, "/proxies/order~user/toxics"))
        if [toxic["name"] for toxic in toxics] != [TOXIC["name"]]:
            found.append(f"the bystander's toxics are {toxics}")
        return found + self._silent()

    def _silent(self) -> list[str]:
        found = []
        for name, (_, port, path) in self._processes.items():
            try:
                _ask("GET", port, path)
            except OSError as error:
                found.append(f"bystander {name} does not answer: {error}")
        return found

    def end(self) -> None:
        for process, _, _ in self._processes.values():
            process.kill()
            process.wait()


@contextmanager
def bystanders() -> Iterator[Bystanders]:
    """Start them, end them whatever happens."""
    made = Bystanders()
    try:
        made.start()
        yield made
    finally:
        made.end()


def _ask(method: str, port: int, path: str, body: dict[str, Any] | None = None) -> str:
    connection = http.client.HTTPConnection(HOST, port, timeout=CALL_LIMIT_S)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        said = answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
    if answer.status >= 500:
        raise OSError(f"{method} {path} was answered with {answer.status}: {said[:200]}")
    return said
