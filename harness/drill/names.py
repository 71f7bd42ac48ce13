"""The names of a script's lines: what journal, promises and heals call its phases, faults and steps."""

from __future__ import annotations

from collections.abc import Sequence

from harness.drill.model import ScriptStep


def names_of(script: Sequence[ScriptStep]) -> list[str | None]:
    """Each line's name: its own, else its kind, numbered when that is taken; None for heals, notes and aborts."""
    taken = {name for line in script if (name := line.step or line.as_) is not None}
    names: list[str | None] = []
    for line in script:
        name = line.step or line.as_
        if line.kind in {"heal", "note", "abort"}:
            names.append(None)
            continue
        if name is None:
            kind = line.fault.kind if line.fault is not None else line.kind
            number, name = 1, kind
            while name in taken:
                number += 1
                name = f"{kind}-{number}"
            taken.add(name)
        names.append(name)
    return names
