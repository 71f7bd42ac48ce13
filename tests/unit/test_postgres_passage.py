"""An account is let through folders that stay closed to everybody else."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from services.postgres.account import Account, give, let_pass
from services.postgres.passage import let_through, may_pass

SERVER, STRANGER = 54_321, 54_322
OWNER = Account(name="server", uid=SERVER, gid=SERVER, changed=True)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands servers to another account")


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A closed folder with a file in it that anybody may read who gets there."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    (folder / "note").write_text("here")
    (folder / "note").chmod(0o644)
    return folder


def reads(uid: int, place: Path) -> bool:
    """Whether an account can read a file, or list a folder."""
    tried = ["/bin/ls" if place.is_dir() else "/bin/cat", str(place)]
    done = subprocess.run(tried, user=uid, group=uid, extra_groups=[], capture_output=True, check=False)
    return done.returncode == 0


def test_only_the_account_gets_through(private):
    """It passes, cannot list, and a stranger stays outside; a second time changes nothing."""
    let_pass(private.parent, Account(name="stranger", uid=STRANGER, gid=STRANGER, changed=True))
    for _ in range(2):
        let_pass(private, OWNER)

        assert reads(SERVER, private / "note")
        assert not reads(STRANGER, private / "note")
        assert may_pass(private, SERVER, SERVER)
        assert not may_pass(private, STRANGER, STRANGER)
        assert stat.S_IMODE(private.stat().st_mode) & 0o007 == 0
    assert not reads(SERVER, private)


def test_the_data_folder_is_the_accounts_own(private):
    """What is given is the account's and private; the folder above is not opened to others."""
    give(private / "data" / "pg0", OWNER)

    made = (private / "data" / "pg0").stat()
    assert (made.st_uid, stat.S_IMODE(made.st_mode)) == (SERVER, 0o700)
    assert stat.S_IMODE(private.stat().st_mode) & 0o007 == 0
    assert may_pass(private / "data", SERVER, SERVER)


def test_rights_that_were_there_stay(private):
    """Its group reads as before, and an entry of somebody else's in the list is kept."""
    private.chmod(0o750)
    let_through(private, STRANGER)
    let_through(private, SERVER)

    assert may_pass(private, STRANGER, STRANGER)
    assert may_pass(private, SERVER, SERVER)
    assert stat.S_IMODE(private.stat().st_mode) == 0o750


def test_a_file_system_without_access_lists_lets_everybody_pass_and_no_more(private, monkeypatch):
    """There is no other way for a server that is not root to reach its data."""

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    let_through(private, SERVER)

    assert stat.S_IMODE(private.stat().st_mode) == 0o701
