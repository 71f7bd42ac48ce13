"""
Loopback addresses of a run's own, and whether the ports on them are free.

Every run takes a block 127.X.0.0/16 for itself by holding a port in it: the
kernel gives the port back when the runner dies, however it dies. So runs side
by side never meet, and services keep the ports their Compose file names.
"""

from __future__ import annotations

import errno
import os
import random
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import psutil

from harness.errors import SetUpError

BLOCKS = range(64, 251)  # 127.0 is everybody's, 127.1 to 127.63 are left to people
LOCK_PORT = 20127  # below the ports that the kernel hands out by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of loopback addresses, held until closed. prefix is its first two numbers: `127.77`."""

    prefix: str
    lock: socket.socket

    def close(self) -> None:
        """Give the block back; may be called twice."""
        self.lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def claim_block(order: Sequence[int] | None = None) -> Block:
    """Take the first free block in `order` (default: all of BLOCKS, shuffled). Raises SetUpError."""
    refused: dict[int, int] = {}
    for number in order if order is not None else random.sample(BLOCKS, len(BLOCKS)):
        lock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            lock.bind((f"127.{number}.0.1", LOCK_PORT))
        except OSError as error:
            lock.close()
            refused[number] = error.errno or 0
            continue
        return Block(prefix=f"127.{number}", lock=lock)
    if set(refused.values()) == {errno.EADDRNOTAVAIL}:
        raise SetUpError(
            "this machine has no loopback address but 127.0.0.1; every service and link needs one of its own",
            hint=f"on macOS add a block of them: {alias_command()}",
        )
    reasons = ", ".join(sorted({os.strerror(number) for number in refused.values()})) or "none was tried"
    raise SetUpError(
        f"none of {len(refused)} loopback blocks (127.{BLOCKS[0]} to 127.{BLOCKS[-1]}) could be taken: {reasons}",
        hint=f"each run in progress holds port {LOCK_PORT} of its block; end some, or look with: harness clean",
    )


def alias_command(number: int = 77) -> str:
    """The shell command by which macOS gets the first addresses of a block."""
    return f"for n in $(seq 1 60); do sudo ifconfig lo0 alias 127.{number}.0.$n up; done"


def check_free(
    endpoints: Iterable[tuple[str, int, str]], owner: Callable[[str, int], str | None] | None = None
) -> None:
    """
    See that every (host, port, who wants it) can be listened on. Raises SetUpError that names all that cannot.

    `owner` tells who listens on an address (default: asked of the operating system where it may be).
    """
    problems = []
    for host, port, who in endpoints:
        error = _listen_error(host, port)
        if error is None:
            continue
        text = f"{who} needs {host}:{port}: {error.strerror or error}"
        if error.errno == errno.EADDRINUSE:
            holder = (owner or owner_of)(host, port)
            text = f"{who} needs {host}:{port}, which is taken by {holder or 'a process that may not be looked at'}"
        problems.append(text)
    if problems:
        raise SetUpError(
            "\n".join(problems),
            hint="end the process that holds the port, or give the service another one; "
            "what a killed run left is ended by: harness clean",
        )


def _listen_error(host: str, port: int) -> OSError | None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do it: connections that only wait for their end do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error
    return None


def owner_of(host: str, port: int) -> str | None:
    """Who listens on an address, on 0.0.0.0 included: `nginx (pid 42, on 0.0.0.0:80)`; None when it may not be seen."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return None
    for connection in connections:
        address = connection.laddr
        if connection.status != psutil.CONN_LISTEN or not address or address.port != port or connection.pid is None:
            continue
        if address.ip in (host, "0.0.0.0", "::", f"::ffff:{host}"):  # noqa: S104  compared, not bound
            return f"{_name(connection.pid)} (pid {connection.pid}, on {address.ip}:{port})"
    return None


def _name(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return "a process"
