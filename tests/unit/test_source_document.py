"""The table that leads from the source document to what was built leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "source-document.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in DOCUMENT.read_text("utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| section", "| ---"))
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_file_a_row_names_exists(row):
    """A section is built in files and shown by scenarios, or says that it is not built."""
    section, built, shown = row
    files, scenarios = (re.findall(r"`([^`]+)`", cell) for cell in (built, shown))

    assert [path for path in [*files, *scenarios] if not (ROOT / path).exists()] == []
    assert (built == "not built" and not shown) or (files and scenarios), section
    assert all(path.startswith("scenarios/") for path in scenarios)


def test_no_section_has_two_rows():
    """Whoever adds to a section finds it."""
    sections = [row[0] for row in ROWS]

    assert len(sections) == len(set(sections))
