"""
What a suite costs beside its timelines, and whether it says the same however it is run.

    python benchmarks/suite.py [--whole] [--rounds 3] [--jobs auto] [--retry-busy 1]

Runs scenarios one after another, then `rounds` times side by side, each time by the command that people use. Two tables,
each followed by a JSON line: the harness's own share of the wall time at -j 1 (all that is not a timeline: starting,
draining, taking down, judging, reporting), and the seconds of the suite side by side with the verdicts of all rounds.
By default a sample of the shipped scenarios, four minutes on two cores; --whole takes every one, three quarters of an hour.

The exit code is 1 when a scenario ended differently in two rounds, or not as it declares; when the share is above 15 %; or
when the whole suite took longer than 4 minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from runs import show

from harness.journal.reader import JournalReader
from harness.suite import find
from harness.suite.jobs import jobs_for

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = (
    "steady-state",
    "payment-slow",
    "payment-refused",
    "recommendation-out",
    "must_fail/breaker-switched-off",
    "inconclusive/three-samples",
)
SHARE_LIMIT = 0.15
WHOLE_LIMIT_S = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One run of the suite: its seconds on the wall, those of its timelines, and what became of each scenario."""

    jobs: int
    wall_s: float
    timelines_s: float
    verdicts: Mapping[str, str]
    tries: int
    as_declared: bool

    @property
    def own_s(self) -> float:
        """Seconds beside the timelines; of a round that ran one after another."""
        return self.wall_s - self.timelines_s


def run_suite(paths: Sequence[Path], jobs: int, reports: Path, retry_busy: int) -> Round:
    """Run `harness run PATHS -j JOBS`. Ends the program with what it said when it brings no results."""
    command = [sys.executable, "-m", "harness", "run", *map(str, paths), "-j", str(jobs), "--reports", str(reports)]
    command += ["--retry-busy", str(retry_busy), "--json"]
    begun_s = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    wall_s = time.monotonic() - begun_s
    try:
        told = json.loads(done.stdout)["scenarios"]
    except (ValueError, KeyError):
        raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}: {done.stderr}") from None
    return Round(
        jobs=jobs,
        wall_s=wall_s,
        timelines_s=sum(timeline_s(one) * one["tries"] for one in told),
        verdicts={one["path"]: verdict_of(one) for one in told},
        tries=sum(one["tries"] for one in told),
        as_declared=all(one["exit_code"] == 0 for one in told),
    )


def verdict_of(told: Mapping[str, Any]) -> str:
    """PASS, FAIL, INCONCLUSIVE, or ERROR for a scenario without a verdict."""
    return str(told["verdict"]["verdict"]) if told["verdict"] else "ERROR"


def timeline_s(told: Mapping[str, Any]) -> float:
    """How long a scenario's timeline is; 0 when it came to no run."""
    if told["run_dir"] is None or told["verdict"] is None:
        return 0.0
    with JournalReader(Path(told["run_dir"])) as reader:
        return float(reader.facts["plan"]["duration_s"])


def differing(rounds: Sequence[Round]) -> dict[str, list[str]]:
    """Scenarios that did not end the same in every round."""
    ways = {path: [one.verdicts[path] for one in rounds] for path in rounds[0].verdicts}
    return {path: found for path, found in ways.items() if len(set(found)) > 1}


def show_share(alone: Round) -> float:
    """The table of the suite one after another; returns the harness's own share."""
    share = alone.own_s / alone.wall_s
    runs = alone.tries
    rows: list[list[object]] = [
        ["wall time", alone.wall_s],
        ["timelines", alone.timelines_s],
        ["the harness's own", alone.own_s],
        ["the harness's own, a run", alone.own_s / max(1, runs)],
        [f"its share, to stay below {SHARE_LIMIT:.0%}", f"{share:.1%}"],
    ]
    figures = {"wall_s": alone.wall_s, "timelines_s": alone.timelines_s, "own_s": alone.own_s, "share": share}
    show(
        f"{len(alone.verdicts)} scenarios in {runs} runs one after another", ["what", "seconds"], rows,
        {"benchmark": "suite_own_share", "scenarios": len(alone.verdicts), "runs": runs, **figures},
    )  # fmt: skip
    return share


def show_side_by_side(alone: Round, rounds: Sequence[Round]) -> dict[str, list[str]]:
    """The table of the rounds side by side; returns the scenarios whose verdicts differ, the first table's included."""
    different = differing([alone, *rounds])
    rows: list[list[object]] = [
        [f"-j {one.jobs}", one.wall_s, alone.wall_s / one.wall_s, one.tries, "yes" if one.as_declared else "NO"]
        for one in (alone, *rounds)
    ]
    document = {
        "benchmark": "suite_side_by_side", "scenarios": len(alone.verdicts), "jobs": rounds[0].jobs if rounds else None,
        "cores": os.cpu_count(), "wall_s": [one.wall_s for one in rounds], "one_after_another_s": alone.wall_s,
        "as_declared": [one.as_declared for one in (alone, *rounds)], "differing": different,
    }  # fmt: skip
    header = ["round", "seconds", "times as fast", "runs", "all as declared"]
    show(f"{len(alone.verdicts)} scenarios side by side: {len(different)} ended differently", header, rows, document)
    return different


def main() -> int:
    """Run the rounds; see above for the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", action="store_true", help="every shipped scenario instead of the sample")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often side by side (3)")
    parser.add_argument(
        "--jobs", default="auto", metavar="N", help="how many side by side (auto, as `-j auto` chooses)"
    )
    parser.add_argument("--retry-busy", type=int, default=1, metavar="N", help="as of harness run (1)")
    options = parser.parse_args()
    jobs = jobs_for(os.cpu_count()) if options.jobs == "auto" else int(options.jobs)
    scenarios = ROOT / "scenarios"
    paths = find([scenarios]) if options.whole else [scenarios / f"{name}.yaml" for name in SAMPLE]
    with tempfile.TemporaryDirectory() as folder:
        reports = Path(folder)
        alone = run_suite(paths, 1, reports, options.retry_busy)
        share = show_share(alone)
        rounds = [run_suite(paths, jobs, reports, options.retry_busy) for _ in range(options.rounds)]
        different = show_side_by_side(alone, rounds)
    late = options.whole and any(one.wall_s > WHOLE_LIMIT_S for one in rounds)
    strange = different or not all(one.as_declared for one in (alone, *rounds))
    return int(bool(strange or late or share > SHARE_LIMIT))


if __name__ == "__main__":
    sys.exit(main())
