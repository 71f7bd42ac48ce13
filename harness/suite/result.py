"""What became of the scenarios of a suite, one by one and all together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import (
    EXIT_BUG,
    EXIT_FAIL,
    EXIT_INCONCLUSIVE,
    EXIT_PASS,
    EXIT_SET_UP_FAILED,
    EXIT_WRONG_INPUT,
    HarnessError,
)
from harness.verdict import RunVerdict, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one scenario: a verdict, or the error that kept it from one."""

    path: Path
    scenario: str
    run_dir: Path | None
    verdict: RunVerdict | None
    error: HarnessError | None
    seconds: float
    tries: int = 1

    @property
    def exit_code(self) -> int:
        if self.error is not None:
            return self.error.exit_code
        if self.verdict is None:
            return EXIT_SET_UP_FAILED
        if self.verdict.as_declared:
            return EXIT_PASS
        return EXIT_INCONCLUSIVE if self.verdict.verdict is Verdict.INCONCLUSIVE else EXIT_FAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """What became of all of them."""

    results: tuple[Result, ...]

    @property
    def exit_code(self) -> int:
        """The gravest of all; 0 when all ended as they declare."""
        return gravest(result.exit_code for result in self.results)


def gravest(codes: Iterable[int]) -> int:
    """A bug, then wrong input, a failed set-up, FAIL, INCONCLUSIVE; 0 when there is none of them."""
    found = set(codes)
    for code in (EXIT_BUG, EXIT_WRONG_INPUT, EXIT_SET_UP_FAILED, EXIT_FAIL, EXIT_INCONCLUSIVE):
        if code in found:
            return code
    return EXIT_PASS
