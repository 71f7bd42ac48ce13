"""
What a node says of itself, asked of its own server ten times a second: role, timeline, position, who follows.

A server that is frozen gives no answer; then the last state stays, with the instant it was true at, and grows old.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.rows import dict_row

from services.postgres.server import SUPERUSER
from services.postgres.settings import Address

PERIOD_S = 0.1
HURRIED_S = 0.01
DOWN: dict[str, Any] = {
    "accepting": False, "role": "down", "writable": False, "timeline": None, "position": None, "replayed": None,
    "streaming": False, "replicas": [], "synchronous": "",
}  # fmt: skip

_STATE = """
SELECT pg_is_in_recovery() AS replica,
       current_setting('default_transaction_read_only') = 'on' AS read_only,
       current_setting('synchronous_standby_names') AS synchronous,
       CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'
            ELSE pg_current_wal_flush_lsn() - '0/0' END AS position,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() - '0/0' END AS replayed,
       CASE WHEN pg_is_in_recovery() THEN (SELECT received_tli FROM pg_stat_wal_receiver)
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline,
       EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') AS streaming
"""
_REPLICAS = """
SELECT application_name AS name, state, sync_state AS sync,
       pg_current_wal_flush_lsn() - flush_lsn AS lag_bytes,
       extract(epoch FROM flush_lag)::float AS lag_s,
       extract(epoch FROM replay_lag)::float AS replay_lag_s
FROM pg_stat_replication WHERE state <> 'backup' ORDER BY application_name
"""


class Monitor:
    """Looks at one server in a thread of its own."""

    def __init__(self, where: Address, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._where, self._now_ns = where, now_ns
        self._connection: psycopg.Connection[dict[str, Any]] | None = None
        self._state: dict[str, Any] = {**DOWN, "at_ns": now_ns()}
        self._lock = threading.Lock()
        self._waiting = 0  # how many wait for a change
        self._hurry = threading.Event()
        self._timeline: int | None = None
        self._thread = threading.Thread(target=self._work, name="monitor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        """Look at once, and a hundred times a second until `relax` was called as often."""
        with self._lock:
            self._waiting += 1
            self._hurry.set()

    def relax(self) -> None:
        with self._lock:
            self._waiting -= 1
            if not self._waiting:
                self._hurry.clear()

    @property
    def state(self) -> dict[str, Any]:
        """The last state seen; at_ns is when it was asked for (monotonic)."""
        return self._state

    def _work(self) -> None:
        while True:
            asked_ns = self._now_ns()
            try:
                found = self._look()
            except psycopg.Error:
                self._close()
                found = dict(DOWN)
            self._state = {**found, "at_ns": asked_ns}
            if self._hurry.is_set():
                time.sleep(HURRIED_S)
            else:
                self._hurry.wait(PERIOD_S)

    def _look(self) -> dict[str, Any]:
        if self._connection is None:
            host, port = self._where
            self._connection = psycopg.connect(
                host=host, port=port, user=SUPERUSER, dbname="postgres", connect_timeout=2, autocommit=True,
                application_name="monitor", row_factory=dict_row,
            )  # fmt: skip
        row = self._connection.execute(_STATE).fetchone()
        assert row is not None
        replica = bool(row["replica"])
        self._timeline = row["timeline"] or self._timeline
        replicas = [] if replica else self._connection.execute(_REPLICAS).fetchall()
        return {
            "accepting": True,
            "role": "replica" if replica else "primary",
            "writable": not replica and not row["read_only"],
            "timeline": self._timeline,
            "position": _whole(row["position"]),
            "replayed": _whole(row["replayed"]),
            "streaming": bool(row["streaming"]),
            "replicas": [{**one, "lag_bytes": _whole(one["lag_bytes"])} for one in replicas],
            "synchronous": row["synchronous"],
        }

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
