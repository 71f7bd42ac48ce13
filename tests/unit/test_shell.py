"""What people write into scenarios never meets a shell; a Compose file gets one only where it asks for it by name."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.system.compose_file import read_system
from harness.system.layout import layout_of, rewrite
from harness.topology.base import Launch
from harness.topology.readiness import CommandProbe

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "harness").rglob("*.py"))
STARTERS = {"system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell", "spawnlp", "execlp"}
WORDS = "; touch pwned #$(touch pwned)`touch pwned` && touch pwned | touch pwned"


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_of_ours_asks_for_a_shell(path: Path) -> None:
    """Programs are started by lists of words; none is put together as a line."""
    for call in calls(path):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        of = getattr(getattr(call.func, "value", None), "id", "")
        starts = of == "subprocess" or name == "Popen"
        assert not (starts and any(word.arg == "shell" for word in call.keywords)), f"{path}:{call.lineno}"
        assert not (name in STARTERS and of in {"os", "subprocess", "asyncio", "pty"}), f"{path}:{call.lineno}"


def test_only_a_health_check_knows_the_shells_name() -> None:
    """CMD-SHELL is Compose's own word for it; there is one place that obeys it."""
    users = {path.name for path in SOURCES if '"/bin/sh"' in path.read_text("utf-8")}

    assert users == {"readiness.py"}


def compose(folder: Path, health: str) -> Path:
    path = folder / "system.yaml"
    path.write_text(
        "services:\n  order:\n    command: [serve, '" + WORDS.replace("$", "$$") + "']\n"
        "    environment: {VALUE: '" + WORDS.replace("$", "$$") + "'}\n    expose: ['8080']\n"
        "    healthcheck: {test: " + health + "}\n"
    )
    return path


def test_values_stay_the_words_they_were_written_as(tmp_path: Path) -> None:
    """A command's words and a value of `with` come to the process as they are, cut nowhere and expanded nowhere."""
    system = read_system(compose(tmp_path, "[CMD, look, '" + WORDS.replace("$", "$$") + "']"), {})

    argv, environment = rewrite(system.services["order"], system, layout_of(system, "127.77"), {"EXTRA": WORDS})

    assert argv == ("serve", WORDS)
    assert environment == {"VALUE": WORDS, "EXTRA": WORDS}


@pytest.mark.parametrize(
    ("test", "shell"), [("[CMD, look, now]", False), ("[CMD-SHELL, look now]", True), ("look now", True)]
)
def test_a_shell_runs_only_what_the_compose_file_gives_to_one(tmp_path: Path, test: str, shell: bool) -> None:
    """CMD is a list of words; CMD-SHELL and a bare line are what Compose itself hands to /bin/sh."""
    service = read_system(compose(tmp_path, test), {}).services["order"]
    started: list[list[str]] = []

    def spawn(_name: str, argv: Any, **_: Any) -> subprocess.Popen[bytes]:
        started.append(list(argv))
        return subprocess.Popen(["true"])

    assert service.health is not None
    probe = CommandProbe("order", service.health, Launch(argv=("serve",)), spawn, tmp_path / "log")

    assert probe() is None
    assert started == [["/bin/sh", "-c", "look now"] if shell else ["look", "now"]]
