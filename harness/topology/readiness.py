"""
Whether a service is ready: an HTTP path that answers 200, a command that ends with 0, or a port that accepts.

Asked of the service itself, past its links. Each question has a limit of its own.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Protocol

from harness.children import Spawn
from harness.errors import SetUpError
from harness.secrets import fields, text
from harness.system.model import HealthCheck, Service
from harness.topology.base import Launch

ASK_LIMIT_S = 1.0
FIRST_PACE_S = 0.02
LONGEST_PACE_S = 0.1
_PYTHONS = ("python", "python3")


class Probe(Protocol):
    """Asks a service once."""

    @property
    def awaited(self) -> str:
        """What is waited for, for people: `GET http://127.77.0.1:8080/ready to answer 200`."""
        ...

    def __call__(self) -> str | None:
        """None when it is ready, else what came instead."""
        ...


class HttpProbe:
    """Ready when a path answers 200."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self._host, self._port, self._path = host, port, path
        self.awaited = f"GET http://{host}:{port}{path} to answer 200"

    def __call__(self) -> str | None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=ASK_LIMIT_S)
        with closing(connection):
            try:
                connection.request("GET", self._path, headers={"Connection": "close"})
                answer = connection.getresponse()
                body = b"" if answer.status == http.client.OK else answer.read1(500)
            except (OSError, http.client.HTTPException) as error:
                return _network_words(error)
        if answer.status == http.client.OK:
            return None
        return f"status {answer.status} {body.decode('utf-8', 'replace').strip()}".rstrip()


class PortProbe:
    """Ready when the port accepts a connection."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self.awaited = f"{host}:{port} to accept connections"

    def __call__(self) -> str | None:
        try:
            socket.create_connection(self._address, timeout=ASK_LIMIT_S).close()
        except OSError as error:
            return _network_words(error)
        return None


class CommandProbe:
    """Ready when the health check's own command ends with 0. It runs in the service's environment."""

    def __init__(self, service: str, health: HealthCheck, launch: Launch, spawn: Spawn, log: Path) -> None:
        self._service, self._health, self._launch, self._spawn, self._log = service, health, launch, spawn, log
        self._argv = ("/bin/sh", "-c", " ".join(health.test)) if health.shell else with_our_python(health.test)
        self.awaited = f"the health check {' '.join(fields(health.test))!r} to end with 0"

    def __call__(self) -> str | None:
        offset = log_end(self._log)
        launch = self._launch
        child = self._spawn(f"{self._service} health check", self._argv, env=launch.env, cwd=launch.cwd, log=self._log)
        try:
            code = child.wait(self._health.timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            return f"no end within its time limit of {self._health.timeout_s:g} s"
        if code == 0:
            return None
        said = last_lines(self._log, offset, 1)
        return f"exit code {code}{': ' + said[0] if said else ''}"


def probe_of(service: Service, launch: Launch, spawn: Spawn, log: Path) -> Probe | None:
    """How to ask a service; None when there is nothing to ask, then it is ready once it is started."""
    if service.ready_path is not None and launch.port is not None:
        return HttpProbe(launch.host, launch.port, service.ready_path)
    if service.health is not None and service.health.test:
        return CommandProbe(service.name, service.health, launch, spawn, log)
    if launch.port is not None:
        return PortProbe(launch.host, launch.port)
    return None


def paces_s() -> Callable[[], float]:
    """Waits between questions: short at first, growing to a tenth of a second."""
    pace_s = FIRST_PACE_S / 1.3

    def following() -> float:
        nonlocal pace_s
        pace_s = min(pace_s * 1.3, LONGEST_PACE_S)
        return pace_s

    return following


def with_our_python(argv: tuple[str, ...]) -> tuple[str, ...]:
    """A command with `python` replaced by the Python that runs the harness, so that its packages are there."""
    return (sys.executable, *argv[1:]) if argv and argv[0] in _PYTHONS else argv


def log_end(log: Path) -> int:
    """Where the next line of a log will begin."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def last_lines(log: Path, offset: int, count: int) -> list[str]:
    """The last lines of a log, none from before offset."""
    try:
        with log.open("rb") as file:
            file.seek(max(offset, log_end(log) - 64 * 1024))
            return file.read().decode("utf-8", "replace").splitlines()[-count:]
    except OSError:
        return []


def not_ready(service: str, awaited: str, waited_s: float, answer: str | None, lines: list[str]) -> SetUpError:
    """The error for a service that runs but did not become ready in time."""
    return SetUpError(
        f"{service} was not ready after {waited_s:.1f} s: waited for {awaited}; "
        f"last answer: {answer or 'none yet'}{log_text(lines)}"
    )


def log_text(lines: list[str]) -> str:
    """The last lines of a log as the end of a message."""
    return (
        "\n  last log lines:\n" + "\n".join(f"    {text(line)}" for line in lines) if lines else "\n  its log is empty"
    )


def _network_words(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return f"no answer within {ASK_LIMIT_S:g} s"
    return f"{type(error).__name__}: {error}"
