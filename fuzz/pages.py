"""
The figures of both fuzzers, kept side by side in reports/fuzz.json and told in reports/fuzz.md.

Each program replaces its own part and leaves the other's. The README's table is made from the JSON file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INPUTS, GATE = "inputs", "gate"
TITLES = {INPUTS: "Malformed inputs: `fuzz/inputs.py`", GATE: "Hostile HTTP streams through the gate: `fuzz/gate.py`"}


def write(part: str, figures: Mapping[str, Any], table: str, reports: Path) -> None:
    """Replace one program's part. table: what it printed, for the page."""
    path = reports / "fuzz.json"
    reports.mkdir(parents=True, exist_ok=True)
    try:
        kept = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        kept = {"figures": {}, "tables": {}}
    kept["figures"][part], kept["tables"][part] = dict(figures), table.rstrip("\n").splitlines()
    path.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", "utf-8")
    (reports / "fuzz.md").write_text(page(kept), "utf-8")


def page(kept: Mapping[str, Any]) -> str:
    """Both parts as Markdown."""
    lines = ["# Fuzzing: what malformed input and hostile streams came to", "", "Written by `make fuzz`."]
    for part, title in TITLES.items():
        if part in kept["figures"]:
            told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in kept["figures"][part].items())
            lines += ["", f"## {title}", "", told, "", "```", *kept["tables"][part], "```"]
    return "\n".join(lines) + "\n"
