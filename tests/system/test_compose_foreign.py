"""Somebody's own Compose project, which knows nothing of the harness: its links are read, two of them hurt."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from compose_engine import found_engine, left, run, run_ids

from harness.judge import judge
from harness.verdict import Verdict

FOLDER = Path(__file__).parent / "foreign"
LINKS = {
    "load->front": "the only service that publishes a port",
    "front->app1": "read from ONE of front",
    "front->app2": "read from TWO of front",
    "app1->cache": "read from REDIS_URL of app1",
    "app2->cache": "read from REDIS_URL of app2",
}

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def engine():
    """An engine with the guest book's image, or no test."""
    found = found_engine()
    made = subprocess.run([FOLDER / "image"], capture_output=True, text=True, timeout=600, check=False)
    if made.returncode != 0:
        pytest.skip(f"the guest book's image cannot be made: {made.stderr.strip()[-300:]}")
    yield found
    found.close()


def test_the_links_of_a_plain_project_are_read_and_told():
    """Out of values of the environment and the one published port; each with where it was read."""
    command = [sys.executable, "-m", "harness", "links", FOLDER / "compose.yaml", "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = {link["link"]: link["how"] for link in json.loads(answer.stdout)["links"]}

    assert set(LINKS) == set(found)
    assert all(found[name].endswith(how) for name, how in LINKS.items())


def test_a_plain_project_is_hurt_on_two_links_and_judged(engine, tmp_path):
    """
    One instance is slow for nginx, the other loses its Redis: both faults are proven on the wire, visitors are served, and
    the port that the project publishes is not asked for, so that somebody else may have it. Nothing is left behind.
    """
    with closing(socket.create_server(("0.0.0.0", 18099))):
        answer = run(FOLDER / "scenario.yaml", tmp_path)
    run_id = run_ids(tmp_path)[-1]  # a busy machine gets a second try
    verdict = judge(tmp_path / run_id)
    receipts = {one.subject: one for one in verdict.receipts if one.kind == "fault"}

    assert {"slow-instance", "no-redis"} == set(receipts)
    assert {Verdict.PASS} == {one.verdict for one in receipts.values()}, receipts
    assert left(engine, run_id) == []
    if verdict.worth_another_try:
        pytest.skip(f"the machine is too busy for a verdict: {verdict.reason}")
    assert (0, Verdict.PASS) == (answer.returncode, verdict.verdict), answer.stdout
