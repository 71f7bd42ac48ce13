"""
How long a report takes and how big it is: a journal of 1,000,000 requests.

    python benchmarks/report.py [--requests 1000000]

Times everything that `harness report` writes (report.html, report.md, verdict.json, junit.xml) once the journal is
judged; how long judging takes is benchmarks/judging.py's, whose journal this is. Looks into the page as well: every
failed request of the journal has to lie within the extremes shown of its bucket. Prints a table and a JSON line; the
exit code is 1 when a full-sized report took longer, or is bigger, than promised, or hides a failed request.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import judging

from harness.clock import NS_PER_MS
from harness.journal.columns import request_columns
from harness.journal.reader import JournalReader
from harness.judge import judge
from harness.report import html, write_reports
from harness.report.html.axis import axis_of
from harness.report.html.requests import load_series

LIMIT_S = 10.0
LIMIT_BYTES = 1_500_000


TRIES = 3  # the quickest counts: others may use this machine too


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the processor that some work took, of the quickest of a few tries."""
    tries = []
    for _ in range(TRIES):
        began, cpu = time.perf_counter(), time.process_time()
        work()
        tries.append((time.perf_counter() - began, time.process_time() - cpu))
    return min(tries)


def hidden(reader: JournalReader) -> tuple[int, int]:
    """How many requests failed, and how many of them lie outside what is shown of failed ones."""
    columns = request_columns(reader)
    axis = axis_of(reader, columns)
    shown = {found.bucket: found for found in load_series(columns, axis).extremes}
    failed = outside = 0
    for intended_ns, end_ns in reader.rows("SELECT intended_ns, end_ns FROM requests WHERE NOT ok AND end_ns NOT NULL"):
        failed += 1
        found = shown.get(axis.bucket(intended_ns))
        latency_ms = (end_ns - intended_ns) / NS_PER_MS
        outside += found is None or not found.low_ms <= latency_ms <= found.high_ms
    return failed, outside


def main() -> int:
    """Write one report; see above for the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    requests = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as folder:
        path = judging.write(Path(folder) / "run", requests)
        verdict = judge(path)
        with JournalReader(path) as reader:
            page_s, page_cpu_s = timed(lambda: html.report_html(verdict, reader))
            all_s, all_cpu_s = timed(lambda: write_reports(path, verdict, reader))
            failed, outside = hidden(reader)
        size_bytes = (path / html.FILE_NAME).stat().st_size
    figures = {
        "benchmark": "report", "requests": requests, "report_html_s": round(page_s, 2),
        "report_html_cpu_s": round(page_cpu_s, 2), "all_reports_s": round(all_s, 2),
        "all_reports_cpu_s": round(all_cpu_s, 2), "limit_s": LIMIT_S, "html_bytes": size_bytes,
        "limit_bytes": LIMIT_BYTES, "failed": failed, "failed_outside_extremes": outside,
        "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }  # fmt: skip
    for name, value in figures.items():
        print(f"{name:24} {value}")
    print(json.dumps(figures))
    slow = requests >= 1_000_000 and all_s > LIMIT_S
    return int(slow or size_bytes > LIMIT_BYTES or outside > 0 or failed == 0)


if __name__ == "__main__":
    raise SystemExit(main())
