"""
Files that programs write and read again, spoilt: journals of runs and verdict files.
"""

from __future__ import annotations

import json
import random
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import damage
from case import FOLDER, Case, Item

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit"))

JOURNAL = "run/journal.db"
PROMISES = [
    {"availability": {"of": "POST /orders", "at_least": "99%"}}, {"latency": {"p50": "50ms", "during": "slow"}},
    {"errors": {"only": ["status 503"], "at_most": "5%"}}, {"throughput": {"at_least": "5/s"}},
    {"breaker": {"on": "order->payment", "stays": "closed"}}, {"fallback": {"named": "deferred", "serves_at_most": "50%"}},
    {"retries": {"on": "order->payment", "attempts_at_most": 3, "amplification_at_most": 1.5}},
    {"bulkhead": {"on": "order->payment", "concurrent_at_most": 20, "reached": False}},
    {"recovery": {"slo_regained_within": "4s"}}, {"effects": {"ledger": "orders"}}, {"slo": {}},
]  # fmt: skip
TABLES = ("run", "events", "requests", "wire", "connections", "app_events", "probes", "ledger")
CELLS: list[Any] = [
    None, "", "x", -1, 0, 1, 2**62, -(2**63), 2**63 - 1, 1.5, float("inf"), b"\x00\xff", "9" * 400, "[" * 50_000, "{}", "[]", "null",
    "NaN", '{"a": NaN}', '{"t0_ns": "x"}', '{"t0_ns": 1e999}', "9" * 5000, "\x1f", "\ud83d"[:0] + "\u202e", "1.0.0", '"text"', "answered",
]  # fmt: skip
VIEWS = (
    "CREATE VIEW {table} AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT {columns} FROM n",
    "CREATE VIEW {table} AS SELECT {columns} FROM run, run a, run b, run c, run d, run e, run f, run g, run h, run i, run j",
    "CREATE VIEW {table} AS SELECT * FROM {table}",
)


@cache
def sound() -> bytes:
    """The journal of a short run with a fault, a breaker and a ledger, as bytes."""
    import journals

    written = journals.scenario(*PROMISES, fault=journals.LATENCY)
    run = journals.Run(written, journals.shop([journals.AVAILABLE, journals.QUICK], [journals.LEDGER]))
    run.load(0, 15, 12).slow_fault().breaker()
    for number in range(5):
        run.request(number, key=f"k{number}")
        run.add("ledger", "orders", f"k{number}", "{}")
    with tempfile.TemporaryDirectory() as folder:
        path = run.write(Path(folder) / "run") / "journal.db"
        settled = sqlite3.connect(path)
        settled.execute("PRAGMA journal_mode=DELETE")
        settled.execute("VACUUM")
        settled.close()
        return path.read_bytes()


@cache
def sound_verdict() -> bytes:
    from harness.judge import judge
    from harness.report.verdict_file import dump_verdict

    with tempfile.TemporaryDirectory() as folder:
        Item(data=sound()).lay(Path(folder) / JOURNAL)
        return dump_verdict(judge(Path(folder) / "run")).encode()


def journal(chance: random.Random) -> Case:
    """A run's journal, spoilt as bytes, as tables, or in what its cells hold."""
    way = chance.choice((_as_bytes, _as_bytes, _cells, _cells, _cells, _facts, _facts, _facts, _tables, _foreign))
    data, label = way(chance)
    commands = chance.choice((
        (("judge", "run", "--plain"),), (("judge", "run", "--json"),), (("judge", JOURNAL),),
        (("report", "run"),), (("report", JOURNAL, "--to", "out"),), (("judge", "run", "--write"),),
    ))  # fmt: skip
    return Case(
        kind="", label=f"{way.__name__.strip('_')} {label}"[:120], commands=commands, files={JOURNAL: Item(data=data)},
        codes=(0, 1, 2, 3), names=("run",),
    )  # fmt: skip


