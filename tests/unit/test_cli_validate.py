"""`harness validate` and `harness list scenarios` on real files: every mistake at once, nothing started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli.main import main

BROKEN = """\
# Shows nothing.
name: x
timeline:
  - steady: 3
lode: 1
"""


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.yaml"
    path.write_text(BROKEN)
    return path


def test_all_mistakes_of_a_file_at_once(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file with several mistakes lists each with its line, exits 2 and shows no traceback."""
    assert main(["validate", str(broken)]) == 2

    shown = capsys.readouterr().err
    assert f"{broken}:4:" in shown
    assert f"{broken}:5:" in shown
    assert "Traceback" not in shown


def test_machines_get_file_and_line(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json gives each mistake its place."""
    main(["validate", str(broken), "--json"])
    (found,) = json.loads(capsys.readouterr().out)["files"]

    assert found["ok"] is False
    assert {mistake["line"] for mistake in found["error"]["mistakes"]} >= {4, 5}


@pytest.mark.parametrize("content", [b"", b"\x00\x96\xff", b"a: [1", b"- 1\n- 2\n", b"\xef\xbb\xbf"])
def test_what_is_no_scenario_is_wrong_input(content: bytes, tmp_path: Path) -> None:
    """Empty, binary and broken files are the writer's to put right, not a bug of ours."""
    path = tmp_path / "x.yaml"
    path.write_bytes(content)

    assert main(["validate", str(path)]) == 2


@pytest.mark.parametrize("where", ["", "missing.yaml"])
def test_a_folder_without_scenarios_and_a_missing_file(where: str, tmp_path: Path) -> None:
    """Nothing to validate is no success."""
    assert main(["validate", str(tmp_path / where)]) == 2


def test_a_broken_scenario_is_listed_as_one(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A list that left it out would hide it; the row says how to see its mistakes."""
    assert main(["list", "scenarios", str(broken), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)

    assert row["name"] == "broken"
    assert f"harness validate {broken}" in row["about"]


def test_the_schema_of_scenarios_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """An editor gets the schema of what a person writes."""
    assert main(["schema"]) == 0
    assert "timeline" in json.loads(capsys.readouterr().out)["properties"]
