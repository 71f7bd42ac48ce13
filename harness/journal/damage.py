"""
What is wrong with a journal somebody stumbled over: the first cell that no run of ours can have written.

Sound journals are not looked through: a million rows would take as long as judging them. Only whoever got an exception
out of one asks here, to tell a damaged file from a bug of ours.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

LARGEST = 1 << 62  # of a stamp or a count; far above what a machine's clock can say
_NUMBERS = ("_ns", "_s", "_ms", "_max", "_bytes", "_mb")  # how keys end whose values are numbers
_COUNTS = frozenset(
    {"pid", "started_at", "intended", "sent", "dropped", "finished", "unfinished", "exit_code", "not_permitted"}
)
_OBJECTS = frozenset({"self_test", "breakers"})
_WORDS = frozenset({"how", "family", "kind", "target", "error", "name", "what", "stateTransition"})


@cache
def schema() -> dict[str, dict[str, tuple[str, bool]]]:
    """Tables and their columns as schema.sql has them: column -> (type, may be NULL)."""
    text = files("harness.journal").joinpath("schema.sql").read_text("utf-8")
    db = sqlite3.connect(":memory:")
    try:
        db.executescript(text)
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: {row[1]: (row[2], not row[3]) for row in db.execute(f"PRAGMA table_info({table})")}
            for table in tables
        }
    finally:
        db.close()


def missing_part(db: sqlite3.Connection) -> str | None:
    """A table or column that every journal has and this one has not; quick. Raises sqlite3.Error."""
    found = dict(db.execute("SELECT name, type FROM sqlite_master"))
    for table, columns in schema().items():
        if found.get(table) != "table":  # a view could go on for ever
            return f"it has no table {table!r}"
        there = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
        for column in columns:
            if column not in there:
                return f"its table {table!r} has no column {column!r}"
    return None


def first_damage(db: sqlite3.Connection) -> str | None:
    """The first thing that cannot be right, in words; None when everything is as a run could have written it."""
    try:
        return missing_part(db) or next(_damages(db), None)
    except sqlite3.Error as error:
        return str(error)


def _damages(db: sqlite3.Connection) -> Iterator[str]:
    for table, columns in schema().items():
        for column, (kind, optional) in columns.items():
            if table == "run" and column == "key":
                kind, optional = "TEXT", False  # noqa: PLW2901  a primary key may be NULL by an old mistake of SQLite
            wrong = _of_wrong_type(column, kind, optional=optional and column != "id")
            for number, value in db.execute(f"SELECT rowid, {column} FROM {table} WHERE {wrong} LIMIT 1"):  # noqa: S608
                yield f"{column} in row {number} of {table} is {_shown(value)}"
        yield from _wrong_values(db, table)


def _of_wrong_type(column: str, kind: str, *, optional: bool) -> str:
    allowed = ["'integer'" if kind == "INTEGER" else "'text'", *(["'null'"] if optional else [])]
    wrong = f"typeof({column}) NOT IN ({', '.join(allowed)})"
    if kind != "INTEGER":
        return wrong
    earliest = "OR {column} < 0" if column.endswith("_ns") else ""
    return f"{wrong} OR abs({column} / 2) > {LARGEST // 2} {earliest.format(column=column)}"


def _wrong_values(db: sqlite3.Connection, table: str) -> Iterator[str]:
    """What JSON columns hold that cannot be."""
    column = "value" if table == "run" else "data"
    if column not in schema()[table]:
        return
    name = "key" if table == "run" else "rowid"
    for where, text in db.execute(f"SELECT {name}, {column} FROM {table}"):  # noqa: S608
        try:
            value = json.loads(text)
            own_words = table == "run" and where in {"scenario", "system"}  # read, and checked, as what they are
            wrong = next(_wrong_in(value, "", own_words=own_words), None)
        except (ValueError, TypeError, RecursionError) as error:
            wrong = f"no JSON: {error}"
        if (
            wrong is None
            and not isinstance(value, dict)
            and (table != "run" or where in {"plan", "scenario", "system"})
        ):
            wrong = f"{_shown(value)}, not an object"
        if wrong is None and table == "run" and where == "t0_ns" and not isinstance(value, int):
            wrong = _shown(value)
        if wrong is not None:
            yield (
                f"{where} of the run is {wrong}" if table == "run" else f"{column} in row {where} of {table} is {wrong}"
            )


def _wrong_in(value: Any, key: str, *, own_words: bool) -> Iterator[str]:
    """Numbers that no program of ours writes, and values of another kind than their keys promise."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and not abs(value) <= LARGEST:  # neither infinite, nor NaN, which compares with nothing
        yield f"not a number that can be: {_shown(value)}"
    if own_words:
        pass
    elif value is not None and not isinstance(value, dict | list):
        if (key.endswith(_NUMBERS) or key in _COUNTS) and not number:
            yield f"wrong at {key!r}: {_shown(value)}, not a number"
        if key in _OBJECTS or key in {"faults", "phases"}:
            yield f"wrong at {key!r}: {_shown(value)}"
        if key in _WORDS and not isinstance(value, str):
            yield f"wrong at {key!r}: {_shown(value)}, not a text"
    elif value is not None and (key in _WORDS or key.endswith(_NUMBERS)):
        yield f"wrong at {key!r}: {_shown(value)}"
    if isinstance(value, dict):
        for name, inside in value.items():
            yield from _wrong_in(inside, name, own_words=own_words)
    elif isinstance(value, list):
        for inside in value:
            yield from _wrong_in(inside, "", own_words=own_words)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
