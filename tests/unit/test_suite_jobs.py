"""Scenarios side by side: what becomes of runners that end, break, or lose their suite."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from subprocess import PIPE

import pytest

from harness.errors import EXIT_WRONG_INPUT
from harness.progress import Silent
from harness.run.options import RunOptions
from harness.suite import jobs
from harness.suite.jobs import run_side_by_side
from harness.suite.worker import EXIT_INTERRUPTED, options_line, scenario_line

LIMIT_S = 90.0  # two runners import at the same time, perhaps on a busy machine
SCENARIO = f"""
name: tiny
system: {Path(__file__).parents[2] / "compose" / "shop.yaml"}
load: {{profile: browse, arrivals: 40/s}}
timeline: [{{wait: 1s}}]
expect: [{{availability: {{at_least: 0%}}}}]
"""


def test_runners_do_one_scenario_after_the_other_and_tell_what_became_of_each(tmp_path, monkeypatch):
    """Results come in the order asked for, whoever ran them; a file with mistakes is told with its lines."""
    monkeypatch.setattr(jobs, "STAGGER_S", 0.0)
    paths = [tmp_path / f"{name}.yaml" for name in ("a", "b", "c")]
    for path in paths:
        path.write_text("name: wrong\ntimeline: []\n")

    results = run_side_by_side(paths, RunOptions(reports=tmp_path / "reports", jobs=2), Silent(), lambda _: None)

    assert paths == [result.path for result in results]
    assert [EXIT_WRONG_INPUT] * 3 == [result.exit_code for result in results]
    assert all(f"{result.path}:" in str(result.error) for result in results)


@pytest.mark.parametrize(("ended_by", "expected"), [("no more orders", 0), ("SIGTERM", EXIT_INTERRUPTED)])
def test_a_runner_ends_in_order_when_there_is_no_more_and_when_it_is_told_to(tmp_path, ended_by, expected):
    """Without a complaint, although a thread of it waits for orders."""
    runner = subprocess.Popen(jobs.COMMAND, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    with runner, closing(runner.stdin):
        runner.stdin.write(options_line(RunOptions()) + scenario_line(tmp_path / "nowhere.yaml"))
        runner.stdin.flush()
        told = json.loads(runner.stdout.readline())
        if ended_by == "SIGTERM":
            runner.send_signal(signal.SIGTERM)
        else:
            runner.stdin.close()
        code, said = runner.wait(LIMIT_S), runner.stderr.read()

    assert (expected, b"") == (code, said)
    assert EXIT_WRONG_INPUT == told["exit_code"]


def test_a_runner_that_breaks_is_told_with_what_it_complained_of_and_another_takes_its_place(tmp_path, monkeypatch):
    """One crash costs one scenario its verdict, not the suite."""
    monkeypatch.setattr(jobs, "STAGGER_S", 0.0)
    monkeypatch.setattr(jobs, "COMMAND", (sys.executable, "-c", "import sys; sys.exit('no memory')"))
    paths = [tmp_path / "a.yaml", tmp_path / "b.yaml"]

    results = run_side_by_side(paths, RunOptions(jobs=2), Silent(), lambda _: None)

    assert [1, 1] == [result.exit_code for result in results]
    assert ["no memory"] * 2 == [str(result.error) for result in results]


PRETENDING = """
import sys
from pathlib import Path
from harness.run import conductor
from harness.suite import worker

def run_plan(plan, options, **_):
    import threading
    mark = options.reports / plan.scenario.name
    mark.with_suffix(".begun").touch()
    try:
        threading.Event().wait(120)
    except KeyboardInterrupt:
        mark.with_suffix(".undone").touch()
        raise

conductor.run_plan = run_plan
sys.exit(worker.main())
"""
SUITE = """
import sys
from pathlib import Path
from harness.progress import Silent
from harness.run.options import RunOptions
from harness.suite import jobs, run

jobs.STAGGER_S, jobs.COMMAND = 0.0, (sys.executable, "-c", sys.argv[1])
folder = Path(sys.argv[2])
run([folder / "one.yaml", folder / "two.yaml"], RunOptions(reports=folder, jobs=2), Silent())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whoever_ends_a_suite_ends_every_run_of_it_in_order(tmp_path, number):
    """Runners hear of it although their suite cannot tell them any more, and take their systems down."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(SCENARIO.replace("tiny", name))
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    suite_process = subprocess.Popen(
        [sys.executable, "-c", SUITE, PRETENDING, str(tmp_path)], stderr=subprocess.DEVNULL, env=environment
    )
    with suite_process:
        await_files(tmp_path / "one.begun", tmp_path / "two.begun")
        suite_process.send_signal(number)
        await_files(tmp_path / "one.undone", tmp_path / "two.undone")
        assert suite_process.wait(LIMIT_S) != 0


def await_files(*files: Path) -> None:
    limit_s = time.monotonic() + LIMIT_S
    while not all(file.exists() for file in files):
        assert time.monotonic() < limit_s, f"none of {files} after {LIMIT_S:g} s"
        threading.Event().wait(0.02)
