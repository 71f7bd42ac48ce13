"""
The same scenarios as processes and in Docker Compose: verdicts side by side, and what each backend costs.

    python benchmarks/backends.py [SCENARIO ...] [--rounds N]

Prints a table and one JSON line. Start: from the run's first event to the load's. Stop: from the load's end to the run's.
Latency is what the load saw of good answers, from the intended start; what Compose adds to it is the difference.
Exit code 1 when two earned verdicts differ; a run without an earned verdict says nothing and is shown as it is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCENARIOS = (ROOT / "scenarios" / "steady-state.yaml",)
BACKENDS = ("processes", "compose")
LIMIT_S = 300
_NS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run of one scenario on one backend; seconds and milliseconds as measured by its own journal."""

    scenario: str
    backend: str
    verdict: str
    reason: str
    start_s: float
    stop_s: float
    latency_p50_ms: float
    latency_p99_ms: float
    schedule_error_p99_ms: float


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", type=Path, default=SCENARIOS)
    parser.add_argument("--rounds", type=int, default=1, help="runs of each on each backend, alternately (default: 1)")
    options = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for scenario in options.scenarios:
            for _ in range(options.rounds):
                for backend in BACKENDS:
                    print(f"{scenario.stem} on {backend} ...", file=sys.stderr, flush=True)
                    rows.append(measure(scenario, backend, Path(folder)))
    show(rows)
    print(json.dumps({"benchmark": "backends", "rows": [asdict(row) for row in rows]}))
    return 1 if differing(rows) else 0


def measure(scenario: Path, backend: str, folder: Path) -> Row:
    """One run in a process of its own. A run that could not be set up is a row, too."""
    command = [
        sys.executable, "-m", "harness", "run", str(scenario), "--backend", backend, "--reports", str(folder),
        "--retry-busy", "0", "--json",
    ]  # fmt: skip
    answer = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=ROOT)
    [told] = json.loads(answer.stdout)["scenarios"]
    if told["verdict"] is None:
        nothing = dict.fromkeys(
            ("start_s", "stop_s", "latency_p50_ms", "latency_p99_ms", "schedule_error_p99_ms"), float("nan")
        )
        reason = str((told["error"] or {}).get("message"))
        return Row(scenario=told["scenario"], backend=backend, verdict="ERROR", reason=reason, **nothing)
    return _row(told, backend)


def _row(told: dict[str, object], backend: str) -> Row:
    import sqlite3

    verdict = told["verdict"]
    assert isinstance(verdict, dict)
    journal = sqlite3.connect(f"file:{told['run_dir']}/journal.db?mode=ro", uri=True)
    try:
        at_ns = dict(journal.execute("SELECT kind, min(t_ns) FROM events GROUP BY kind"))
        ended = json.loads(journal.execute("SELECT data FROM events WHERE kind = 'load.ended'").fetchone()[0])
        latencies = [
            (end - intended) / 1e6
            for intended, end in journal.execute("SELECT intended_ns, end_ns FROM requests WHERE ok AND end_ns > 0")
        ]
    finally:
        journal.close()
    return Row(
        scenario=str(told["scenario"]),
        backend=backend,
        verdict=str(verdict["verdict"]),
        reason=str(verdict.get("reason") or ""),
        start_s=round((at_ns["load.started"] - at_ns["run.started"]) / _NS, 2),
        stop_s=round((at_ns["run.ended"] - at_ns["load.ended"]) / _NS, 2),
        latency_p50_ms=round(statistics.median(latencies), 2),
        latency_p99_ms=round(statistics.quantiles(latencies, n=100)[98], 2),
        schedule_error_p99_ms=ended["schedule_error_p99_ms"],
    )


def differing(rows: list[Row]) -> list[str]:
    """Scenarios whose earned verdicts are not the same on both backends."""
    found = []
    for scenario in dict.fromkeys(row.scenario for row in rows):
        earned = {row.verdict for row in rows if row.scenario == scenario and row.verdict in ("PASS", "FAIL")}
        if len(earned) > 1:
            found.append(scenario)
    return found


def show(rows: list[Row]) -> None:
    print(
        f"{'scenario':<28} {'backend':<10} {'verdict':<13} {'start':>7} {'stop':>7} {'p50':>9} {'p99':>10} {'late p99':>9}"
    )
    for row in rows:
        print(
            f"{row.scenario:<28} {row.backend:<10} {row.verdict:<13} {row.start_s:>5.1f} s {row.stop_s:>5.1f} s "
            f"{row.latency_p50_ms:>6.1f} ms {row.latency_p99_ms:>7.1f} ms {row.schedule_error_p99_ms:>6.1f} ms"
        )
        if row.verdict not in ("PASS", "FAIL"):
            print(f"    {row.reason[:180]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
