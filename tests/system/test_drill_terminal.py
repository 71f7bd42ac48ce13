"""A drill by keys in a real terminal: run, recorded, compiled, replayed, compared. The transcript is the test."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from live_rig import ROOT, SHOP, Living

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed (.ci/tmux.sh installs it)"),
]

LIMIT_S = 90.0
DRILL = f"""\
name: by-keys
system: {SHOP}
goal: To press every key once.
roles: {{on-call: sees it first, desk: speaks for payment}}
objectives: {{incident: provider-out, detection: 30s, response: 60s, rto: 60s}}
abort:
  - {{slo: orders-available, below: 50%, over: 5s}}
load: {{profile: checkout, arrivals: 30/s}}
script:
  - steady: 3s
  - fault: {{http: status, link: order->payment, status: 503}}
    as: provider-out
    for: 2m
  - {{step: notice, role: on-call, prompt: Name the link that is hurt., limit: 60s, marks: detected}}
  - {{step: write-home, role: on-call, prompt: Tell the customers., limit: 60s}}
  - step: repair
    role: desk
    prompt: The provider is back when you say done.
    limit: 60s
    marks: responded
    does: [{{heal: provider-out}}]
  - recovery: 5s
expect:
  - availability: {{of: POST /orders, at_least: 99%}}
"""


class Terminal:
    """One terminal in a tmux of its own; keys go in, the screen comes out."""

    def __init__(self, environment):
        self.name = f"harness-{uuid.uuid4().hex[:8]}"
        self.transcript = []
        self._environment = environment
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "150", "-y", "60", "sh")

    def _tmux(self, *words):
        return subprocess.run(
            ["tmux", "-L", self.name, *words],
            env={**self._environment, "TERM": "screen", "CI": ""}, cwd=ROOT, capture_output=True, text=True, timeout=20,
            check=True,
        ).stdout  # fmt: skip

    def type(self, text):
        """A line, and Enter."""
        self._tmux("send-keys", "-l", text)
        self.press("Enter")

    def press(self, *keys):
        self._tmux("send-keys", *keys)

    def screen(self):
        return self._tmux("capture-pane", "-p", "-J", "-S", "-200")

    def wait_for(self, text, limit_s=LIMIT_S):
        """Until the screen shows it; the screen goes into the transcript."""
        deadline_s = time.monotonic() + limit_s
        while text not in (shown := self.screen()):
            assert time.monotonic() < deadline_s, f"{text!r} was not seen within {limit_s:g} s on:\n{shown}"
            time.sleep(0.1)
        self.transcript.append(shown)
        return shown

    def close(self):
        subprocess.run(["tmux", "-L", self.name, "kill-server"], capture_output=True, timeout=20, check=False)


@pytest.fixture
def living(tmp_path):
    return Living(tmp_path)


@pytest.fixture
def terminal(living):
    opened = Terminal(living.environment)
    yield opened
    opened.close()


def harness(*words):
    return shlex.join([sys.executable, "-m", "harness", *map(str, words)])


def test_a_drill_is_led_by_keys_and_played_again(living, terminal, tmp_path):
    """d, s, n and what they do; the run compiles, replays to the same text, and differs in nothing but noise."""
    file = tmp_path / "by-keys.yaml"
    file.write_text(DRILL)
    run = harness("drill", "run", file, "--role", "on-call=ana", "--reports", living.reports, "--no-page")
    terminal.type(f"{run}; echo ended with $?")
    terminal.wait_for("Name the link that is hurt.")
    terminal.press("n")
    terminal.wait_for("Enter writes it")
    terminal.press(*"whoo", "BSpace", "Space", *"pages?", "Enter")
    terminal.press("d")
    shown = terminal.wait_for("Tell the customers.")
    assert "d done   s skip   n note   a abort" in shown
    assert "provider-out (status 503" in shown
    terminal.press("s")
    terminal.wait_for("The provider is back when you say done.")
    terminal.press("d")
    shown = terminal.wait_for("ended with")
    transcript = "\n".join(terminal.transcript)
    (living.reports / "transcript.txt").write_text(transcript)
    assert "ana did notice" in shown
    assert "Why was write-home skipped? (on-call)" in shown
    assert "who pages? (ana)" in shown

    first = (living.reports / "latest").resolve()
    living.harness("drill", "compile", first, "-o", tmp_path / "one.yaml")
    living.harness("drill", "replay", first, "--plain", "--reports", living.reports, code=None)
    second = (living.reports / "latest").resolve()
    assert second != first
    living.harness("drill", "compile", second, "-o", tmp_path / "two.yaml")
    assert (tmp_path / "one.yaml").read_text() == (tmp_path / "two.yaml").read_text()

    told = json.loads(living.harness("drill", "diff", first, second, "--json", code=None))
    assert told["edges_within_100_ms"] >= 0.99, told["edges"]
    assert [one for one in told["otherwise"] if one["what"].startswith("step")] == []
    steps = json.loads((first / "drill.json").read_text())["steps"]
    assert [(step["name"], step["said"], step["by"]) for step in steps] == [
        ("notice", "done", "ana"), ("write-home", "skipped", "ana"), ("repair", "done", "desk"),
    ]  # fmt: skip


def test_an_abort_by_key_heals_and_ends(living, terminal, tmp_path):
    """a: everything is healed, the system gets a moment to recover, the drill is inconclusive."""
    file = tmp_path / "by-keys.yaml"
    file.write_text(DRILL.replace("below: 50%", "below: 1%") + "after_abort: 2s\n")
    run = harness("drill", "run", file, "--reports", living.reports, "--no-page")
    terminal.type(f"{run}; echo ended with $?")
    terminal.wait_for("Name the link that is hurt.")
    terminal.press("a")
    shown = terminal.wait_for("ended with")

    assert "ended with 3" in shown
    assert "broken off at" in shown
    document = json.loads((Path(living.reports) / "latest" / "drill.json").read_text())
    (fault,) = document["faults"]
    assert fault["healed_s"] - document["aborted"][0]["at_s"] <= 1.0


def test_without_a_terminal_somebody_else_must_answer(living, tmp_path):
    """No terminal, no answers: wrong input, and what would be right; nothing is started."""
    file = tmp_path / "by-keys.yaml"
    file.write_text(DRILL)
    done = subprocess.run(
        [sys.executable, "-m", "harness", "drill", "run", str(file)],
        cwd=ROOT, env=living.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert "standard input is no terminal" in done.stderr
    assert "--answers FILE, or --auto" in done.stderr
