"""
Malformed input, ten thousand times: no traceback, no crash, no more than 5 s or 500 MB, and always the file named.

    python fuzz/inputs.py --cases 10000 --seed 1
    python fuzz/inputs.py --replay reports/fuzz/scenario-17.json

Prints a table by kind of input and a JSON line; exits 1 when any case failed. A failed case is written to a file that
plays it again.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import guard
import kinds
import load_files
import machine_files
import pages
from case import Case

KINDS = {  # the kind: its maker, and its share of all cases
    "scenario": (kinds.scenario, 26),
    "system": (kinds.system, 16),
    "objectives": (kinds.objectives, 8),
    "noise": (kinds.noise, 7),
    "bomb": (kinds.bomb, 5),
    "special file": (kinds.special, 4),
    "locustfile": (kinds.locustfile, 5),
    "environment": (kinds.environment, 6),
    "command line": (kinds.command_line, 8),
    "journal": (machine_files.journal, 10),
    "verdict file": (machine_files.verdict, 5),
}
LOAD_CHILD = "load child"  # each starts Locust, which takes seconds: every one of its files once, in the long form
LONG_FORM = 5000
REALLY_EVERY = 100  # cases that are typed in a real process too


def make(seed: int, kind: str, number: int) -> Case:
    """The case of a number, always the same for a seed."""
    chance = random.Random(f"{seed}/{kind}/{number}")
    case = load_files.case(number) if kind == LOAD_CHILD else KINDS[kind][0](chance)
    return replace(case, kind=kind)


def wanted(cases: int, only: str | None) -> Iterator[tuple[str, int]]:
    """Kinds and numbers, the kinds mixed, so that a short run sees some of each."""
    whole = sum(share for _, share in KINDS.values())
    counts = {kind: max(1, round(cases * share / whole)) for kind, (_, share) in KINDS.items()}
    if cases >= LONG_FORM:
        counts[LOAD_CHILD] = len(load_files.FILES)
    if only is not None:
        counts = {only: len(load_files.FILES) if only == LOAD_CHILD else cases}
    order = [(number / count, kind, number) for kind, count in counts.items() for number in range(count)]
    return iter([(kind, number) for _, kind, number in sorted(order)])


def until(end_s: float, cases: Iterator[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """The cases that are begun before an instant of the monotonic clock; their mixture is that of all."""
    return takewhile(lambda _: time.monotonic() < end_s, cases)


def warm_up() -> None:
    """Import what commands import, before there are workers, so that each need not."""
    machine_files.sound_verdict()
    kinds.trees()
    kinds.compose_tree()
    guard.typed(("list",))


def table(outcomes: list[guard.Outcome]) -> str:
    """Kind, cases, exit codes, slowest, largest memory, failures."""
    by_kind: dict[str, list[guard.Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_kind[outcome.kind].append(outcome)
    header = ("kind", "cases", "exit codes", "slowest", "memory", "failed")
    rows = [(kind, *_row(found)) for kind, found in by_kind.items()] + [("all", *_row(outcomes))]
    widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    )


def _row(found: list[guard.Outcome]) -> tuple[str, ...]:
    codes = Counter(code for outcome in found for code in outcome.codes)
    shown = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
    return (
        str(len(found)), shown, f"{max((o.seconds for o in found), default=0):.2f} s",
        f"{max((o.peak_mb for o in found), default=0):.0f} MB", str(sum(bool(o.wrong) for o in found)),
    )  # fmt: skip


def replay(path: Path) -> int:
    """Play one saved case again and say what is wrong with it."""
    case = Case.load(path)
    outcome = guard.Outcome(case.kind, 0)
    guard.play(case, outcome, really=False)
    print(f"{case.kind}: {case.label}\nexit codes {outcome.codes}, {outcome.seconds:.2f} s, {outcome.peak_mb:.0f} MB")
    print("\n".join(outcome.wrong) or "nothing is wrong")
    return 1 if outcome.wrong else 0


def run(
    cases: int, seed: int, *, jobs: int, save: Path, only: str | None = None, really_every: int = REALLY_EVERY,
    limit_s: float = math.inf,
) -> list[guard.Outcome]:  # fmt: skip
    """Play them all, or those that can be begun within limit_s; failures are said and saved as they come."""
    warm_up()
    outcomes = []
    for outcome in guard.play_all(
        until(time.monotonic() + limit_s, wanted(cases, only)),
        lambda kind, number: make(seed, kind, number),
        jobs=jobs,
        really_every=really_every,
    ):
        outcomes.append(outcome)
        if outcome.wrong:
            save.mkdir(parents=True, exist_ok=True)
            path = save / f"{outcome.kind.replace(' ', '-')}-{seed}-{outcome.number}.json"
            make(seed, outcome.kind, outcome.number).dump(path)
            print(f"FAILED {path}  ({outcome.label})", *outcome.wrong[:3], sep="\n    ", flush=True)
    return outcomes


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="begin no case after so long; the figures tell how many"
    )
    parser.add_argument("--only", choices=(*KINDS, LOAD_CHILD))
    parser.add_argument(
        "--save", type=Path, default=Path("reports/fuzz"), help="where failed cases go (default: %(default)s)"
    )
    parser.add_argument("--reports", type=Path, help="where fuzz.json and fuzz.md take in the figures")
    parser.add_argument("--replay", type=Path)
    options = parser.parse_args(arguments)
    if options.replay:
        return replay(options.replay)
    start = time.monotonic()
    outcomes = run(
        options.cases,
        options.seed,
        jobs=options.jobs,
        save=options.save,
        only=options.only,
        limit_s=60 * options.minutes,
    )
    failed = sum(bool(outcome.wrong) for outcome in outcomes)
    told = {
        "cases": len(outcomes), "seed": options.seed, "failed": failed, "seconds": round(time.monotonic() - start, 1),
        "slowest_s": round(max(o.seconds for o in outcomes), 2), "largest_mb": round(max(o.peak_mb for o in outcomes)),
    }  # fmt: skip
    print(table(outcomes), json.dumps(told), sep="\n")
    if options.reports:
        pages.write(pages.INPUTS, told, table(outcomes), options.reports)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
