"""
What services/resilience costs, beside the other Python libraries, and whose decisions are Resilience4j's.

    python benchmarks/resilience.py [--quick]

Compares whatever of the others can be imported. They are no dependencies of this project; to have them all:

    python -m venv peers-venv && peers-venv/bin/pip install PEERS && peers-venv/bin/python benchmarks/resilience.py

with PEERS as in benchmarks/peers/__init__.py. Prints tables and a JSON line for each. Times are processor time of the
thread, the median of many rounds in which the candidates take turns in random order: look at the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import statistics
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from peers import INSTALL, calls, decisions

Fn = Callable[..., Any]

WARM_UP = 3
THREADS = (1, 2, 4, 8)
THREADED = ("ours", "circuitbreaker", "interlock-cb", "pybreaker")
BREAKERS = 200


def answer() -> int:
    """What is protected."""
    return 1


async def answer_async() -> int:
    """What is protected, asynchronously."""
    return 1


def rounds_of(names: list[str], rounds: int, measure: Callable[[str], float]) -> dict[str, list[float]]:
    """Nanoseconds a call in each round but the first few, every candidate once a round."""
    chance, spans = random.Random(1), {name: [] for name in names}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds + WARM_UP):
            for name in chance.sample(names, len(names)):
                spans[name].append(measure(name))
    finally:
        gc.enable()
    return {name: taken[WARM_UP:] for name, taken in spans.items()}


def time_sync(made: dict[str, Fn], rounds: int, number: int) -> dict[str, list[float]]:
    def measure(name: str) -> float:
        call, start_ns = made[name], time.thread_time_ns()
        for _ in range(number):
            call()
        return (time.thread_time_ns() - start_ns) / number

    return rounds_of(list(made), rounds, measure)


def time_async(made: dict[str, Fn], rounds: int, number: int) -> dict[str, list[float]]:
    async def burst(call: Fn) -> float:
        start_ns = time.thread_time_ns()
        for _ in range(number):
            await call()
        return (time.thread_time_ns() - start_ns) / number

    with asyncio.Runner() as runner:
        return rounds_of(list(made), rounds, lambda name: runner.run(burst(made[name])))


def overhead(spans: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median and least of each, and its ratio to ours: the median over rounds of ratios within a round."""
    bare = spans["bare function"]
    ours = [taken - base for taken, base in zip(spans["ours"], bare, strict=True)]
    table = {}
    for name, taken in spans.items():
        ratios = [(t - base) / mine for t, base, mine in zip(taken, bare, ours, strict=True)]
        table[name] = {
            "median_ns": round(statistics.median(taken)),
            "least_ns": round(min(taken)),
            "overhead_in_ours": round(statistics.median(ratios), 2),
            "whole_in_ours": round(statistics.median(t / m for t, m in zip(taken, spans["ours"], strict=True)), 2),
        }
    return table


def threads(rounds: int, number: int) -> dict[str, dict[str, float]]:
    """Processor microseconds a call with so many threads at one breaker: contention burns more."""
    table: dict[str, dict[str, float]] = {}
    made, _ = calls.candidates(answer, calls.NOT_SYNC)
    for name in (name for name in THREADED if name in made):
        for many in THREADS:
            best = min(_thread_burst(made[name], many, number) for _ in range(rounds))
            table.setdefault(name, {})[f"{many} threads"] = round(best / 1e3, 2)
    return table


