"""
How long a failover takes and what it loses: real runs of the shop on its cluster, several rounds of each kind.

    python benchmarks/failover.py [--rounds 10] [--only primary-killed ...]

Each round is one `harness run` of a scenario of scenarios/failover; RTO is what its failover check measured from the
client's side (the longer of: longest time without an acknowledged order, time from the fault until they came again), RPO
the acknowledged orders that were gone. Prints a table and one JSON line. The last column is what others measured by hand
on a quiet machine of the same size, with 4 writers and no shop around them: a reference, not a goal met or missed.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCENARIOS = ROOT / "scenarios" / "failover"
LIMIT_S = 150
REFERENCE = {
    "primary-killed": "0.29-0.36 s, 0-1 lost",
    "primary-killed-synchronous": "0.33-0.36 s, 0 lost",
    "primary-frozen": "1.24-1.29 s, 0 lost",
    "planned-switchover": "(Patroni: 1.4-1.5 s, 0 lost)",
}
_LOST = re.compile(r"RPO (\d+) writes")


@dataclass(slots=True)
class Figures:
    """What the rounds of one scenario came to."""

    rto_s: list[float] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)


def round_of(scenario: str, reports: Path) -> tuple[float | None, int | None, str]:
    """One run: RTO in seconds, orders lost, the verdict; None where the run could not tell."""
    command = [sys.executable, "-m", "harness", "run", str(SCENARIOS / f"{scenario}.yaml"), "--reports", str(reports)]
    try:
        subprocess.run(command, cwd=ROOT, capture_output=True, timeout=LIMIT_S, check=False)
        verdict = json.loads((reports / "latest" / "verdict.json").read_text("utf-8"))
    except (subprocess.TimeoutExpired, OSError, ValueError) as problem:
        return None, None, type(problem).__name__
    check = next(check for check in verdict["checks"] if check["check"] == "failover")
    lost = _LOST.search(check["measured"])
    return check["value"], int(lost[1]) if lost else None, str(verdict["verdict"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--only", nargs="*", choices=sorted(REFERENCE), default=list(REFERENCE))
    arguments = parser.parse_args()
    found = {scenario: Figures() for scenario in arguments.only}
    with tempfile.TemporaryDirectory(prefix="harness-failover-") as folder:
        for number in range(arguments.rounds):  # the kinds take turns: a noisy minute hits all of them
            for scenario, figures in found.items():
                started_s = time.monotonic()
                rto_s, lost, verdict = round_of(scenario, Path(folder))
                print(
                    f"round {number + 1} of {arguments.rounds}, {scenario}: RTO {rto_s} s, {lost} lost, {verdict}"
                    f" ({time.monotonic() - started_s:.0f} s)",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
                figures.verdicts.append(verdict)
                figures.rto_s += [] if rto_s is None else [rto_s]
                figures.lost += [] if lost is None else [lost]
    print(f"{'scenario':<28} {'rounds':>6} {'RTO median':>11} {'worst':>8} {'lost':>9}  reference")
    for scenario, figures in found.items():
        if not figures.rto_s:
            print(f"{scenario:<28} {0:>6} no run could tell: {', '.join(figures.verdicts)}")
            continue
        lost = f"{min(figures.lost)}-{max(figures.lost)}" if figures.lost else "unknown"
        print(
            f"{scenario:<28} {len(figures.rto_s):>6} {statistics.median(figures.rto_s):>9.2f} s"
            f" {max(figures.rto_s):>6.2f} s {lost:>9}  {REFERENCE[scenario]}"
        )
    rows = {
        name: {"rto_s": figures.rto_s, "lost": figures.lost, "verdicts": figures.verdicts}
        for name, figures in found.items()
    }
    print(json.dumps({"benchmark": "failover", "rounds": arguments.rounds, "scenarios": rows}))


if __name__ == "__main__":
    main()
