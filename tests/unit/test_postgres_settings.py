"""What the database launchers are told, and how they say that it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.postgres import binaries
from services.postgres.problems import ConfigurationError
from services.postgres.server import Server
from services.postgres.settings import read_node, read_supervisor, read_switch

NODE = {
    "NODE": "pg1",
    "DATA": "/data/pg1",
    "NODES": "pg0=pg0:5432,pg1=pg1:5432",
    "SUPERVISOR": "supervisor:8010",
}
SUPERVISOR = {"NODES": "pg0=pg0:8008,pg1=pg1:8008", "PRIMARY": "pg0"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"NODE": "pg7"}, "NODE is 'pg7', which NODES does not name: pg0, pg1"),
        ({"SUPERVISOR": ""}, "NODES names 2 nodes, and SUPERVISOR nobody who leads them"),
        ({"NODES": "pg1"}, "'pg1' is not name=host:port"),
        ({"NODES": "pg1=pg1:99999"}, "it must be a port"),
        ({"PORT": "http"}, "PORT is 'http'"),
        ({"DATA": ""}, "DATA is not set"),
        ({"PARAMETERS": "fsync"}, "'fsync' is not parameter=value"),
        ({"DISK": "64"}, "DISK is '64': it must be a size above zero such as 64MB"),
        ({"DATABASE": "shop; drop"}, "DATABASE is 'shop; drop'"),
    ],
)
def test_a_node_that_is_told_nonsense_says_which(changed, said):
    """The value, and what would be right."""
    with pytest.raises(ConfigurationError) as problem:
        read_node({**NODE, **changed})

    assert said in str(problem.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"PRIMARY": "pg9"}, "PRIMARY is 'pg9', which is none of pg0, pg1"),
        ({"CHOICE": "luck"}, "CHOICE is 'luck', it must be one of best, worst, pg0, pg1"),
        ({"FENCING": "maybe"}, "write on or off"),
        ({"DEADLINE": "0ms"}, "it must be a time above zero"),
        ({"NODES": "pg0=pg0:8008", "SYNCHRONOUS": "on"}, "SYNCHRONOUS is on, and there is no replica to wait for"),
    ],
)
def test_a_supervisor_that_is_told_nonsense_says_which(changed, said):
    """A replica without a primary is one of them."""
    with pytest.raises(ConfigurationError) as problem:
        read_supervisor({**SUPERVISOR, **changed})

    assert said in str(problem.value)


def test_every_mistake_is_said_at_once():
    """Nobody wants to start a thing five times."""
    with pytest.raises(ConfigurationError) as problem:
        read_switch({"PORT": "x", "HOLD": "y"})

    assert {"PORT", "HOLD", "NODES"} <= {part.split()[0] for part in str(problem.value).split("; ")}


def test_a_folder_without_the_programs_is_no_postgresql(tmp_path):
    """It says what is missing and which variable names the folder."""
    with pytest.raises(ConfigurationError, match=r"lacks postgres, initdb.*POSTGRES_BIN"):
        binaries.find({"POSTGRES_BIN": str(tmp_path)})


def test_a_postgresql_that_is_too_old_is_refused(tmp_path):
    """Some of what is relied on is not in it."""
    for program in binaries.NEEDED:
        file = tmp_path / program
        file.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 13.4'\n")
        file.chmod(0o755)

    with pytest.raises(ConfigurationError, match="holds PostgreSQL 13; 16 or newer"):
        binaries.find({"POSTGRES_BIN": str(tmp_path)})


def test_a_data_folder_of_another_version_is_not_touched(tmp_path):
    """Starting on it would fail later and say less."""
    (tmp_path / "PG_VERSION").write_text("12\n")
    settings = read_node({**NODE, "DATA": str(tmp_path)})
    server = Server(settings, binaries.Binaries(folder=Path("/opt/pg18/bin"), major=18), None)

    with pytest.raises(ConfigurationError, match="was made by PostgreSQL 12, and /opt/pg18/bin holds 18"):
        _ = server.made
