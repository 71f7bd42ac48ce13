"""
Runs every shipped scenario that the README's commands did not run, one after another, and says how each ended.

One that does not end as it declares is run once more: if it then does, it is told as FLAKY with both outcomes, never
silently passed over. The scenarios of the resilience library and their twins are new and not yet shown to be steady:
they are run and told, and do not gate until they are (take a name off NOT_GATING when it has been).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HARNESS = str(ROOT / ".venv" / "bin" / "harness")
RUN_BEFORE = "not quick and not (mask and resets)"
NEW_TWINS = (
    "count-window-remembers-too-much", "slow-calls-unseen", "half-open-waits-stay", "hystrix-circuit-switched-off",
    "one-pool-for-all", "semaphore-switched-off", "not-feigns-waits", "not-springs-waits", "retry-after-unheard",
    "retry-storm", "no-rate-limiter", "deadlines-stay-at-home", "flag-left-down", "flag-without-a-rule",
    "stale-products-forbidden",
)  # fmt: skip
NOT_GATING = {path.stem for path in (ROOT / "scenarios" / "resilience").glob("*.yaml")} | set(NEW_TWINS)


def run(paths: list[str], *options: str) -> list[dict[str, object]]:
    """The scenarios' results, as `harness run --json` tells them."""
    done = subprocess.run([HARNESS, "run", *paths, *options, "--json"], cwd=ROOT, stdout=subprocess.PIPE, check=False)
    try:
        told: list[dict[str, object]] = json.loads(done.stdout)["scenarios"]
    except ValueError:
        sys.exit(f"harness run ended with {done.returncode} and told nothing")
    return told


def outcome(result: dict[str, object]) -> str:
    verdict = result["verdict"]
    return f"{verdict['verdict']}: {verdict['reason']}" if isinstance(verdict, dict) else str(result["error"])


def main() -> int:
    broken = []
    listed = subprocess.run(
        [HARNESS, "list", "scenarios", "--json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    print(f"{len(json.loads(listed.stdout))} scenarios are shipped", flush=True)
    from harness.suite import find

    for path in find([ROOT / "scenarios"], RUN_BEFORE):
        (first,) = run([str(path)], "--retry-busy", "2")
        if first["exit_code"] == 0:
            print(f"as declared  {path.stem}  {first['seconds']} s", flush=True)
            continue
        (second,) = run([str(path)], "--retry-busy", "2")
        word = "FLAKY" if second["exit_code"] == 0 else "NOT AS DECLARED"
        gates = path.stem not in NOT_GATING
        print(f"{word}  {path.stem}{'' if gates else ' (does not gate yet)'}", flush=True)
        print(f"    first:  {outcome(first)}\n    second: {outcome(second)}", flush=True)
        if word != "FLAKY" and gates:
            broken.append(path.stem)
    print(f"{len(broken)} gating scenarios did not end as they declare {broken or ''}", flush=True)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
