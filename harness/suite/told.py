"""
A result as JSON, and back: how a runner tells another process, or a person's program, what became of a scenario.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import secrets
from harness.errors import HarnessError, InputError, Mistake
from harness.report import verdict_file
from harness.suite.result import Result


class ToldError(HarnessError):
    """A problem that another runner told; its exit code is that runner's."""

    def __init__(self, message: str, *, hint: str | None, code: int, mistakes: tuple[Mistake, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = code  # type: ignore[misc]  # of this one problem
        self.mistakes = mistakes


def document(result: Result) -> dict[str, Any]:
    """One scenario's result for machines; `verdict` as in verdict.json."""
    return {
        "path": str(result.path),
        "scenario": result.scenario,
        "run_dir": None if result.run_dir is None else str(result.run_dir),
        "seconds": round(result.seconds, 3),
        "tries": result.tries,
        "exit_code": result.exit_code,
        "verdict": None if result.verdict is None else verdict_file.document(result.verdict),
        "error": None if result.error is None else problem_document(result.error),
    }


def problem_document(error: HarnessError) -> dict[str, Any]:
    """A problem for machines: message, hint, exit code, and the places in files where it has them."""
    found: dict[str, Any] = {
        "message": secrets.text(str(error)),
        "hint": error.hint and secrets.text(error.hint),
        "exit_code": error.exit_code,
    }
    if isinstance(error, InputError | ToldError) and error.mistakes:
        found["mistakes"] = [
            {
                "file": str(m.file), "line": m.line, "message": secrets.text(m.message),
                "hint": m.hint and secrets.text(m.hint),
            }
            for m in error.mistakes
        ]  # fmt: skip
    return found


def result_of(path: Path, told: dict[str, Any]) -> Result:
    """The result behind a document. Raises ValueError, KeyError or TypeError when it is none."""
    error = told["error"]
    problem = None
    if error is not None:
        mistakes = tuple(Mistake(m["file"], m["line"], m["message"], m["hint"]) for m in error.get("mistakes", ()))
        problem = ToldError(error["message"], hint=error["hint"], code=error["exit_code"], mistakes=mistakes)
    return Result(
        path=path,
        scenario=told["scenario"],
        run_dir=None if told["run_dir"] is None else Path(told["run_dir"]),
        verdict=None if told["verdict"] is None else verdict_file.parse_verdict(told["verdict"]),
        error=problem,
        seconds=told["seconds"],
        tries=told["tries"],
    )
