"""
HAProxy's runtime API, as far as it is read here: the state and the counts of every server.

Fields and words of `show stat` are those of HAProxy's management guide, section 9.1 (CSV format).
"""

from __future__ import annotations

import csv
import io
import socket
from typing import Any

_SERVERS_ONLY = "show stat -1 4 -1"
_LIMIT_S = 1.0
_COUNTS = {
    "scur": "sessions", "qcur": "queued", "stot": "requests", "econ": "connect_errors", "eresp": "response_errors",
    "wretr": "retries", "wredis": "redispatched",
}  # fmt: skip


def ask(api: tuple[str, int], command: str) -> str:
    """One command and its answer. Raises OSError."""
    with socket.create_connection(api, timeout=_LIMIT_S) as connection:
        connection.sendall(command.encode() + b"\n")
        pieces = []
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces).decode("utf-8", "replace")


def servers(api: tuple[str, int]) -> dict[str, dict[str, Any]]:
    """Every server by its name. Raises OSError, ValueError."""
    return parsed(ask(api, _SERVERS_ONLY))


def parsed(text: str) -> dict[str, dict[str, Any]]:
    """The servers in an answer to `show stat`. Raises ValueError when it is none."""
    if not text.startswith("# pxname,svname,"):
        raise ValueError(f"no statistics: {text[:80]!r}")
    rows = csv.DictReader(io.StringIO(text.removeprefix("# ")))
    return {row["svname"]: _server(row) for row in rows if row.get("svname")}


def _server(row: dict[str, str]) -> dict[str, Any]:
    counts = {name: int(row.get(field) or 0) for field, name in _COUNTS.items()}
    return {
        "pool": row["pxname"], "state": state_of(row["status"]), "status": row["status"],
        "check": row.get("check_status") or "", **counts,
    }  # fmt: skip


def state_of(status: str) -> str:
    """`up`, `down`, `maint` or `drain`. A server on its way down (`UP 1/2`) still is asked, so it is up."""
    word = status.split(maxsplit=1)[0].lower() if status.split() else ""
    return {"up": "up", "no": "up", "nolb": "drain", "down": "down", "maint": "maint", "drain": "drain"}.get(
        word, "down"
    )
