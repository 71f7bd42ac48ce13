"""
Which columns of a journal hold text from outside, and so may hold secrets that must not get there.

Names (links, services, kinds) and business keys are left alone: judging compares them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from harness.secrets import fields, text, texts

# Column numbers in the order of spool.COLUMNS.
_TEXTS: dict[str, tuple[int, ...]] = {"requests": (0, 6, 10), "wire": (4,)}  # name, error, fallback; path
_JSON = {"events": 3, "probes": 4, "app_events": 6, "ledger": 2}  # data
_OF_SERVICES = frozenset({"app_events", "ledger"})  # JSON in a service's own words: its field names count


def masked(table: str, values: Sequence[object]) -> Sequence[object]:
    """One row, the secrets in its free texts masked. JSON columns are left to masked_rows."""
    columns = _TEXTS.get(table)
    if columns is None:
        return values
    changed: list[object] | None = None
    for number in columns:
        value = values[number]
        if isinstance(value, str) and (now := text(value)) != value:
            changed = list(values) if changed is None else changed
            changed[number] = now
    return values if changed is None else changed


def masked_rows(table: str, rows: Iterable[Sequence[object]]) -> Iterable[Sequence[object]]:
    """Rows as they may be written into the journal."""
    column = _JSON.get(table)
    if column is not None:
        return _with_json(table, column, rows)
    return (masked(table, row) for row in rows) if table in _TEXTS else rows


def _with_json(table: str, column: int, rows: Iterable[Sequence[object]]) -> Iterator[Sequence[object]]:
    for row in rows:
        data = row[column]
        now = masked_json(data, by_name=table in _OF_SERVICES) if isinstance(data, str) else data
        yield row if now is data else (*row[:column], now, *row[column + 1 :])


def masked_json(data: str, *, by_name: bool) -> str:
    """JSON as text, its secrets masked; the very same text when it holds none."""
    if text(data) == data and not (by_name and '"' in data):
        return data
    try:
        read = json.loads(data)
    except ValueError:
        return text(data)
    now = fields(read) if by_name else texts(read)
    return data if now == read else json.dumps(now)
