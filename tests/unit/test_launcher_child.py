"""A launcher's program: found or said how to install it; told apart, how it ended."""

from __future__ import annotations

import signal
import sys

import pytest

from services.haproxy import node as haproxy
from services.launcher.child import Child, NotInstalled, find_program
from services.redis import node as redis
from services.redis import sentinel


def test_what_is_not_installed_is_said_with_the_command_that_installs_it():
    """A person who lacks a program is told its package."""
    with pytest.raises(NotInstalled, match=r"no-such-program is not installed; .*apt-get install .* some-package"):
        find_program("no-such-program", "some-package")


@pytest.mark.parametrize(
    ("launcher", "values"),
    [
        (haproxy, {"POOLS": "order", "ORDER_PORT": "1", "ORDER_SERVERS": "a=b:1"}),
        (redis, {}),
        (sentinel, {"MONITOR": "127.0.0.1:6379"}),
    ],
)
def test_without_its_program_a_launcher_ends_as_a_set_up_that_failed(launcher, values, monkeypatch, tmp_path, capsys):
    """Exit code 4 and a sentence, before anything is started."""

    def nothing(name, package):
        raise NotInstalled(f"{name} is not installed: {package}")

    monkeypatch.setattr(launcher, "find_program", nothing)

    assert launcher.main({**values, "DATA": str(tmp_path)}) == 4
    assert "is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("launcher", [haproxy, redis, sentinel])
def test_a_wrong_environment_is_wrong_input(launcher, tmp_path, capsys):
    """Exit code 2, with the value that is wrong."""
    assert launcher.main({"PORT": "many", "API_PORT": "many", "DATA": str(tmp_path)}) == 2
    assert "is 'many': must be a whole number from 1 to 65535" in capsys.readouterr().err


def ended(code):
    return Child([sys.executable, "-S", "-c", code], grace_s=10)


def test_a_program_that_ends_by_itself_hands_on_its_code():
    """Its own exit code, or 128 and the signal that ended it."""
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"

    assert (3, 128 + signal.SIGKILL) == (ended("raise SystemExit(3)").wait(), ended(killed).wait())


def test_a_program_that_was_asked_to_end_has_ended_well():
    """Whatever code a stopped program has, its end was wanted; asking twice is asking once."""
    child = ended("import time; time.sleep(60)")
    child.stop()
    child.stop()

    assert child.wait() == 0
