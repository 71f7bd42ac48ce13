"""
The gate on real runs of the shop: a good suite, a failed one, an inconclusive one, a slower version, the same twice.

A machine that is too busy may keep a run or a comparison from its verdict; then it is tried again, and in the end the
test is skipped with the reason. What it must never do is to end the other way.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documents import command_blocks

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "compose" / "shop.yaml"
PASS, FAIL, INCONCLUSIVE = 0, 1, 3
TRIES = 2

pytestmark = [pytest.mark.system, pytest.mark.slow]

SCENARIO = """\
name: {name}
system: {system}
with: {{payment: {{SHOP_CHARGE_TIME: 200ms}}}}
load: {{profile: checkout, arrivals: {rate}/s}}
timeline:
  - steady: {length}s
expect:
  - {promise}
"""
comparisons = pytest.mark.skipif(
    not os.environ.get("HARNESS_COMPARISONS"), reason="takes ten minutes: HARNESS_COMPARISONS=1 runs it"
)
PROMISES = {
    "good": "availability: {at_least: 90%}",
    "failed": "latency: {of: POST /orders, p50: 1ms}",
    "inconclusive": "latency: {of: GET /users, p99.9: 5s}",
}


def harness(*words: object, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *map(str, words)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def written(folder: Path, name: str, *, rate: int = 20, length: int = 4) -> Path:
    """A scenario file; little load, so that a busy machine can still send it on time."""
    file = folder / f"{name}.yaml"
    file.write_text(SCENARIO.format(name=name, system=SHOP, promise=PROMISES[name], rate=rate, length=length))
    return file


def run(folder: Path, name: str) -> Path:
    """Run a scenario; the folder its runs are in."""
    reports = folder / name
    done = harness("run", written(folder, name), "--reports", reports, "--retry-busy", "3", "--json")
    told = json.loads(done.stdout)["scenarios"][-1]
    if told["verdict"] is not None and told["verdict"]["verdict"] == "INCONCLUSIVE" and name != "inconclusive":
        pytest.skip(f"the machine kept the run from its verdict: {told['verdict']['reason']}")
    return reports


def test_a_good_suite_passes_a_failed_one_fails_an_inconclusive_one_is_told(tmp_path: Path) -> None:
    """0, 1 with the broken promise's line, 3."""
    good, failed, inconclusive = (run(tmp_path, name) for name in PROMISES)

    passed = harness("gate", "--require", "good", good)
    broken = harness("gate", failed, "--annotate", "github", "--summary", tmp_path / "summary.md")
    still_open = harness("gate", inconclusive)

    assert passed.returncode == PASS, passed.stdout
    assert broken.returncode == FAIL, broken.stdout
    assert f"::error file={tmp_path}/failed.yaml,line=8,title=FAIL%3A failed::latency of POST /orders" in broken.stdout
    assert "**FAIL**" in (tmp_path / "summary.md").read_text()
    assert still_open.returncode == INCONCLUSIVE, still_open.stdout
    assert harness("gate", good, failed, inconclusive).returncode == FAIL


def compared(folder: Path, *sets: str) -> subprocess.CompletedProcess[str]:
    """A comparison of five pairs, tried again while the machine keeps it open."""
    for number in range(TRIES):
        done = harness(
            "compare", ".", ".", *sets, "--scenario", written(folder, "good", rate=40, length=5), "--max-pairs", "5", "--alpha", "1%",
            "--max-minutes", "2", "--reports", folder / f"try-{number}",
        )  # fmt: skip
        if done.returncode != INCONCLUSIVE:
            break
    return done


@comparisons
def test_a_p95_half_as_long_again_fails_the_gate_with_the_sli_named(tmp_path: Path) -> None:
    """Charges of 320 ms instead of 200."""
    done = compared(tmp_path, "--new-set", "with.payment.SHOP_CHARGE_TIME=320ms")

    if done.returncode == INCONCLUSIVE:
        pytest.skip(f"the machine kept the comparison open: {done.stdout}")
    gate = harness("gate", max(tmp_path.glob("try-*")))
    assert (done.returncode, gate.returncode) == (FAIL, FAIL), done.stdout + done.stderr + gate.stdout
    assert "p95 of POST /orders: +" in gate.stdout


@comparisons
def test_the_same_version_twice_never_fails_the_gate(tmp_path: Path) -> None:
    """A/A."""
    done = compared(tmp_path)

    gate = harness("gate", max(tmp_path.glob("try-*")))
    assert done.returncode in {PASS, INCONCLUSIVE}, done.stdout + done.stderr
    assert gate.returncode == done.returncode
    if gate.returncode == INCONCLUSIVE:
        pytest.skip(f"the machine kept the comparison open: {done.stdout}")


@comparisons
def test_the_commands_of_the_documentation_work_as_they_are_written(tmp_path: Path) -> None:
    """docs/ci.md, in order, in a copy."""
    copy = tmp_path / "checkout"
    leave_out = shutil.ignore_patterns(".venv", ".git", "reports", ".*_cache", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=leave_out)
    (copy / "reports").mkdir()
    (copy / ".venv").symlink_to(ROOT / ".venv")

    for command in [line for block in command_blocks(ROOT / "docs" / "ci.md") for line in block]:
        done = subprocess.run(
            ["bash", "-ec", command], cwd=copy, capture_output=True, text=True, timeout=300, check=False,
            env={**os.environ, "PYTHONPATH": str(copy)},
        )  # fmt: skip
        if done.returncode == INCONCLUSIVE and " run " in command:
            pytest.skip(f"the machine kept the run from its verdict: {done.stdout}")
        assert done.returncode == PASS, f"{command}\n{done.stdout}\n{done.stderr}"
