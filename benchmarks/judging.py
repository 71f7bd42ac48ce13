"""
How long judging takes: a journal with 1,000,000 requests, judged by all eleven checks.

    python benchmarks/judging.py [--requests 1000000]

Prints a table and a JSON line. The journal is made in a temporary folder and removed afterwards.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit"))

import journals

from harness.judge import judge

LIMIT_S = 5.0


def promises() -> list[dict[str, object]]:
    """One promise of each kind, some of them over the whole run."""
    return [
        {"availability": {"of": journals.ORDERS, "at_least": "99%"}},
        {"latency": {"p50": "50ms", "p99": "500ms", "during": "slow"}},
        {"errors": {"only": ["status 503"], "at_most": "5%"}},
        {"throughput": {"at_least": "10/s"}},
        {"breaker": {"on": journals.LINK, "stays": "closed"}},
        {"fallback": {"named": "payment-deferred", "serves_at_most": "50%"}},
        {"retries": {"on": journals.LINK, "attempts_at_most": 3, "amplification_at_most": 1.5}},
        {"bulkhead": {"on": journals.LINK, "concurrent_at_most": 20, "reached": False}},
        {"recovery": {"slo_regained_within": "4s"}},
        {"effects": {"ledger": "orders"}},
        {"slo": {}},
    ]


def write(folder: Path, requests: int) -> Path:
    """
    A run of 100 s with a latency fault from 20 s to 60 s. One request in four is an order, which crosses the link
    once and leaves an entry in the ledger. Rows stand in the order in which they ended, as in a real journal.
    """
    seconds = 100.0
    rate = requests / seconds
    timeline = [
        {"steady": "20s"},
        {"fault": journals.LATENCY, "as": "slow", "for": "40s"},
        {"recovery": "40s"},
    ]
    system = journals.shop([journals.AVAILABLE, journals.QUICK], [journals.LEDGER])
    run = journals.Run(journals.scenario(*promises(), timeline=timeline), system, seconds=seconds)
    run.fault(20, 60).breaker()
    random = run.random
    for number in range(requests):
        second = number / rate
        trace = f"{number:032x}"
        slow = 20.002 <= second < 60
        latency_ms = (210 if slow else 10) + random.random() * 20
        spoiled = number % 997 == 0
        error = "status 503" if spoiled else None
        fallback = "payment-deferred" if number % 20 == 0 else None
        if number % 4 == 0:
            key = f"order-{number}"
            run.request(
                second, latency_ms=latency_ms, status=503 if spoiled else 201, error=error, trace=trace, key=key,
                fallback=fallback,
            )  # fmt: skip
            run.exchange(second + 0.001, span_ms=latency_ms - 5, trace=trace, in_flight=number % 20)
            if not spoiled:
                run.add("ledger", "orders", key, "{}")
        else:
            run.request(second, name=journals.USERS, latency_ms=10 + random.random() * 5, status=200, trace=trace)
    run.rows["requests"].sort(key=lambda row: row[3])
    run.rows["wire"].sort(key=lambda row: row[9])
    run.event(seconds + 0.6, "ledger.read", "orders", entries=len(run.rows["ledger"]))
    return run.write(folder)


def main() -> int:
    """Time one judging; exit code 1 when it took longer than the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    requests = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        path = write(Path(folder) / "run", requests)
        made_s = time.perf_counter() - began
        size_bytes = sum(file.stat().st_size for file in path.iterdir())
        began = time.perf_counter()
        cpu = time.process_time()
        verdict = judge(path)
        judged_s = time.perf_counter() - began
        cpu_s = time.process_time() - cpu
    for check in verdict.checks:
        print(f"{check.check:14} {check.verdict.value:13} {check.samples:>9} samples  {check.measured}")
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {
        "benchmark": "judging", "requests": requests, "journal_mb": round(size_bytes / 1e6, 1),
        "made_s": round(made_s, 2), "judged_s": round(judged_s, 2), "cpu_s": round(cpu_s, 2),
        "limit_s": LIMIT_S, "verdict": verdict.verdict.value, "memory_mb": round(memory_mb),
    }  # fmt: skip
    for name, value in figures.items():
        print(f"{name:14} {value}")
    print(json.dumps(figures))
    return int(requests >= 1_000_000 and judged_s > LIMIT_S)


if __name__ == "__main__":
    raise SystemExit(main())
