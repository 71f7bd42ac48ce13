"""
How punctual the load is, and why it is open: prints a table and a JSON line for each part.

    python benchmarks/load.py [--url URL] [--span SECONDS]

Without --url the load goes to a trivial server in this process; with it, the
schedule errors at 50/s and 300/s are measured against that address instead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.clock import NS_PER_MS, NS_PER_S, SystemClock
from harness.journal.spool import COLUMNS, SpoolReader
from harness.load.client import LoadChild, load_config
from harness.load.record import rank
from harness.scenario.model import Load
from harness.system.model import Profile, RequestTemplate

READY_LIMIT_S = 60.0
START_DELAY_S = 0.2
STALL_S = 2.0
HANG_S = 3600.0


class TrivialServer:
    """Answers any GET with two bytes. /hang never answers; / waits while a stall lasts."""

    def __init__(self) -> None:
        self.stall_start_s = self.stall_end_s = 0.0
        self._loop = asyncio.new_event_loop()
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024))
        self.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if head.startswith(b"GET /hang"):
                    await asyncio.sleep(HANG_S)
                now_s = time.monotonic()
                if self.stall_start_s <= now_s < self.stall_end_s:
                    await asyncio.sleep(self.stall_end_s - now_s)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def spawn(_name: str, argv: Any, *, env: Any = None, cwd: Any = None, log: Any = None, pipes: bool = False) -> Any:
    assert pipes
    with log.open("ab") as errors:
        environment = {**os.environ, **(env or {})}
        return subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=cwd, env=environment
        )


@contextmanager
def started(load: Load, url: str, span_s: float) -> Iterator[tuple[LoadChild, Path]]:
    """A load child that is ready to go, and its spool."""
    parts = urlsplit(url)
    template = RequestTemplate(name="GET", weight=1, to="it", method="GET", path=parts.path or "/")
    with tempfile.TemporaryDirectory() as folder:
        spool = Path(folder) / "spool" / "load.jsonl"
        config = load_config(
            load,
            Profile(name="trivial", requests=(template,), data={}),
            seed=1,
            duration_s=span_s,
            bases={"it": f"{parts.scheme}://{parts.netloc}"},
            spool=spool,
        )
        child = LoadChild(config, spawn=spawn, run_dir=Path(folder), clock=SystemClock())
        try:
            child.start()
            child.wait_ready(READY_LIMIT_S)
            yield child, spool
        finally:
            child.close()


def punctuality(part: str, load: Load, url: str, span_s: float) -> dict[str, Any]:
    """Schedule errors of one load."""
    with started(load, url, span_s) as (child, _):
        child.go(time.monotonic_ns() + round(START_DELAY_S * NS_PER_S))
        receipt = child.wait_ended(span_s + load.timeout_s + 10)
    return {
        "part": part,
        "sent_per_s": round(receipt["sent"] / span_s, 1),
        "p50_ms": receipt["schedule_error_p50_ms"],
        "p99_ms": receipt["schedule_error_p99_ms"],
        "max_ms": receipt["schedule_error_max_ms"],
        "dropped": receipt["dropped"],
        "cpu_share_max": receipt["cpu_share_max"],
    }


def under_a_stall(part: str, load: Load, server: TrivialServer, span_s: float) -> dict[str, Any]:
    """Latencies, counted from the intended instant, of a load during which the server stalls once."""
    with started(load, server.base, span_s) as (child, spool):
        t0_ns = time.monotonic_ns() + round(START_DELAY_S * NS_PER_S)
        server.stall_start_s = t0_ns / NS_PER_S + span_s / 4
        server.stall_end_s = server.stall_start_s + STALL_S
        child.go(t0_ns)
        child.wait_ended(span_s + load.timeout_s + 10)
        found = [dict(zip(COLUMNS["requests"], values, strict=True)) for _, values in SpoolReader(spool).rows()]
    spans_ms = sorted((row["end_ns"] - row["intended_ns"]) / NS_PER_MS for row in found)
    return {
        "part": part,
        "sent_per_s": round(len(found) / span_s, 1),
        "p50_ms": rank(spans_ms, 0.50),
        "p95_ms": rank(spans_ms, 0.95),
        "p99_ms": rank(spans_ms, 0.99),
        "share_above_500_ms": round(sum(span_ms > 500 for span_ms in spans_ms) / len(spans_ms), 4),
    }


def show(title: str, lines: list[dict[str, Any]]) -> None:
    """A table for people, then a line of JSON a part for machines."""
    print(f"\n{title}")
    table = [list(lines[0]), *([str(value) for value in line.values()] for line in lines)]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for line in lines:
        print(json.dumps(line), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="How punctual the load is, and why it is open.")
    parser.add_argument("--url", help="measure the schedule errors against this address, for instance the shop's")
    parser.add_argument(
        "--span", type=float, default=4.0, help="seconds of each part, twice that under the stall (default 4)"
    )
    chosen = parser.parse_args()
    server = TrivialServer()
    target = chosen.url or server.base + "/"
    lines = [
        punctuality("50/s", Load(arrivals="50/s"), target, chosen.span),
        punctuality("300/s", Load(arrivals="300/s"), target, chosen.span),
    ]
    if not chosen.url:
        hanging = Load(arrivals="50/s", timeout="2s")
        lines.append(punctuality("50/s, server hangs", hanging, server.base + "/hang", chosen.span))
    show("schedule error: actual minus intended start", lines)
    if not chosen.url:
        loads = {
            "open, 200/s": Load(arrivals="200/s"),
            "closed, 10 users": Load(users=10, think="45ms"),
            "closed, 100 users": Load(users=100, think="495ms"),
        }
        lines = [under_a_stall(part, load, server, 2 * chosen.span) for part, load in loads.items()]
        show(f"latency while the server stalls for {STALL_S:g} s of {2 * chosen.span:g} s", lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
