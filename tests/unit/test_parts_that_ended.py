"""A part of the rig that somebody else ended is noticed at the very end too: what it wrote may not be all."""

from __future__ import annotations

import io
import signal
from types import SimpleNamespace

import pytest

from harness.clock import SystemClock
from harness.errors import HarnessError
from harness.links.gate_process import GateProcess
from harness.links.toxiproxy import ToxiproxyServer
from harness.load.client import LoadChild
from harness.run.watchdog import Watchdog

API = ("127.0.0.1", 1)


class EndedChild:
    """A child that is gone, with its exit code."""

    def __init__(self, returncode):
        self.pid, self.returncode = 0, returncode
        self.stdin, self.stdout = io.BytesIO(), io.BytesIO()

    def poll(self):
        return self.returncode

    def wait(self, _limit_s=None):
        return self.returncode


def gate(tmp_path):
    made = GateProcess((), control=API, token="t", spawn=None, run_dir=tmp_path)
    made.client = SimpleNamespace(stop=lambda: None)
    return made, made.down


def toxiproxy(tmp_path):
    made = ToxiproxyServer(tmp_path, API, (), spawn=None, run_dir=tmp_path)
    return made, made.down


def load(tmp_path):
    made = LoadChild({}, spawn=None, run_dir=tmp_path, clock=SystemClock())
    return made, made.close


def watchdog(tmp_path):
    made = Watchdog("a-run-that-never-was", tmp_path)
    return made, made.done


PARTS = {"gate": gate, "Toxiproxy": toxiproxy, "load child": load, "watchdog": watchdog}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_was_killed_is_said_when_it_is_ended(tmp_path, name):
    """Whoever takes down a part that is gone already says so: the run did not keep what it needs to be believed."""
    part, end = PARTS[name](tmp_path)
    part._process = EndedChild(-signal.SIGKILL)

    with pytest.raises(HarnessError, match=name):
        end()


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_went_as_it_was_asked_is_nothing_to_say(tmp_path, name):
    """The end that was asked for is no problem, and asking once more is none either."""
    part, end = PARTS[name](tmp_path)
    part._process = EndedChild(0)

    end()
    end()
