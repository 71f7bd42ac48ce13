"""
etcd in the foreground, one member: what Patroni keeps its leader key in. The program is the system's own.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from services.postgres.problems import StartError, run
from services.postgres.settings import Environment, port


def arguments(host: str, client_port: int, data: Path) -> list[str]:
    """The command line: heartbeats of 50 ms, a new leader after 500 ms (of itself, when it is alone)."""
    peers = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104  compared; it is alone, so nobody else asks
    client, peer = f"http://{host}:{client_port}", f"http://{peers}:{client_port + 1}"
    return [
        "etcd", "--name", "etcd", "--data-dir", str(data), "--listen-client-urls", client,
        "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        "--initial-cluster", f"etcd={peer}", "--heartbeat-interval", "50", "--election-timeout", "500",
        "--logger", "zap", "--log-level", "error",
    ]  # fmt: skip


def main() -> None:
    environment = Environment(os.environ)
    host = environment.read("HOST", "127.0.0.1", str)
    client_port = environment.read("PORT", "2379", port)
    data = environment.read("DATA", None, Path)
    environment.check()
    program = shutil.which("etcd")
    if program is None:
        raise StartError("there is no etcd on the PATH; .ci/install-databases installs it (Debian: etcd-server)")
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    sys.stderr.flush()
    os.execv(program, arguments(host, client_port, data))  # noqa: S606  # it takes this process over


if __name__ == "__main__":
    run("etcd", main)
