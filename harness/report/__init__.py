"""
What a run leaves for people and machines: verdict.json, report.md, junit.xml, and what a terminal shows.

Reporters read a verdict and a journal. They judge nothing and start nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import SetUpError
from harness.journal.reader import JournalReader
from harness.report import junit, markdown, verdict_file
from harness.verdict import RunVerdict


def write_reports(run_dir: Path, verdict: RunVerdict, reader: JournalReader) -> list[Path]:
    """Write every report file of one run into run_dir, replacing older ones. Raises SetUpError."""
    texts = {
        verdict_file.FILE_NAME: verdict_file.dump_verdict(verdict),
        markdown.FILE_NAME: markdown.report_markdown(verdict, reader),
        junit.FILE_NAME: junit.junit_xml([verdict]),
    }
    return [write_file(run_dir / name, text) for name, text in texts.items()]


def write_file(path: Path, text: str) -> Path:
    """Put text at path in one step: a reader sees the old file or the new one, never half. Raises SetUpError."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, "utf-8")
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise SetUpError(
            f"cannot write {path}: {error}",
            hint="is the disk full, or the folder read-only? choose another with --to DIR or --reports DIR",
        ) from error
    return path
