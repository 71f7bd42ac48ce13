"""How a person wants a run to be done; the same for the command line, pytest and Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BACKENDS = ("processes", "compose")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Choices that are not the scenario's own."""

    reports: Path = Path("reports")
    backend: str = "processes"
    seed: int | None = None  # instead of the scenario's own
    overrides: tuple[str, ...] = ()  # PATH=VALUE, put into the scenario before it is read
    jobs: int = 1  # scenarios side by side
    retry_busy: int = 2  # further tries when only a busy machine kept a run from a verdict


def from_pytest(option: Callable[[str], Any]) -> RunOptions:
    """The options that pytest was started with; option is `config.getoption`."""
    return RunOptions(
        reports=Path(option("--harness-reports")),
        backend=option("--harness-backend"),
        seed=option("--harness-seed"),
        overrides=tuple(option("--harness-set")),
    )
