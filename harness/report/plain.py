"""A run's verdict as plain text: for a failed test's message, where no terminal is watching."""

from __future__ import annotations

import io
from pathlib import Path

from harness.report.terminal import console_on, show_run
from harness.verdict import RunVerdict


def plain_text(verdict: RunVerdict, run_dir: Path | None = None) -> str:
    """What `harness run` would show, without colour and frames."""
    stream = io.StringIO()
    show_run(console_on(stream, plain=True), verdict, run_dir)
    return stream.getvalue().rstrip()
