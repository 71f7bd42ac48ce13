"""The README's lines are those that the program really has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import yaml
from documents import blocks, command_blocks

from harness.scenario.file import load_scenario

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def makefile_lines() -> list[str]:
    text = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ").replace("$(BIN)", ".venv/bin")
    return [re.sub(r"\s+", " ", line.strip().lstrip("@")) for line in text.splitlines()]


def test_the_two_commands_come_first():
    """A newcomer's two commands stand in the README's first screen."""
    first = command_blocks(README)[0]

    assert ["make demo", "make test"] == first
    assert README.read_text("utf-8").index("make test") < 1500


def test_the_lines_without_make_are_those_of_the_makefile():
    """Whoever has no make types the commands that make would have run."""
    recipes = " ; ".join(makefile_lines()).replace(" -q", "").replace(" --disable-pip-version-check", "")

    for command in command_blocks(README)[1][1:]:
        assert command in recipes, command


def test_the_shown_scenario_is_a_real_one(tmp_path):
    """The scenario shown in the README can be run as it stands."""
    text = next(text for language, text in blocks(README) if language == "yaml")
    path = ROOT / "scenarios" / "payment-slow.yaml"

    shown = yaml.safe_load(text)
    shipped = yaml.safe_load(path.read_text("utf-8"))

    assert shown["timeline"] == shipped["timeline"]
    copy = tmp_path / "shown.yaml"
    copy.write_text(text.replace("../compose/shop.yaml", str(ROOT / "compose/shop.yaml")))
    assert load_scenario(copy).scenario.name == "payment-slow"


def test_every_shown_command_is_one_the_program_has():
    """No command line of the README uses an option or a path that does not exist."""
    from harness.cli.main import parser_of

    for command in [line for block in command_blocks(README) for line in block]:
        words = shlex.split(command)
        if words[0] == ".venv/bin/harness" and words[1] != "--version":
            parser_of(words[1]).parse_args(words[2:])


def test_the_sample_report_is_there_and_is_the_one_shown():
    """The page and the picture the README shows are in git, and of the scenario it shows."""
    shown = set(re.findall(r"\((reports/sample/[\w.]+)\)", README.read_text("utf-8")))
    page = (ROOT / "reports" / "sample" / "report.html").read_text("utf-8")

    assert shown == {"reports/sample/report.html", "reports/sample/report.png"}
    assert all((ROOT / name).is_file() for name in shown)
    assert "<h1>payment-slow</h1>" in page
