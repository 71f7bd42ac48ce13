"""
Runs every shipped scenario that the README's commands did not run, side by side, and says how each ended.

One that does not end as it declares is run once more, alone: if it then does, it is told as FLAKY with both outcomes,
never silently passed over. One that only a busy machine kept from its verdict, again and again, says nothing about what
is tested: it is told as BUSY MACHINE, and gates once more than a tenth of all end so. Of the systems that are new, one
scenario each is run and told, and does not gate until it has been shown to be steady (take a system off NEW_SYSTEMS
then); the others are left to `make scenarios`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
HARNESS = str(ROOT / ".venv" / "bin" / "harness")
RUN_BEFORE = "not quick and not (mask and resets)"
BUSY_SHARE = 0.1
SAMPLES = ("primary-killed-synchronous", "instance-killed", "region-lost")
NEW_SYSTEMS = ("shop-ha", "shop-ha-patroni", "shop-instances", "shop-regions", "shop-sentinel")


def run(paths: list[str], *options: str) -> list[dict[str, Any]]:
    """The scenarios' results, as `harness run --json` tells them."""
    command = [HARNESS, "run", *paths, *options, "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
    try:
        told: list[dict[str, Any]] = json.loads(done.stdout)["scenarios"]
    except (ValueError, KeyError):
        sys.exit(f"harness run ended with {done.returncode} and told nothing of its scenarios")
    return told


def outcome(result: dict[str, Any]) -> str:
    verdict = result["verdict"]
    return str(result["error"]) if verdict is None else f"{verdict['verdict']}: {verdict['reason']}"


def busy(result: dict[str, Any]) -> bool:
    """Whether nothing but the machine kept this run from a verdict."""
    verdict = result["verdict"] or {}
    blamed = any(receipt["machine_to_blame"] for receipt in verdict.get("receipts", ()))
    return blamed and verdict["verdict"] == "INCONCLUSIVE"


def new(path: str) -> bool:
    """Whether a scenario runs a system that is new."""
    system = yaml.safe_load(Path(path).read_text("utf-8"))["system"]
    return Path(system).stem in NEW_SYSTEMS


def told_again(first: dict[str, Any]) -> str:
    """Run a scenario again, alone; say and return how it ended."""
    (second,) = run([first["path"]], "--retry-busy", "3")
    word = "FLAKY" if second["exit_code"] == 0 else "BUSY MACHINE" if busy(second) else "NOT AS DECLARED"
    if word == "NOT AS DECLARED" and new(first["path"]):
        word = "NEW, NOT AS DECLARED"
    print(f"{word}  {first['scenario']}\n    first:  {outcome(first)}\n    second: {outcome(second)}", flush=True)
    return word


def main() -> int:
    from harness.suite import find

    found = [str(path) for path in find([ROOT / "scenarios"], RUN_BEFORE)]
    paths = [path for path in found if not new(path) or Path(path).stem in SAMPLES]
    print(f"{len(paths)} scenarios, side by side; {len(found) - len(paths)} of new systems are left out", flush=True)
    results = run(paths, "-j", "auto")
    words = [told_again(first) for first in results if first["exit_code"] != 0]
    counts = {word: words.count(word) for word in sorted({*words, "FLAKY", "BUSY MACHINE", "NOT AS DECLARED"})}
    counts["as declared at once"] = len(results) - len(words)
    print(", ".join(f"{count} {word}" for word, count in counts.items()), flush=True)
    too_busy = counts["BUSY MACHINE"] > BUSY_SHARE * len(results)
    return int(bool(counts["NOT AS DECLARED"]) or too_busy or len(results) != len(paths))


if __name__ == "__main__":
    sys.exit(main())