def _thread_burst(call: Fn, many: int, number: int) -> float:
    """Processor nanoseconds a call of the whole process."""
    start = threading.Barrier(many + 1)

    def work() -> None:
        start.wait(60)
        for _ in range(number // many):
            call()

    workers = [threading.Thread(target=work) for _ in range(many)]
    for worker in workers:
        worker.start()
    start.wait(60)
    start_ns = time.process_time_ns()
    for worker in workers:
        worker.join(120)
    return (time.process_time_ns() - start_ns) / (number // many * many)


def memory() -> dict[str, dict[str, float]]:
    """Kilobytes a breaker: new, after 99 calls, and when all it may keep is full."""
    made: dict[str, dict[str, float]] = {}
    for name in ("ours", "ours, time window 10 s", "circuitbreaker", "interlock-cb", "pybreaker", "pyresilience"):
        try:
            calls.CANDIDATES[name](answer)()
        except ImportError:
            continue
        gc.collect()
        tracemalloc.start()
        breakers = [calls.CANDIDATES[name](lambda: 1) for _ in range(BREAKERS)]
        row = {"new": tracemalloc.get_traced_memory()[0]}
        for kind, number in (("99 calls", 99), ("1000 calls", 901)):
            for call in breakers:
                for _ in range(number):
                    call()
            gc.collect()
            row[kind] = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        made[name] = {kind: round(size / BREAKERS / 1000, 1) for kind, size in row.items()}
    return made


def conformance(step: int) -> dict[str, dict[str, Any]]:
    """Percent of recorded traces with the same admissions throughout, and of single calls.

    Compared are the 105 traces of calls and time alone. Of all 435, the others count as not alike for the others: they
    have no counterpart for what those traces do.
    """
    found, _ = decisions.importable()
    table = {}
    for name, kinds in decisions.agreements(found, step).items():
        row: dict[str, Any] = {}
        for kind, label in (("COUNT_BASED", "count"), ("TIME_BASED", "time")):
            one = kinds[kind]
            row[f"{label} traces"] = one.traces
            row[f"{label} traces alike %"] = round(100 * one.traces_alike / max(one.traces, 1), 1)
            row[f"{label} calls alike %"] = round(100 * one.calls_alike / max(one.calls, 1), 1)
        row["of all 435 alike"] = (
            435 if name == "ours" and step == 1 and _replays() else sum(one.traces_alike for one in kinds.values())
        )
        table[name] = row
    return table


def _replays() -> bool:
    """Whether ours agrees with every recording in everything, not in admissions alone."""
    from services.resilience import replay

    files = sorted(decisions.GOLDEN.glob("circuitbreaker*"))
    return not replay.replay(files).differences


def show(title: str, table: dict[str, dict[str, Any]]) -> None:
    """A table for people and a line for programs."""
    print(f"\n{title}")
    columns = list(next(iter(table.values()))) if table else []
    print(f"  {'':42}" + "".join(f"{column:>22}" for column in columns))
    for name, row in table.items():
        print(f"  {name:42}" + "".join(f"{row.get(column, '-'):>22}" for column in columns))
    print(json.dumps({"benchmark": title, **table}))


def targets(sync: dict[str, Any], asynchronous: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What was promised, what came out, and whether that is it."""
    rows: dict[str, dict[str, Any]] = {}

    def promise(what: str, ratio: float, at_most: float) -> None:
        rows[what] = {"ratio": round(ratio, 2), "at most": at_most, "kept": "yes" if ratio <= at_most else "NO"}

    for side, table in (("sync", sync), ("async", asynchronous)):
        if "circuitbreaker" in table:
            promise(f"ours / circuitbreaker, {side}", 1 / table["circuitbreaker"]["overhead_in_ours"], 1.1)
            as_decorators = table["ours, decorator"]["overhead_in_ours"] / table["circuitbreaker"]["overhead_in_ours"]
            promise(f"both as decorators, {side}", as_decorators, 1.1)
        if "interlock-cb" in table:
            promise(f"ours / interlock-cb, {side}", 1 / table["interlock-cb"]["overhead_in_ours"], 0.1)
    whole = asynchronous["ours, retry+breaker+time limit+bulkhead"]["whole_in_ours"]
    promise("pipeline of four / breaker, async", whole, 5.0)
    return rows


def main() -> int:
    """Measure all, print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds, every tenth trace: shows that it works")
    quick = parser.parse_args().quick
    rounds, number = (5, 500) if quick else (60, 4000)

    made, missing = calls.candidates(answer, calls.NOT_SYNC)
    made_async, _ = calls.candidates(answer_async, calls.NOT_ASYNC)
    for name, reason in missing.items():
        print(f"left out: {name}: {reason}")
    if missing:
        print(f"to have them all: python -m venv peers-venv && peers-venv/bin/pip install {INSTALL}")
    sync = overhead(time_sync(made, rounds, number))
    show("a healthy call, sync", sync)
    asynchronous = overhead(time_async(made_async, rounds, number))
    show("a healthy call, async", asynchronous)
    show("processor microseconds a call, threads at one breaker", threads(2 if quick else 7, 2000 if quick else 40_000))
    show("kilobytes a breaker", memory())
    show("decisions that are Resilience4j's", conformance(10 if quick else 1))
    show("targets", targets(sync, asynchronous))
    return 0


if __name__ == "__main__":
    sys.exit(main())
