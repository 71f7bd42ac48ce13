"""What can go wrong before a run in containers begins: told once, in words, with the right exit code; nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from compose_engine import ROOT, found_engine, left, run, run_ids

SCENARIO = """\
name: trouble
system: compose.yaml
load: {profile: look, arrivals: 10/s}
timeline:
  - steady: 1s
expect:
  - availability: {at_least: 99%}
"""
EXTENSION = "x-harness: {entry: web, profiles: {look: {requests: [{name: GET /}]}}}\n"
SHOP = ROOT / "compose" / "shop.yaml"
SERVE = "command: [python, -m, http.server, '8000']"
BAD_HEALTH = "healthcheck: {test: [CMD, 'false'], interval: 200ms, timeout: 1s, retries: 2}"

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def engine():
    """An engine that has both images, or no test."""
    found = found_engine("harness-shop")
    yield found
    found.close()


@pytest.mark.parametrize(
    ("services", "code", "said"),
    [
        pytest.param("web: {image: harness-shop, expose: ['8000']", 2, "compose.yaml", id="no YAML"),
        pytest.param("web: {image: harness-shop, expose: ['8000'], memory: {much: 1}}", 2, "memory", id="no Compose"),
        pytest.param("web: {image: 'no-such-image-anywhere:1', expose: ['80']}", 4, "no-such-image-anywhere", id="image"),
        pytest.param("web: {image: harness-shop, command: [no-such-program], expose: ['80']}", 4, "no-such-program",
                     id="program"),
        pytest.param("web: {image: harness-shop, command: [python, -c, 'raise SystemExit(3)'], expose: ['80']}", 4,
                     "exit code 3", id="ends at once"),
        pytest.param(f"web: {{image: harness-shop, {SERVE}, expose: ['8000'], {BAD_HEALTH}}}", 4, "health check of web",
                     id="never healthy"),
        pytest.param(f"web: {{image: harness-shop, {SERVE}, expose: ['8000'], "
                     "depends_on: {base: {condition: service_healthy}}}\n"
                     f"  base: {{image: harness-shop, {SERVE}, expose: ['8000'], {BAD_HEALTH}}}", 4, "unhealthy",
                     id="waits for one that is never healthy"),
        pytest.param("web: {image: harness-shop, network_mode: host, expose: ['8000']}", 2, "network_mode",
                     id="past every link"),
    ],
)  # fmt: skip
def test_a_project_that_cannot_run_is_told_once_and_leaves_nothing(engine, tmp_path, services, code, said):
    """One message that names what is wrong, no traceback; no container, network or volume stays."""
    (tmp_path / "compose.yaml").write_text(f"services:\n  {services}\n{EXTENSION}")
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    reports = tmp_path / "reports"

    answer = run(tmp_path / "scenario.yaml", reports)
    told = answer.stdout + answer.stderr

    assert (code, True) == (answer.returncode, said in told), told
    assert "Traceback" not in told
    assert sum(line.startswith("ERROR") for line in answer.stderr.splitlines()) <= 1, answer.stderr
    assert [] == [thing for run_id in run_ids(reports) for thing in left(engine, run_id)]


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="needs a small tmpfs, which needs root on Linux"
)
def test_a_full_disk_takes_nothing_along(engine, tmp_path):
    """When the disk of the reports fills up under a run: exit 4, the folder, the way out; the engine holds nothing."""
    small = tmp_path / "small"
    small.mkdir()
    (tmp_path / "scenario.yaml").write_text(
        SCENARIO.replace("system: compose.yaml", f"system: {SHOP}")
        .replace("profile: look, arrivals: 10/s", "profile: checkout, arrivals: 80/s")
        .replace("steady: 1s", "steady: 10s")
    )
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(small)], check=True)
    try:
        answer = run(tmp_path / "scenario.yaml", small / "reports")
        told = answer.stdout + answer.stderr
        found = [thing for run_id in run_ids(small / "reports") for thing in left(engine, run_id)]
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)

    assert (4, True, True) == (answer.returncode, "full" in told, "--reports" in told), told
    assert "Traceback" not in told
    assert [] == found
