"""The shape of the code: which part may import which, and who may import what is heavy or foreign."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HARNESS = sorted((ROOT / "harness").rglob("*.py"))
SERVICES = sorted((ROOT / "services").rglob("*.py"))

DOORS = {"cli", "pytest_plugin", "testing"}
WORDS = {"errors", "clock", "units", "verdict", "children", "progress", "secrets"}
HANDS = {"topology", "links", "load", "observe"}
JUDGED = {
    "statistics", "verdict", "journal", "scenario", "faults", "system", "plan", "words", "clock", "units", "errors"
}  # fmt: skip
BELOW_RUN = WORDS | HANDS | {"engine", "words", "faults", "system", "scenario", "plan", "journal"}
BELOW_SUITE = BELOW_RUN | {"run", "statistics", "receipts", "checks", "judge", "report"}

MAY_IMPORT: dict[str, set[str]] = {
    **{word: set() for word in WORDS},
    "words": {"units"},
    "faults": {"words", "errors", "units"},
    "system": {"words", "errors", "units", "secrets"},
    "scenario": {"words", "faults", "system", "errors", "units", "secrets"},
    "plan": {"scenario", "faults", "system", "words", "errors", "units"},
    "journal": {"errors", "clock", "secrets"},
    "engine": {"errors", "secrets"},
    "topology": {"engine", "system", "children", "errors", "clock", "units", "secrets"},
    "links": {"engine", "children", "errors", "clock", "units", "journal", "secrets"},
    "load": {"scenario", "system", "children", "words", "errors", "clock", "units", "journal", "secrets"},
    "observe": {"system", "children", "errors", "clock", "units", "journal"},
    "run": BELOW_RUN,
    "live": BELOW_RUN | {"run", "report"},
    "statistics": {"verdict"},
    "receipts": JUDGED,
    "checks": JUDGED | {"receipts"},
    "judge": JUDGED | {"receipts", "checks"},
    "report": {"verdict", "units", "errors", "journal", "clock", "progress", "secrets"},
    "slis": JUDGED | {"receipts", "judge", "secrets"},
    "history": {"slis", "errors", "report", "verdict"},
    "suite": BELOW_SUITE | {"slis", "history"},
    "comparison": BELOW_SUITE | {"slis", "suite"},
    "gate": BELOW_SUITE | {"slis", "suite", "comparison"},
    "drill": BELOW_SUITE | {"suite", "slis", "comparison", "live"},
    **{door: BELOW_SUITE | {"suite", "slis", "history", "comparison", "gate", "live", "drill"} for door in DOORS},
    "__main__": {"cli"},  # the command line by another name
}

LOADS_OWN = {"locust", "gevent", "geventhttpclient"}
HEAVY = {"pydantic", "rich", "yaml", "psutil", "sqlite3", "asyncio"} | LOADS_OWN


def part_of(path: Path) -> str:
    """The part a file belongs to: `faults` for harness/faults/latency.py, `plan` for harness/plan.py."""
    return path.relative_to(ROOT / "harness").parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    """The dotted name a file is imported by."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(tree: ast.AST, path: Path) -> Iterator[str]:
    """Dotted names that a piece of code imports, functions inside it included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def imports(path: Path) -> set[str]:
    return set(imported(ast.parse(path.read_text("utf-8")), path))


def imports_at_once(path: Path) -> set[str]:
    """What importing a file imports: functions and `if TYPE_CHECKING` left out."""
    found: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if not typing_only and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found |= set(imported(node, path))
    return found


def modules_behind(name: str, files: dict[str, Path]) -> set[str]:
    """Our own modules that an imported name stands for, their packages included."""
    parts = name.split(".")
    return {".".join(parts[:n]) for n in range(1, len(parts) + 1)} & files.keys()


def closure(start: str) -> tuple[set[str], set[str]]:
    """Everything importing one of our modules brings in: (ours, top names of the rest)."""
    files = {module_of(path): path for path in HARNESS}
    ours: set[str] = set()
    rest: set[str] = set()
    waiting = {start, *modules_behind(start, files)}
    while waiting:
        module = waiting.pop()
        ours.add(module)
        for name in imports_at_once(files[module]):
            behind = modules_behind(name, files)
            waiting |= behind - ours
            if not behind:
                rest.add(name.split(".")[0])
    return ours, rest


def childs_own() -> set[str]:
    """The modules that import the load engine, directly or by another of ours."""
    files = {module_of(path): path for path in HARNESS}
    used = {module: imports(path) for module, path in files.items()}
    found = {m for m, names in used.items() if {n.split(".")[0] for n in names} & LOADS_OWN}
    while more := {m for m, names in used.items() if any(modules_behind(n, files) & found for n in names)} - found:
        found |= more
    return found


@pytest.mark.parametrize("path", HARNESS, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    """A module imports only the parts that its row of the table names."""
    part = part_of(path)
    used = {name.split(".")[1] for name in imports(path) if name.startswith("harness.")} - {part, "__version__"}

    assert used <= MAY_IMPORT.get(part, set()), f"{path} imports {used - MAY_IMPORT.get(part, set())}"


def test_every_part_has_a_row_here_and_in_the_architecture() -> None:
    """A new part gets a place in the table, and the table is the one people read."""
    parts = {part_of(path) for path in HARNESS} - {"__init__"}
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    written = {part for line in text.splitlines() if line.startswith("| `") for part in line.split("|")[1].split()}

    assert parts <= MAY_IMPORT.keys()
    assert {f"`{part}`" for part in parts - {"__main__"}} <= written


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: str(path.relative_to(ROOT)))
def test_services_know_nothing_of_the_harness(path: Path) -> None:
    """The services under test would run the same without us."""
    assert "harness" not in {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", HARNESS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_harness_knows_nothing_of_the_shop(path: Path) -> None:
    """Whatever the harness can do to the shop it can do to any system."""
    assert "services" not in {name.split(".")[0] for name in imports(path)}


def test_only_the_load_child_lives_with_the_load_engine() -> None:
    """Importing Locust rewrites sockets and time for the whole process, so it has a process of its own."""
    strangers = {module for module in childs_own() if not module.startswith("harness.load.")}

    assert strangers == set()
    assert "harness.load.client" not in childs_own()


def test_only_one_file_knows_the_toxiproxy_package() -> None:
    """Its process-wide address and missing time-outs are put right in one place, so nobody else may use it."""
    users = {str(path.relative_to(ROOT)) for path in HARNESS if "toxiproxy" in {n.split(".")[0] for n in imports(path)}}

    assert users <= {"harness/links/toxiproxy_client.py"}


@pytest.mark.parametrize("module", ["harness.cli.main", "harness.cli.parser", "harness.pytest_plugin"])
def test_doors_open_quickly(module: str) -> None:
    """`harness --help`, and every pytest run of whoever has us installed, pays for nothing heavy."""
    _, rest = closure(module)

    assert rest & HEAVY == set()


def test_commands_import_nothing_heavy_before_they_run() -> None:
    """`harness COMMAND --help` is quick as well."""
    from harness.cli.main import COMMANDS

    for name in COMMANDS:
        assert closure(f"harness.cli.{name.replace(' ', '_')}")[1] & HEAVY == set(), name
