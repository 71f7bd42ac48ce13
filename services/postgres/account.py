"""
Whose processes the servers are: PostgreSQL refuses to run as root, so root hands them to somebody without rights.

An ordinary user's launcher keeps its own account. What that somebody needs is given and no more: the data folder is
made his, and the folders above it let him pass, not look.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.postgres.passage import let_through, may_pass
from services.postgres.problems import ConfigurationError, StartError

VARIABLE = "POSTGRES_ACCOUNT"
_USUAL = ("postgres", "nobody")
_PASS = stat.S_IXOTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom servers run as. changed False: as whoever runs the launcher."""

    name: str
    uid: int
    gid: int
    changed: bool

    def popen(self) -> dict[str, object]:
        """Arguments for subprocess.Popen that make a child run as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.changed else {}


def choose(values: Mapping[str, str]) -> Account:
    """Root's servers run as the account that is named, else as postgres or nobody. Raises ConfigurationError."""
    if os.geteuid() != 0:
        return Account(name=str(os.geteuid()), uid=os.geteuid(), gid=os.getegid(), changed=False)
    named = values.get(VARIABLE)
    for name in (named,) if named else _USUAL:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid == 0:
            raise ConfigurationError(f"{VARIABLE} is {name!r}, which is root; PostgreSQL does not run as root")
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid, changed=True)
    raise ConfigurationError(f"{VARIABLE} is {named!r}: there is no such account; name one that is not root")


def give(folder: Path, account: Account) -> None:
    """Make a folder for the account, its own and private. Raises StartError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if account.changed:
            os.chown(folder, account.uid, account.gid)
            let_pass(folder.parent, account)
        folder.chmod(0o700)
    except OSError as error:
        raise StartError(f"cannot make the data folder {folder}: {error.strerror}") from error


def let_pass(folder: Path, account: Account) -> None:
    """Let the account, and nobody else, pass through a folder and those above it: pass, not list and not read."""
    for place in (folder, *folder.parents):
        if not may_pass(place, account.uid, account.gid) and place.stat().st_uid == 0:
            let_through(place, account.uid)


def _passes(found: os.stat_result, account: Account) -> bool:
    if found.st_uid == account.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    return bool(found.st_mode & (stat.S_IXGRP if found.st_gid == account.gid else _PASS))


def reaches(program: Path, account: Account) -> bool:
    """Whether the account may run a program: its own and every folder above it, links followed."""
    real = program.resolve()
    try:
        found = all(_passes(place.stat(), account) for place in (real, *real.parents, *program.parents))
    except OSError:
        return False
    return found or not account.changed


def within_reach(folder: Path, account: Account, copies: Path) -> Path:
    """
    The folder of programs, or a copy of the whole installation below `copies` when the account cannot reach it: a
    Python environment in root's home is closed to others, and is not ours to open.
    """
    tried = subprocess.run(  # type: ignore[call-overload]
        [folder / "postgres", "--version"], capture_output=True, timeout=10, check=False, **account.popen()
    ) if all(_passes(place.stat(), account) for place in (folder, *folder.parents)) else None  # fmt: skip
    if tried is not None and tried.returncode == 0:
        return folder
    copy = copies / folder.parent.name
    if not (copy / "bin" / "postgres").exists():
        try:
            partial = copies / f"{copy.name}.{os.getpid()}"
            shutil.copytree(folder.parent, partial, symlinks=True)
            partial.chmod(0o755)
            partial.rename(copy)
        except FileExistsError:
            pass
        except OSError as error:
            if not (copy / "bin" / "postgres").exists():  # another node's launcher may have been quicker
                raise StartError(f"cannot copy {folder.parent} to {copy}: {error}") from error
    return copy / "bin"
