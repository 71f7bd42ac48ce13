"""
Bounds of configuration values: each check names the key, the value and the bound, and all are told at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.resilience.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable


class Checks:
    """Gathers what is out of bounds; `finish` raises ConfigError if anything was."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def at_least(self, key: str, value: float, bound: float, unit: str = "") -> None:
        """Value must be bound or more."""
        if not value >= bound:
            self._add(key, value, f"at least {bound:g}", unit)

    def at_most(self, key: str, value: float, bound: float, unit: str = "") -> None:
        """Value must be bound or less."""
        if not value <= bound:
            self._add(key, value, f"at most {bound:g}", unit)

    def percentage(self, key: str, value: float) -> None:
        """Value must be above 0 and at most 100."""
        if not 0 < value <= 100:
            self._add(key, value, "above 0 and at most 100", "")

    def share(self, key: str, value: float) -> None:
        """Value must be at least 0 and below 1."""
        if not 0 <= value < 1:
            self._add(key, value, "at least 0 and below 1", "")

    def one_of(self, key: str, value: object, allowed: Iterable[object]) -> None:
        """Value must be one of the allowed."""
        choices = tuple(allowed)
        if value not in choices:
            self._add(key, value, "one of " + ", ".join(map(str, choices)), "")

    def finish(self) -> None:
        """Raise ConfigError with everything found, if anything was."""
        if self.problems:
            raise ConfigError(self.problems)

    def _add(self, key: str, value: object, bound: str, unit: str) -> None:
        space = f" {unit}" if unit else ""
        self.problems.append(Problem(key=key, message=f"is {value}{space}, must be {bound}{space}"))
