"""
The file in which degradation flags that people set outlive the process: one JSON object by flag name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.resilience.degradation_flag import Order


def read(file: Path) -> dict[str, dict[str, Any]]:
    """Level, reason and expires_wall_ns by flag; nothing where there is no file. Raises OSError, ValueError."""
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(written, dict):
        raise ValueError(f"holds {type(written).__name__}, must be an object by flag name")  # noqa: TRY004  # in a file
    return {flag: _checked(flag, kept) for flag, kept in written.items()}


def write(file: Path, orders: Mapping[str, Order]) -> None:
    """Replace the file at once: a reader finds the old or the new, never half of it. Raises OSError."""
    content = {
        flag: {"level": order.level, "reason": order.reason, "expires_wall_ns": order.expires_wall_ns}
        for flag, order in sorted(orders.items())
    }
    beside = file.with_name(f"{file.name}.{os.getpid()}.new")
    file.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    beside.replace(file)


def _checked(flag: str, kept: object) -> dict[str, Any]:
    level = kept.get("level") if isinstance(kept, dict) else None
    if not isinstance(kept, dict) or not isinstance(level, int) or isinstance(level, bool) or level < 0:
        raise ValueError(f"{flag} is {kept!r}, must be an object with a level")
    expires_ns = kept.get("expires_wall_ns")
    if expires_ns is not None and not isinstance(expires_ns, int):
        raise ValueError(f"expires_wall_ns of {flag} is {expires_ns!r}, must be a whole number or null")
    return {"level": level, "reason": str(kept.get("reason", "")), "expires_wall_ns": expires_ns}
