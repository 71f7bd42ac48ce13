"""The receipts of what is done to a database: a lag as the primary itself saw it, a partition as the gate did."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from journals import Run, at, scenario, shop

from harness.judge import judge
from harness.system.model import Service, SystemLink

NODE = {"environment": {}, "working_dir": None, "health": None, "depends_on": {}, "replication_path": "/replication"}
LAG = {"replication": "lag", "link": "pg1->pg0", "lag": "300ms"}
STOPPED = {"replication": "lag", "link": "pg1->pg0", "stopped": True}
PARTITION = {"network": "partition", "service": "payment"}
KILL_ONE = {"process": "kill", "service": "payment", "only": "postmaster"}


def cluster():
    system = shop()
    nodes = {name: Service(name=name, command=("run",), port=8008, **NODE) for name in ("pg0", "pg1")}
    links = (*system.links, SystemLink(client="pg1", upstream="pg0", port=5432, protocol="raw"))
    return replace(system, services={**system.services, **nodes}, links=links)


def receipt_of(run, tmp_path):
    run.load(0, 15)
    return next(receipt for receipt in judge(run.write(tmp_path)).receipts if receipt.kind == "fault")


def behind(run, lag_s, lag_bytes):
    """What pg0 says of pg1, five times a second; figures during the fault are the given ones."""
    for number in range(75):
        second = number / 5
        on = 3.3 < second < 9
        row = {
            "name": "pg1",
            "state": "streaming",
            "lag_s": lag_s if on else 0.001,
            "lag_bytes": lag_bytes if on else 0,
        }
        data = {"role": "primary", "writable": True, "replicas": [row]}
        run.add("probes", at(second), "replication", "pg0", 1, json.dumps(data))
    return run


@pytest.mark.parametrize(
    ("fault", "lag_s", "lag_bytes", "status"),
    [
        (LAG, 0.31, 500, "APPLIED"),
        (LAG, 0.002, 0, "NO EFFECT"),
        (STOPPED, None, 4096, "APPLIED"),
        (STOPPED, None, 0, "NO EFFECT"),
    ],
)
def test_a_lag_is_what_the_primary_sees_of_its_replica(tmp_path, fault, lag_s, lag_bytes, status):
    """Seconds for a delay, bytes for a stop; a toxic that delays nothing is no lag."""
    run = behind(Run(scenario(fault=fault), cluster()).fault(), lag_s, lag_bytes)

    assert receipt_of(run, tmp_path).status == status


def test_a_lag_nobody_looked_at_has_no_evidence(tmp_path):
    """The primary has to have said something while it was on."""
    assert receipt_of(Run(scenario(fault=LAG), cluster()).fault(), tmp_path).status == "NO EVIDENCE"


@pytest.mark.parametrize(("ending", "status"), [("client_gone", "APPLIED"), ("answered", "NO EFFECT")])
def test_a_partition_is_there_when_nothing_crosses(tmp_path, ending, status):
    """Exchanges that are tried while it is on come to nothing; an answered one shows that it was none."""
    run = Run(scenario(fault=PARTITION)).fault().crossings(0, 3).crossings(3.5, 8.5, 4, ending=ending, span_ms=300)

    assert receipt_of(run, tmp_path).status == status


def test_a_partition_nobody_tried_to_cross_has_no_evidence(tmp_path):
    """Silence on a link is not the same as a cut one."""
    assert receipt_of(Run(scenario(fault=PARTITION)).fault().crossings(0, 3), tmp_path).status == "NO EVIDENCE"


def test_a_single_process_that_was_killed_leaves_its_service_running(tmp_path):
    """The runner saw that very process gone; the service's own process is the same before and after."""
    run = Run(scenario(fault=KILL_ONE)).fault()
    run.event(3.001, "service.process_killed", "payment", pid=run.pid("payment"), killed_pid=4711)

    found = receipt_of(run, tmp_path)

    assert found.status == "APPLIED"
    assert "4711" in found.sentence
