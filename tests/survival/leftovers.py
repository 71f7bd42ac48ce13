"""
What a run left behind: processes, listening ports, entries in the register, files outside of its folder.

Looked for without asking the harness: everybody who carries the mark that only this program's runs carry, every
listener on the run's block of addresses, every file that a run may have made elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

MARK = "HARNESS_SURVIVAL"
_BLOCK = re.compile(r"\b127\.(?:6[4-9]|[7-9]\d|1\d\d|2\d\d)\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the runs of this program live: a folder of their own, a register of their own, a temporary folder."""

    folder: Path
    mark: str
    reports: Path = field(init=False)
    state: Path = field(init=False)
    temporary: Path = field(init=False)

    def __post_init__(self) -> None:
        for name, folder in {"reports": "reports", "state": "state", "temporary": "tmp"}.items():
            object.__setattr__(self, name, self.folder / folder)
            (self.folder / folder).mkdir(parents=True, exist_ok=True)

    def environment(self) -> dict[str, str]:
        """What every process of theirs is given."""
        return {MARK: self.mark, "XDG_STATE_HOME": str(self.state), "TMPDIR": str(self.temporary)}

    def runs(self) -> set[Path]:
        """The folders of all runs so far."""
        return {path for path in self.reports.iterdir() if path.is_dir() and not path.is_symlink()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What is there that should not be; each as a text for people."""

    processes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.processes or self.ports or self.files)

    def __str__(self) -> str:
        return ", ".join((*self.processes, *self.ports, *self.files)) or "nothing"


KEPT = ("latest", "index.html")  # what a suite leaves on purpose beside its runs' folders


def look(place: Place, runs: Iterable[Path]) -> Left:
    """What is left of these runs, which should all be over."""
    return Left(
        processes=tuple(_describe(process) for process in marked(place.mark)),
        ports=tuple(_listening(blocks(runs))),
        files=tuple(_files(place)),
    )


def marked(mark: str) -> list[psutil.Process]:
    """Every process that one of our runs started, however far below; zombies are none."""
    found = []
    for pid in psutil.pids():
        try:
            process = psutil.Process(pid)
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def blocks(runs: Iterable[Path]) -> set[str]:
    """The first two numbers, dot included, of the addresses that runs took: they write them down before the first start."""
    found: set[str] = set()
    for run in runs:
        for name in ("load.json", "gate.json", "leases.jsonl"):
            try:
                found.update(_BLOCK.findall((run / name).read_text("utf-8", "replace")))
            except OSError:
                continue
    return found


def _listening(prefixes: set[str]) -> list[str]:
    if not prefixes:
        return []
    listeners = [c for c in psutil.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN and c.laddr]
    return [f"listener {c.laddr.ip}:{c.laddr.port}" for c in listeners if c.laddr.ip.startswith(tuple(prefixes))]


def _files(place: Place) -> list[str]:
    found = [path for path in place.state.rglob("*") if path.is_file()]
    found += place.temporary.iterdir()
    found += [path for path in place.reports.iterdir() if path.name not in KEPT and not _is_run(path)]
    return [f"file {path.relative_to(place.folder)}" for path in found]


def _is_run(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _describe(process: psutil.Process) -> str:
    try:
        command = " ".join(process.cmdline()[:4])
        return f"{process.status()} process {process.pid} ({command[-70:]})"
    except psutil.Error:
        return f"process {process.pid}"
