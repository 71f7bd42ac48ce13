"""
How the engine is reached, and what a person reads when it is not.

An Engine is the SDK's client with its errors turned into ours. DOCKER_HOST is heeded, else the context that the
command line uses, else the usual socket.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from harness.errors import HarnessError, SetUpError

CALL_LIMIT_S = 30.0
COMMAND_LIMIT_S = 10.0
OLDEST_ENGINE = (20, 10)
OLDEST_COMPOSE = (2, 24)
INSTALL = "on Debian or Ubuntu: sudo apt-get install docker.io"


class EngineError(HarnessError):
    """The engine did not do what it was asked."""


class EngineMissing(SetUpError):
    """There is no engine, or it may not be asked."""


class Engine:
    """One engine. `api` is the SDK's low-level client; every use of it belongs inside `asking`."""

    def __init__(self, api: Any, place: str, version: str) -> None:
        self.api, self.place, self.version = api, place, version

    @contextmanager
    def asking(self, what: str) -> Iterator[Any]:
        """Inside, the SDK's errors and those of the network become EngineError: `cannot WHAT: ...`."""
        from docker.errors import DockerException
        from requests import RequestException

        try:
            yield self.api
        except (DockerException, RequestException, OSError) as error:
            raise EngineError(f"cannot {what}: {_words(error)}") from error

    def close(self) -> None:
        """Close its connections; may be called twice."""
        with suppress(Exception):
            self.api.close()


def connect(limit_s: float = CALL_LIMIT_S, place: str | None = None) -> Engine:
    """
    The engine at a place, by default the one this machine's command line uses, asked once for its version.
    Raises EngineMissing with what would put it right.
    """
    try:
        import docker
        from docker.errors import DockerException
        from requests import RequestException
    except ImportError as error:
        raise EngineMissing(
            f"the Compose backend needs the package {error.name!r}, which is not installed",
            hint="pip install 'harness[compose]'",
        ) from error
    place = place or _host() or "unix:///var/run/docker.sock"
    try:
        _knock(place)
        api = docker.APIClient(base_url=place, version="auto", timeout=limit_s)
        version = str(api.version()["Version"])
    except (DockerException, RequestException, OSError, ValueError) as error:
        raise _missing(place, error) from error
    if numbers(version) < OLDEST_ENGINE:
        api.close()
        raise EngineMissing(f"the engine at {place} is {version}; 20.10 is the oldest that works", hint=INSTALL)
    return Engine(api, place, version)


def compose_version() -> str:
    """The version of the Compose plugin. Raises EngineMissing when it is missing or too old."""
    try:
        answer = subprocess.run(
            ["docker", "compose", "version", "--short"], capture_output=True, text=True, timeout=COMMAND_LIMIT_S,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise EngineMissing(
            "the Compose backend needs the command docker, which is not on PATH", hint=INSTALL
        ) from error
    except subprocess.TimeoutExpired as error:
        raise EngineMissing(f"`docker compose version` said nothing within {COMMAND_LIMIT_S:g} s") from error
    version = answer.stdout.strip().removeprefix("v")
    if answer.returncode != 0 or not version:
        raise EngineMissing(
            "the Compose backend needs the plugin Docker Compose, which is not installed",
            hint="sudo apt-get install docker-compose-plugin (Docker's own packages), or .ci/docker start, which builds it",
        )
    if numbers(version) < OLDEST_COMPOSE:
        raise EngineMissing(
            f"Docker Compose is {version}; 2.24 is the oldest that works (it must know !override)",
            hint="sudo apt-get install docker-compose-plugin (Docker's own packages)",
        )
    return version


def numbers(version: str) -> tuple[int, int]:
    """The first two numbers of a version: (20, 10) of 20.10.24+dfsg1."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _knock(place: str) -> None:
    """See that somebody listens on a local socket; the SDK leaves its own socket open when nobody does."""
    if place.startswith("unix://"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.settimeout(COMMAND_LIMIT_S)
            door.connect(place.removeprefix("unix://"))


def _host() -> str | None:
    """Where the command line would look: DOCKER_HOST, else its current context; None for the usual socket."""
    if host := os.environ.get("DOCKER_HOST"):
        return host
    with suppress(Exception):  # whatever is wrong with a context, the usual socket is the next best
        from docker.context import ContextAPI

        context = ContextAPI.get_current_context()
        if context is not None and context.name != "default" and context.Host:
            return str(context.Host)
    return None


def _missing(place: str, error: Exception) -> EngineMissing:
    said = str(error)
    if "Permission denied" in said:
        return EngineMissing(
            f"the engine at {place} may not be asked by this user: permission denied",
            hint="sudo usermod -aG docker $USER, then log in anew",
        )
    if "No such file" in said:
        hint = (
            f"{INSTALL}; where it is installed: sudo systemctl start docker; an engine of one's own: .ci/docker start"
        )
        return EngineMissing(f"no engine answers at {place}: there is no such socket", hint=hint)
    if "Connection refused" in said:
        return EngineMissing(f"no engine answers at {place}: connection refused", hint="sudo systemctl start docker")
    return EngineMissing(f"no engine answers at {place}: {_words(error)}", hint="is DOCKER_HOST right?")


def _words(error: Exception) -> str:
    """What the engine itself says, without the request that is put around it."""
    return str(getattr(error, "explanation", None) or error).strip()