def _as_bytes(chance: random.Random) -> tuple[bytes, str]:
    data = sound()
    way = chance.choice((damage.flip, damage.cut, damage.noise, damage.insert, damage.remove, "page", "head", "zeros"))
    if way == "page":
        start = chance.randrange(len(data) // 4096) * 4096
        return data[:start] + chance.randbytes(4096) + data[start + 4096 :], f"page {start // 4096}"
    if way == "head":
        spoilt = damage.flip(chance, data[:100])
        return spoilt + data[100:], "head"
    if way == "zeros":
        return data[: chance.randrange(len(data))].ljust(len(data), b"\0"), "zeros"
    return way(chance, data), way.__name__


def _edited(edit: Callable[[sqlite3.Connection], str]) -> tuple[bytes, str]:
    db = sqlite3.connect(":memory:")
    try:
        db.deserialize(sound())
        db.execute("PRAGMA writable_schema=0")
        try:
            label = edit(db)
            db.commit()
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            db.rollback()
            label = f"unchanged: {error}"
        return db.serialize(), label
    finally:
        db.close()


def _loosened(db: sqlite3.Connection, table: str) -> None:
    """Without the rules of the schema, so that any value fits."""
    db.execute(f"CREATE TABLE loose AS SELECT * FROM {table}")
    db.execute(f"DROP TABLE {table}")
    db.execute(f"ALTER TABLE loose RENAME TO {table}")


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


def _cells(chance: random.Random) -> tuple[bytes, str]:
    def edit(db: sqlite3.Connection) -> str:
        done = []
        for _ in range(chance.choice((1, 1, 2, 4))):
            table = chance.choice(TABLES[1:])
            if chance.random() < 0.6:
                _loosened(db, table)
            column, value = chance.choice(_columns(db, table)), chance.choice(CELLS)
            how = chance.choice(
                ("", " WHERE rowid % 7 = 0", " WHERE rowid = (SELECT min(rowid) FROM {})", " WHERE rowid > 3")
            )
            db.execute(f"UPDATE {table} SET {column} = ?{how.format(table)}", (value,))
            done.append(f"{table}.{column}={str(value)[:12]}")
        return " ".join(done)

    return _edited(edit)


def _facts(chance: random.Random) -> tuple[bytes, str]:
    def edit(db: sqlite3.Connection) -> str:
        facts = dict(db.execute("SELECT key, value FROM run"))
        table, key = "run", chance.choice((*facts, "scenario", "system", "plan"))
        text = facts[key]
        if chance.random() < 0.3:
            table = chance.choice(("events", "probes", "ledger"))
            number, text = chance.choice(db.execute(f"SELECT rowid, data FROM {table}").fetchall())
        how = chance.choice(("text", "tree", "tree", "tree", "cell"))
        if how == "tree":
            tree, label = damage.spoil_tree(chance, {"it": json.loads(text)})
            fresh = json.dumps(tree.get("it") if isinstance(tree, dict) else tree)
        elif how == "text":
            spoilt, label = damage.spoil_text(chance, text.encode())
            fresh = spoilt.decode("latin-1")
        else:
            fresh, label = chance.choice(CELLS), "cell"
        if table == "run":
            _loosened(db, "run")
            db.execute("UPDATE run SET value = ? WHERE key = ?", (fresh, key))
            return f"{key} {label}"
        db.execute(f"UPDATE {table} SET data = ? WHERE rowid = ?", (fresh, number))
        return f"{table}.data {label}"

    return _edited(edit)


def _tables(chance: random.Random) -> tuple[bytes, str]:
    def edit(db: sqlite3.Connection) -> str:
        table = chance.choice(TABLES)
        columns = _columns(db, table)
        way = chance.choice(
            ("drop", "empty", "column", "rename", "double", "view", "fact", "format", "some", "shuffle")
        )
        if way == "drop":
            db.execute(f"DROP TABLE {table}")
        elif way == "empty":
            db.execute(f"DELETE FROM {table}")
        elif way == "column":
            _loosened(db, table)
            db.execute(f"ALTER TABLE {table} DROP COLUMN {chance.choice(columns)}")
        elif way == "rename":
            db.execute(f"ALTER TABLE {table} RENAME COLUMN {chance.choice(columns)} TO other")
        elif way == "double":
            _loosened(db, table)
            db.execute(f"INSERT INTO {table} SELECT * FROM {table}")
        elif way == "view":
            db.execute(f"DROP TABLE {table}")
            db.execute(chance.choice(VIEWS).format(table=table, columns=", ".join(f"1 AS {c}" for c in columns)))
        elif way == "fact":
            db.execute(
                "DELETE FROM run WHERE key = ?", (chance.choice(db.execute("SELECT key FROM run").fetchall())[0],)
            )
        elif way == "format":
            db.execute(
                "UPDATE run SET value = ? WHERE key = 'format'",
                (chance.choice(("2", '"1"', "null", "[1]", "1.0", "true")),),
            )
        elif way == "some":
            db.execute(f"DELETE FROM {table} WHERE rowid % ? = 0", (chance.randrange(1, 4),))
        else:
            _loosened(db, table)
            db.execute(
                f"UPDATE {table} SET {chance.choice(columns)} = (SELECT {chance.choice(columns)} FROM {table} ORDER BY random())"
            )
        return f"{way} {table}"

    return _edited(edit)


def _foreign(chance: random.Random) -> tuple[bytes, str]:
    """A database, or a file, of somebody else."""
    if chance.random() < 0.5:
        data = chance.choice(
            (
                b"",
                b"SQLite format 3\0",
                b"SQLite format 3\0" + chance.randbytes(5000),
                b"{}",
                chance.randbytes(9000),
                b"\0" * 9000,
            )
        )
        return data, f"{len(data)} bytes"
    db = sqlite3.connect(":memory:")
    statements = chance.choice((
        ["CREATE TABLE cookies (id, value)"], ["CREATE TABLE run (id, other)"], ["CREATE TABLE run (key, value)"],
        ["CREATE TABLE run (key, value)", "INSERT INTO run VALUES ('format', '1')"],
        ["CREATE TABLE run (key, value)", "INSERT INTO run VALUES ('format', 1), ('scenario', x'00'), ('system', NULL)"],
        ["CREATE TABLE run (key, value)", "INSERT INTO run VALUES ('format', '1'), ('scenario', '{}'), ('system', '{}')"],
        ["CREATE TABLE run (key, value)", "INSERT INTO run VALUES ('format', '1'), ('scenario', '[]'), ('system', '[]')"],
        ["CREATE TABLE run (key, value)", "INSERT INTO run VALUES (NULL, '1'), (1, '1'), ('format', '1e400')"],
    ))  # fmt: skip
    for statement in statements:
        db.execute(statement)
    db.commit()
    data = db.serialize()
    db.close()
    return data, statements[-1][-60:]


def verdict(chance: random.Random) -> Case:
    """verdict.json, spoilt as bytes, as text or as data, read and shown as a program would."""
    way = chance.choice(("text", "tree", "tree", "tree", "noise"))
    if way == "text":
        data, label = damage.spoil_text(chance, sound_verdict())
    elif way == "tree":
        tree, label = damage.spoil_tree(chance, json.loads(sound_verdict()))
        data = json.dumps(tree).encode()
    else:
        data = chance.choice(
            (
                b"",
                b"[" * 100_000,
                b'{"format":1,"a":' * 50_000,
                b"9" * 10_000,
                chance.randbytes(500),
                b"\xef\xbb\xbf{}",
                b"NaN",
            )
        )
        label = f"{len(data)} bytes"
    files = {"run/verdict.json": Item(data=data)}
    if chance.random() < 0.02:
        files = {"run/verdict.json": Item(make=FOLDER)}
    return Case(kind="", label=label, commands=(("@verdict", "run"),), files=files, names=("verdict.json",))
