"""
Where a living system can be found and who may touch it: `RUN/live.json`, readable by its owner alone.

It is written once the system takes orders and holds the addresses of the control socket and of the page, and their
token. Runs are found by the register that every run is in.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import InputError, SetUpError
from harness.run import registry
from harness.secrets import private_opener

FILE_NAME = "live.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One living system's addresses."""

    run: str
    name: str
    host: str
    port: int
    token: str
    page: str | None  # http://127.0.0.1:PORT/?token=...
    pid: int
    folder: str

    def write(self, run_dir: Path) -> None:
        """Raises SetUpError."""
        try:
            with open(run_dir / FILE_NAME, "w", encoding="utf-8", opener=private_opener) as file:
                json.dump(asdict(self), file)
        except OSError as error:
            raise SetUpError(f"cannot write {run_dir / FILE_NAME}: {error.strerror}") from error


def find_door(run: str | None = None, environment: Mapping[str, str] = os.environ) -> Door:
    """The one living system, or the one whose run id begins with (or holds) `run`. Raises InputError."""
    doors = living(environment)
    chosen = [door for door in doors if run is None or run in door.run]
    if len(chosen) == 1:
        return chosen[0]
    known = ", ".join(door.run for door in doors)
    if not doors:
        raise InputError("no system is up", hint="harness up compose/shop.yaml")
    if not chosen:
        raise InputError(f"no living system is called {run!r}", hint=f"up: {known}")
    raise InputError(f"{len(chosen)} systems are up", hint=f"name one with --run: {known}")


def living(environment: Mapping[str, str] = os.environ) -> list[Door]:
    """Every living system of this user."""
    doors = []
    for path in registry.entry_paths(environment):
        try:
            entry = registry.Entry.of(json.loads(path.read_bytes()))
            if entry.runner.process() is not None:
                doors.append(Door(**json.loads((entry.run_dir / FILE_NAME).read_bytes())))
        except (OSError, ValueError, KeyError, TypeError):  # no live run, or one that is just ending
            continue
    return doors
