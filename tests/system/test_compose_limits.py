"""A container is held to a part of the machine, really waits for it, and is given back what it had."""

from __future__ import annotations

import os
import time

import pytest
from compose_engine import found_engine

from harness.topology.container import Container
from harness.topology.container_limits import Limits

BUSY = "while True: sum(range(100000))"

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture
def busy():
    """A container that wants a whole processor, with the engine that has it."""
    engine = found_engine("harness-shop")
    with engine.asking("start a busy container") as api:
        made = api.create_container("harness-shop", ["python", "-c", BUSY], name=f"harness-busy-{os.getpid()}")
        try:
            api.start(made["Id"])
            one = Container(engine, "busy", made["Id"])
            one.look()
            yield engine, one
        finally:
            api.remove_container(made["Id"], force=True)
            engine.close()


def test_a_container_waits_for_what_it_may_not_use_and_gets_it_back(busy):
    """A twentieth of a core: it is made to wait; afterwards the engine has no quota and as much memory as there is."""
    engine, one = busy
    limits = Limits(engine)

    taken = limits.take(one, 0.05, 64_000_000)
    time.sleep(1.0)
    freed = limits.give_back(one)
    with engine.asking("look") as api:
        host, whole = api.inspect_container(one.id)["HostConfig"], api.info()["MemTotal"]

    assert (0.05, 64_000_000) == (taken["cpus"], taken["memory_bytes"])
    assert freed["throttled_s"] > 0.2
    assert (-1, whole) == (host["CpuQuota"], host["Memory"])
    assert limits.give_back(one) is None
