"""
pytest runs scenarios: `pytest scenarios/` collects every scenario file as a test, tags work with -k.

This module is imported in every pytest run of everybody who has harness installed, so it imports
nothing of weight before a scenario is really run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.suite import Result

RESULTS = pytest.StashKey[list[Any]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "chaos scenarios (harness)")
    group.addoption(
        "--harness-backend", default="processes", choices=("processes", "compose"), help="what the system is started on"
    )
    group.addoption("--harness-reports", default="reports", metavar="DIR", help="where runs are kept (reports)")
    group.addoption("--harness-seed", type=int, default=None, metavar="N", help="instead of each scenario's own seed")
    group.addoption(
        "--harness-set", action="append", default=[], metavar="PATH=VALUE", help="change a value of every scenario"
    )
    group.addoption(
        "--harness-inconclusive", default="fail", choices=("fail", "skip"),
        help="what an unexpected INCONCLUSIVE is to pytest (fail)",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = []


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix not in (".yaml", ".yml"):
        return None
    text = _top(file_path)
    if b"\ntimeline:" in text and b"\nexpect:" in text:
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


def _top(path: Path) -> bytes:
    try:
        return b"\n" + path.read_bytes()[:1_000_000]
    except OSError:
        return b""


class ScenarioFile(pytest.File):
    """One scenario file: one test."""

    def collect(self) -> Iterator[pytest.Item]:
        from harness.errors import InputError
        from harness.scenario.file import peek

        try:
            name, tags = peek(self.path)
        except InputError:
            name, tags = self.path.stem, ()
        item = ScenarioItem.from_parent(self, name=name)
        item.extra_keyword_matches.update(tags)
        yield item


class ScenarioFailed(Exception):
    """A scenario did not end as it declares; the text is the whole story."""


class ScenarioItem(pytest.Item):
    """Runs one scenario and compares its verdict with what the file declares."""

    def runtest(self) -> None:
        from harness.progress import Silent
        from harness.report.escape import lines
        from harness.report.plain import plain_text
        from harness.run.options import from_pytest
        from harness.suite import run_one
        from harness.verdict import Verdict

        result = run_one(self.path, from_pytest(self.config.getoption), Silent())
        self.config.stash[RESULTS].append(result)
        if result.error is not None:
            hint = f"\n    hint: {lines(result.error.hint)}" if result.error.hint else ""
            raise ScenarioFailed(f"{lines(result.error)}{hint}")
        assert result.verdict is not None
        if result.verdict.as_declared:
            return
        text = plain_text(result.verdict, result.run_dir)
        skip = self.config.getoption("--harness-inconclusive") == "skip"
        if skip and result.verdict.verdict is Verdict.INCONCLUSIVE:
            pytest.skip(f"INCONCLUSIVE: {result.verdict.reason}")
        raise ScenarioFailed(text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, ScenarioFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"scenario {self.name}"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line a scenario, with where its report is."""
    results: list[Result] = config.stash.get(RESULTS, [])
    if not results:
        return
    terminalreporter.section("scenarios")
    for result in results:
        said = result.verdict.verdict.value if result.verdict else f"error {result.exit_code}"
        terminalreporter.write_line(f"{said:<13} {result.scenario:<44} {result.seconds:5.1f} s  {result.run_dir or ''}")
    if len(results) > 1:
        from harness.suite.rows import write_index

        terminalreporter.write_line(f"report: {write_index(results, Path(config.getoption('--harness-reports')))}")
