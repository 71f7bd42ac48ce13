"""
Cleaning up after runs whose runner died and whose watchdog did too.

Live runs are left alone, however long they take.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from harness.run import registry
from harness.run.watchdog import Undone, undo


def sweep(say: Callable[[str], None], environment: Mapping[str, str] = os.environ) -> list[str]:
    """Undo what every dead run in the register left; says and returns one line a run it found."""
    lines = []
    for path in registry.entry_paths(environment):
        with registry.dead(path) as entry:
            if entry is None:
                continue
            watchdog = () if entry.watchdog is None else (entry.watchdog,)
            undone = undo(entry.run_id, entry.run_dir, also=watchdog)
            line = _sentence(entry, undone)
            if not undone.left:
                path.unlink(missing_ok=True)
        say(line)
        lines.append(line)
    return lines


def _sentence(entry: registry.Entry, undone: Undone) -> str:
    text = f"run {entry.run_id} was killed ({entry.run_dir}): "
    text += f"ended {', '.join(undone.ended)}" if undone.ended else "nothing of it was left running"
    return f"{text}; could not end {', '.join(undone.left)}" if undone.left else text
