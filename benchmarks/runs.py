"""
What a run costs beside its timeline, and whether the load keeps its schedule with the whole shop on the same machine.

    python benchmarks/runs.py [--rounds 3]

Three tables, each followed by a JSON line:
- an empty run (one second of load, nothing hurt): seconds until the load begins, to take everything down, to judge;
- the harness's own share of a suite's wall time, over the scenarios named below;
- schedule error at 300/s with the shop running, and at 50/s while the payment service hangs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.clock import NS_PER_S
from harness.errors import HarnessError
from harness.journal.reader import JournalReader
from harness.progress import Silent
from harness.run.options import RunOptions
from harness.suite import run_one
from harness.testing import fault, live_system, promise

ROOT = Path(__file__).resolve().parent.parent
SHOP = ROOT / "compose" / "shop.yaml"
SUITE = ("steady-state", "payment-refused", "recommendation-out")
EMPTY = f"""
name: empty
system: {SHOP}
load: {{profile: browse, arrivals: 40/s}}
timeline:
  - wait: 1s
expect:
  - availability: {{at_least: 0%}}
"""


def show(title: str, header: list[str], rows: list[list[object]], document: dict[str, object]) -> None:
    table = Table(title=title, title_justify="left")
    for word in header:
        table.add_column(word)
    for row in rows:
        table.add_row(*(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row))
    Console(width=110).print(table)
    print(json.dumps(document), flush=True)


def parts_of(run_dir: Path, wall_s: float) -> dict[str, float]:
    """Seconds of one run: until the load began, under load, taking down, and everything after the journal closed."""
    with JournalReader(run_dir) as reader:
        started = reader.events("run.started")[0][0]
        ended = reader.events("run.ended")[0][0]
        t0 = int(reader.facts["t0_ns"])
        duration_s = float(reader.facts["plan"]["duration_s"])
    before_s = (t0 - started) / NS_PER_S
    after_s = (ended - t0) / NS_PER_S - duration_s
    return {
        "start_s": before_s,
        "timeline_s": duration_s,
        "take_down_s": after_s,
        "judge_and_report_s": max(0.0, wall_s - before_s - duration_s - after_s),
        "wall_s": wall_s,
    }


def measured(path: Path, reports: Path) -> dict[str, float]:
    begun = time.monotonic()
    result = run_one(path, RunOptions(reports=reports, retry_busy=0), Silent())
    if result.run_dir is None:
        raise SystemExit(f"{path}: {result.error}")
    return parts_of(result.run_dir, time.monotonic() - begun)


def empty_runs(rounds: int, folder: Path) -> None:
    path = folder / "empty.yaml"
    path.write_text(EMPTY)
    runs = [measured(path, folder / "reports") for _ in range(rounds + 1)][1:]  # the first one warms the disk
    medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    rows = [[key.removesuffix("_s").replace("_", " "), value] for key, value in medians.items()]
    show(f"an empty run, median of {rounds}", ["part", "seconds"], rows, {"benchmark": "empty_run", **medians})


def suite_share(folder: Path) -> None:
    runs = {name: measured(ROOT / "scenarios" / f"{name}.yaml", folder / "reports") for name in SUITE}
    own = sum(run["wall_s"] - run["timeline_s"] for run in runs.values())
    wall = sum(run["wall_s"] for run in runs.values())
    rows: list[list[object]] = [
        [n, r["wall_s"], r["timeline_s"], r["wall_s"] - r["timeline_s"]] for n, r in runs.items()
    ]
    rows.append([f"all: {own / wall:.0%} is the harness's own", wall, wall - own, own])
    document = {"benchmark": "own_share", "wall_s": wall, "own_s": own, "share": own / wall}
    show("the harness's own share of a suite", ["scenario", "wall s", "timeline s", "own s"], rows, document)


def schedule_errors(folder: Path) -> None:
    found = {}
    for name, profile, rate, hang in (
        ("300/s, shop at work", "browse", "300/s", False),
        ("50/s, payment hangs", "checkout", "50/s", True),
    ):
        options = RunOptions(reports=folder / "reports")
        with live_system(SHOP, name="schedule", options=options) as shop:
            with shop.load(profile, arrivals=rate, steady="2s", recovery="1s"):
                if hang:
                    with shop.fault(fault.timeout("order->payment")):
                        shop.wait("4s")
                else:
                    shop.wait("4s")
            try:
                shop.expect(promise.availability(at_least="0%"))
            except AssertionError:
                pass  # the verdict is not what is measured here
            with JournalReader(options.reports / "latest") as reader:
                found[name] = reader.events("load.ended")[0][3]
    keys = ("sent", "schedule_error_p50_ms", "schedule_error_p99_ms", "schedule_error_max_ms")
    rows = [[name, *(numbers[key] for key in keys)] for name, numbers in found.items()]
    show(
        "schedule error of the load",
        ["load", "sent", "p50 ms", "p99 ms", "max ms"],
        rows,
        {"benchmark": "schedule", **found},
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="empty runs to take the median of (3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        empty_runs(options.rounds, Path(folder))
        suite_share(Path(folder))
        schedule_errors(Path(folder))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as error:
        sys.exit(f"{error}\n{error.hint or ''}")
