"""
A journal in a liar's hands: what mutants change, in seconds of the run and in rows.

Two kinds of hands: those that tamper with a finished file and leave their traces in it, and those of a part of the rig
that was wrong while it ran, and whose rows are therefore all of one piece (`settle` numbers them anew).
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any, Self

ENTRY = "load->order"
MS = 1_000_000
S = 1_000 * MS


class Tampered:
    """A copy of a recorded run, opened for changes. Use as a context manager."""

    def __init__(self, recorded: Path, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder, self.path = folder, folder / "journal.db"
        shutil.copyfile(recorded / "journal.db", self.path)
        self.db = sqlite3.connect(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.db.commit()
        self.db.close()

    # -- looking -------------------------------------------------------------------------------------------

    def all(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self.db.execute(sql, values).fetchall()

    def one(self, sql: str, *values: object) -> Any:
        return self.db.execute(sql, values).fetchone()[0]

    def fact(self, key: str) -> Any:
        return json.loads(self.one("SELECT value FROM run WHERE key = ?", key))

    def instant(self, kind: str) -> int:
        """When the first event of a kind happened."""
        return int(self.one("SELECT min(t_ns) FROM events WHERE kind = ?", kind))

    @property
    def on_ns(self) -> int:
        return self.instant("fault.injecting")

    @property
    def off_ns(self) -> int:
        return self.instant("fault.healed")

    # -- changing ------------------------------------------------------------------------------------------

    def do(self, sql: str, *values: object) -> int:
        """Run a statement; gives back how many rows it touched, at least one, or the mutant would be none."""
        touched = self.db.execute(sql, values).rowcount
        assert touched != 0, f"the mutant changed nothing: {sql}"
        return touched

    def put(self, key: str, value: object) -> None:
        self.do("UPDATE run SET value = ? WHERE key = ?", json.dumps(value), key)

    def event(self, t_ns: int, kind: str, subject: str, **data: object) -> None:
        self.do(
            "INSERT INTO events (t_ns, kind, subject, data) VALUES (?, ?, ?, ?)", t_ns, kind, subject, json.dumps(data)
        )

    def change_events(self, kind: str, **data: object) -> None:
        """Other words in the data of all events of a kind."""
        for ident, text in self.all("SELECT id, data FROM events WHERE kind = ?", kind):
            self.do("UPDATE events SET data = ? WHERE id = ?", json.dumps({**json.loads(text), **data}), ident)

    def delay(self, link: str, by_ns: int, since_ns: int, until_ns: int, more: str = "1") -> None:
        """Answers of a link later (or earlier) by a constant."""
        self.do(
            f"UPDATE wire SET head_ns = head_ns + ?1, ended_ns = ended_ns + ?1"
            f" WHERE link = ?2 AND arrived_ns >= ?3 AND arrived_ns < ?4 AND {more}",
            by_ns, link, since_ns, until_ns,
        )  # fmt: skip

    def forget_requests(self, which: str) -> None:
        """Requests that were never meant, nor sent, nor had any effect."""
        self.db.execute(f"CREATE TEMP TABLE gone AS SELECT trace, business_key FROM requests WHERE {which}")
        self.do("DELETE FROM requests WHERE trace IN (SELECT trace FROM gone)")
        self.do("DELETE FROM wire WHERE trace IN (SELECT trace FROM gone)")
        self.db.execute("DELETE FROM ledger WHERE business_key IN (SELECT business_key FROM gone)")
        for ledger, entries in self.all("SELECT ledger, count(*) FROM ledger GROUP BY ledger"):
            data = json.dumps({"entries": entries})
            self.do("UPDATE events SET data = ? WHERE kind = 'ledger.read' AND subject = ?", data, ledger)
        left = self.one("SELECT count(*) FROM requests")
        self.change_events("load.ended", intended=left, sent=left, finished=left)
        self.settle()

    def settle(self) -> None:
        """Number the exchanges of each connection anew, and let the gate have counted what is there."""
        rows = self.all("SELECT id, connection, exchange FROM wire ORDER BY connection, exchange, arrived_ns")
        last: dict[int, int] = {}
        for ident, connection, _ in rows:
            last[connection] = last.get(connection, 0) + 1
            self.db.execute("UPDATE wire SET exchange = ? WHERE id = ?", (last[connection], ident))
        for ident, t_ns, link, text in self.all("SELECT id, t_ns, subject, data FROM probes WHERE observer = 'gate'"):
            count = self.one("SELECT count(*) FROM wire WHERE link = ? AND ended_ns < ?", link, t_ns)
            data = json.dumps({**json.loads(text), "exchanges": count})
            self.db.execute("UPDATE probes SET data = ? WHERE id = ?", (data, ident))

    def new_connection(self) -> int:
        """A connection number that the gate has not given yet."""
        return int(self.one("SELECT max(max(connection), (SELECT max(connection) FROM connections)) + 1 FROM wire"))

    # -- breakers ------------------------------------------------------------------------------------------

    def transition(self, t_ns: int, change: str, name: str) -> None:
        data = json.dumps({"stateTransition": change})
        self.do(
            "INSERT INTO app_events (t_ns, seen_ns, service, source, name, type, data)"
            " VALUES (?, ?, 'order', 'circuitbreaker', ?, 'STATE_TRANSITION', ?)",
            t_ns, t_ns + 50 * MS, name, data,
        )  # fmt: skip

    def looks(self, name: str, state: str, since_ns: int = 0, until_ns: int = 1 << 62) -> None:
        """What the breaker showed to every look in a stretch of time."""
        sql = "SELECT id, data FROM probes WHERE observer = 'actuator' AND subject = 'order' AND ok AND t_ns BETWEEN ? AND ?"
        for ident, text in self.all(sql, since_ns, until_ns):
            data = json.loads(text)
            data["breakers"][name] = state
            self.do("UPDATE probes SET data = ? WHERE id = ?", json.dumps(data), ident)
