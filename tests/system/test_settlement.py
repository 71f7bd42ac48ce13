"""An acknowledged effect that is still on its way when the load ends: waited for where the system says so, else lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTLES = ", settled_within: 5s"
SCENARIO = """
# Payment comes back a moment before the load ends: what was put off meanwhile cannot be made up for by then.
name: late-charges
system: shop.yaml
load: {profile: checkout, arrivals: 40/s}
timeline:
  - steady: 3500ms
  - fault: {http: status, link: order->payment, status: 503}
    as: payment-503
    for: 2500ms
  - recovery: 100ms
expect:
  - effects: {ledger: payments}
"""
LIMIT_S = 180

pytestmark = pytest.mark.system


@pytest.mark.parametrize(("word", "code", "told"), [(SETTLES, 0, "the last came"), ("", 1, " lost, 0 allowed")])
def test_put_off_charges_are_waited_for_where_the_system_says_so(tmp_path, word, code, told):
    """The same run passes with settled_within and fails without it, and the reason says why."""
    shop = (ROOT / "compose" / "shop.yaml").read_text("utf-8")
    assert shop.count(SETTLES) == 1
    (tmp_path / "shop.yaml").write_text(shop.replace(SETTLES, word), "utf-8")
    (tmp_path / "late.yaml").write_text(SCENARIO, "utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", str(tmp_path / "late.yaml"), "--reports", str(tmp_path / "reports"),
         "--plain", "--retry-busy", "3"],
        cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip

    assert done.returncode == code, done.stdout + done.stderr
    verdict = json.loads((tmp_path / "reports" / "latest" / "verdict.json").read_text("utf-8"))
    assert told in verdict["checks"][0]["reason"]
