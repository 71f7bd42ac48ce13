"""
One PostgreSQL server on one data folder: made, started, told whom to follow, promoted, ended.

It does what it is told and knows of no other node's state: who is to be the primary is the supervisor's to say.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from services.postgres import account, processes
from services.postgres.account import Account
from services.postgres.binaries import Binaries
from services.postgres.problems import ConfigurationError, StartError
from services.postgres.settings import Address, NodeSettings

SUPERUSER = "postgres"
NODE_FILE = "node.conf"  # what changes while the server runs; read again on SIGHUP
MADE_LIMIT_S = 60.0
STOP_LIMIT_S = 5.0

_PARAMETERS = {
    "unix_socket_directories": "",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "wal_level": "replica",
    "hot_standby": "on",
    "max_wal_senders": "10",
    "wal_keep_size": "128MB",  # so that a follower finds what it missed without a slot
    "wal_retrieve_retry_interval": "100ms",
    "wal_receiver_timeout": "5s",
    "wal_sender_timeout": "5s",
    "wal_receiver_status_interval": "1s",
    "autovacuum_naptime": "1h",
    "io_method": "sync",  # a run's machine is small: no pool of readers
    "dynamic_shared_memory_type": "mmap",  # in the data folder, where SIGKILL leaves nothing behind elsewhere
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
}
_ERROR_WORDS = ("error:", "ERROR:", "FATAL:", "PANIC:")
_HBA = "host all all all trust\nhost replication all all trust\n"


class Server:
    """The server of one node."""

    def __init__(self, settings: NodeSettings, binaries: Binaries, owner: Account) -> None:
        self.settings = settings
        self.data = settings.data
        self.process: subprocess.Popen[bytes] | None = None
        self.born_s = 0.0
        self._binaries, self._owner = binaries, owner
        self._segment: int | None = None

    # -- the data folder ---------------------------------------------------------------------

    @property
    def made(self) -> bool:
        """Whether the data folder holds a cluster. Raises ConfigurationError for one of another version."""
        try:
            text = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return False
        if text != str(self._binaries.major):
            raise ConfigurationError(
                f"DATA {self.data} was made by PostgreSQL {text}, and {self._binaries.folder} holds"
                f" {self._binaries.major}; name another folder, or the programs of version {text} by POSTGRES_BIN"
            )
        return True

    @property
    def was_primary(self) -> bool:
        """Whether the cluster in the data folder last ran as a primary."""
        return not (self.data / "standby.signal").exists()

    def make_primary(self) -> None:
        """A new, empty cluster. Raises StartError."""
        account.give(self.data, self._owner)
        self._tool(
            "initdb", "-D", str(self.data), "-U", SUPERUSER, "-A", "trust", "--no-locale", "-E", "UTF8", "-N", "-k",
            "--wal-segsize=1",
        )  # fmt: skip
        (self.data / "pg_hba.conf").write_text(_HBA, encoding="ascii")
        with (self.data / "postgresql.conf").open("a", encoding="ascii") as file:
            file.write(f"\ninclude_if_exists = '{NODE_FILE}'\n")

    def make_replica(self, source: Address) -> None:
        """A copy of a running primary, in place of what the folder holds. Raises StartError."""
        shutil.rmtree(self.data, ignore_errors=True)
        account.give(self.data, self._owner)
        self._tool(
            "pg_basebackup", "-D", str(self.data), "-d", _conninfo(source, self.settings.node), "-c", "fast", "-N",
            "-X", "stream",
        )  # fmt: skip

    def rewind(self, source: Address) -> None:
        """Take back what this former primary wrote and the running one never had. Raises StartError."""
        self._tool("pg_rewind", "-D", str(self.data), f"--source-server={_conninfo(source, self.settings.node)}", "-N")

    def lead(self) -> None:
        """From the next start on: a primary that follows nobody."""
        (self.data / "standby.signal").unlink(missing_ok=True)
        self._write({})

    def follow(self, source: Address) -> None:
        """Follow another node: from now on when it runs as a replica, else from the next start on."""
        self._own(self.data / "standby.signal", "")
        self._write({"primary_conninfo": _conninfo(source, self.settings.node), "recovery_target_timeline": "latest"})
        self.reload()

    def wait_for_replicas(self, names: str) -> None:
        """Which replicas a commit waits for, in PostgreSQL's own words: `ANY 1 (pg1, pg2)`; empty: none."""
        self._write({"synchronous_standby_names": names})
        self.reload()

    # -- the server --------------------------------------------------------------------------

    def start(self) -> None:
        """Start it; whether it accepts is seen by asking it."""
        processes.kill_children()  # backends outlive a postmaster that was killed alone, and would write on
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # all of ours are gone; its pid may be anybody's by now
        parameters = {
            **_PARAMETERS,
            "listen_addresses": self.settings.host,
            "port": str(self.settings.postgres_port),
            "cluster_name": self.settings.node,
            **self.settings.parameters,
        }
        if self._binaries.major < 18:
            parameters.pop("io_method", None)
        words = [word for key, value in parameters.items() for word in ("-c", f"{key}={value}")]
        self.process = self._popen([self._binaries.path("postgres"), "-D", str(self.data), *words])
        self.born_s = processes.born_s(self.process.pid)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def look(self) -> None:
        """To be called often: its shared memory goes with it, also after it has recovered from a crash of its own."""
        if self.alive:
            self._segment = processes.mark_segment(self.data, self._segment)

    def reload(self) -> None:
        if self.alive:
            assert self.process is not None
            self.process.send_signal(signal.SIGHUP)

    def promote(self) -> None:
        """Let a replica become a primary: what pg_ctl does, without its polling ten times a second."""
        self._own(self.data / "promote", "")
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR1)

    def stop(self, limit_s: float = STOP_LIMIT_S) -> None:
        """End it in good order: connections are cut, everything written is sent to the replicas first."""
        if not self.alive:
            return
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> int:
        """SIGKILL its whole tree; returns how many processes there were."""
        if self.process is None:
            return 0
        hit = processes.kill_tree(self.process.pid, self.born_s)
        self.process.wait(STOP_LIMIT_S)
        return hit

    # -- what it rests on --------------------------------------------------------------------

    def _write(self, changed: dict[str, str]) -> None:
        """Write node.conf: what is not said anew stays, but for whom to follow, which only a replica has."""
        kept = self._read()
        if not changed:
            kept.pop("primary_conninfo", None)
        lines = [f"{key} = '{value}'" for key, value in sorted({**kept, **changed}.items())]
        self._own(self.data / NODE_FILE, "\n".join(lines) + "\n")

    def _read(self) -> dict[str, str]:
        try:
            lines = (self.data / NODE_FILE).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        pairs = [line.partition(" = ") for line in lines if " = " in line]
        return {key: value.strip("'") for key, _, value in pairs}

    def _own(self, path: Path, text: str) -> None:
        new = path.with_name(f"{path.name}.new")
        new.write_text(text, encoding="utf-8")
        if self._owner.changed:
            shutil.chown(new, self._owner.uid, self._owner.gid)
        new.replace(path)

    def _tool(self, program: str, *arguments: str) -> None:
        child = self._popen(
            [self._binaries.path(program), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            said, _ = child.communicate(timeout=MADE_LIMIT_S)
        except subprocess.TimeoutExpired:
            processes.kill_tree(child.pid, processes.born_s(child.pid))
            child.wait()
            raise StartError(f"{program} took longer than {MADE_LIMIT_S:g} s") from None
        if child.returncode != 0:
            gist = _gist(said.decode(errors="replace"))
            raise StartError(f"{program} for {self.data} ended with exit code {child.returncode}: {gist}")

    def _popen(self, argv: list[str], **more: Any) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(argv, cwd="/", stdin=subprocess.DEVNULL, **self._owner.popen(), **more)
        except OSError as error:
            raise StartError(f"cannot run {argv[0]} as {self._owner.name}: {error.strerror}") from error


def _gist(said: str) -> str:
    """The first lines that name an error, for what follows is its consequence; the last lines when none does."""
    lines = said.strip().splitlines()
    errors = [line for line in lines if any(word in line for word in _ERROR_WORDS)]
    return " / ".join(errors[:2] or lines[-5:])


def _conninfo(source: Address, name: str) -> str:
    host, port = source
    return f"host={host} port={port} user={SUPERUSER} dbname=postgres application_name={name} connect_timeout=5"


def wait_until(found: Any, *, limit_s: float, pace_s: float = 0.003) -> bool:
    """Wait until found() is true; False when limit_s is over first."""
    ends_s = time.monotonic() + limit_s
    while not found():
        if time.monotonic() > ends_s:
            return False
        time.sleep(pace_s)
    return True
