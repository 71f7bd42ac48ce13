"""
What a run leaves for people and machines: report.html, report.md, verdict.json, junit.xml, and what a terminal shows.

Reporters read a verdict and a journal. They judge nothing and start nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import SetUpError
from harness.journal.reader import JournalReader
from harness.report import junit, verdict_file
from harness.secrets import private_opener
from harness.verdict import RunVerdict

if TYPE_CHECKING:
    from harness.report.html.past import Past


def write_reports(run_dir: Path, verdict: RunVerdict, reader: JournalReader, past: Past | None = None) -> list[Path]:
    """
    Write every report file of one run into run_dir, the one to open first, replacing older ones. past: its scenario's
    last runs. Raises SetUpError, InputError.
    """
    from harness.journal.columns import request_columns
    from harness.report import html, markdown  # heavy: not for those who only want to print

    columns = request_columns(reader)
    texts = {
        html.FILE_NAME: html.report_html(verdict, reader, columns, past),
        verdict_file.FILE_NAME: verdict_file.dump_verdict(verdict),
        markdown.FILE_NAME: markdown.report_markdown(verdict, reader, columns),
        junit.FILE_NAME: junit.junit_xml([verdict]),
    }
    return [write_file(run_dir / name, text, private=True) for name, text in texts.items()]


def write_file(path: Path, text: str, *, private: bool = False) -> Path:
    """
    Put text at path in one step: a reader sees the old file or the new one, never half. private: only the owner may
    read it, whatever the umask. Raises SetUpError.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(unfinished, "w", encoding="utf-8", opener=private_opener if private else None) as file:
            file.write(text)
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise SetUpError(
            f"cannot write {path}: {error}",
            hint="is the disk full, or the folder read-only? choose another with --to DIR or --reports DIR",
        ) from error
    return path
