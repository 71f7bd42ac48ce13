"""Every fault: what a person writes, what it asks of the world, and what must be seen of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.faults import FAULTS, build
from harness.scenario.model import Step
from harness.system.document import read_document

LINK = "order->payment"


class FakeWorld:
    """Remembers what was asked of it."""

    def __init__(self):
        self.asked = []

    def group(self, name):
        return (f"order-{name}", f"user-{name}")

    def __getattr__(self, name):
        return lambda *arguments: self.asked.append((name, *arguments))


def fault_of(kind):
    data, _ = read_document(FAULTS[kind].example, "example")
    return Step.model_validate(data.data, by_alias=True, by_name=False).fault


@pytest.mark.parametrize("kind", FAULTS)
def test_an_example_is_the_fault_it_explains(kind):
    """What `explain` shows of a fault can be pasted into a scenario and is that very fault."""
    assert type(fault_of(kind)) is FAULTS[kind]


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_has_a_file_of_its_own_name(kind):
    """A fault is found where its name says."""
    expected = kind

    assert expected == FAULTS[kind].__module__.rpartition(".")[2]
    assert FAULTS[kind].summary
    assert (Path(build.__file__).parent / f"{kind}.py").exists()


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_survives_being_written_down(kind):
    """A fault stored as JSON reads back as the same fault, units and all."""
    fault = fault_of(kind)

    assert fault == type(fault).model_validate(fault.model_dump(mode="json", exclude_none=True))


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("latency", [("add_toxic", LINK, "f", "latency", "downstream", 1.0, {"latency": 2000, "jitter": 100})]),
        ("bandwidth", [("add_toxic", LINK, "f", "bandwidth", "downstream", 1.0, {"rate": 20})]),
        ("slow_close", [("add_toxic", LINK, "f", "slow_close", "downstream", 1.0, {"delay": 500})]),
        ("timeout", [("add_toxic", LINK, "f", "timeout", "downstream", 1.0, {"timeout": 0})]),
        ("reset_peer", [("add_toxic", LINK, "f", "reset_peer", "downstream", 1.0, {"timeout": 0})]),
        (
            "slicer",
            [
                (
                    "add_toxic", LINK, "f", "slicer", "downstream", 1.0,
                    {"average_size": 64, "size_variation": 32, "delay": 5000},
                )
            ],
        ),
        ("limit_data", [("add_toxic", LINK, "f", "limit_data", "downstream", 1.0, {"bytes": 100})]),
        ("down", [("refuse", LINK)]),
        (
            "status",
            [
                (
                    "add_gate_fault", LINK, "f",
                    {
                        "kind": "status", "status": 503, "body": "", "headers": {}, "methods": ["POST"],
                        "path": "/payments*", "first": 3,
                    },
                )
            ],
        ),
        ("delay", [("add_gate_fault", LINK, "f", {"kind": "delay", "delay_ms": 250, "every": 5})]),
        ("abort", [("add_gate_fault", LINK, "f", {"kind": "abort", "methods": ["POST"], "share": 0.2})]),
        ("kill", [("kill", "user")]),
        ("stop", [("stop", "user")]),
        ("pause", [("pause", "user")]),
        ("partition", [("isolate", "payment", "f", True)]),
        ("lag", [("add_toxic", "pg1->pg0", "f", "latency", "downstream", 1.0, {"latency": 300, "jitter": 0})]),
        ("restart", [("kill", "user"), ("start", "user")]),
        (
            "rolling_restart",
            [
                ("stop", "order-1"), ("start", "order-1"), ("wait", 1.0), ("stop", "order-2"), ("start", "order-2"),
                ("wait", 1.0), ("stop", "order-3"), ("start", "order-3"),
            ],
        ),
        ("lose_region", [("kill", "order-east"), ("kill", "user-east")]),
        ("request", [("request", "order", "POST", "/actuator/degradation/recommendation", {"level": 1})]),
        ("limit", [("limit", "order", 0.5, None)]),
    ],
)  # fmt: skip
def test_injecting_asks_for_the_deed_in_its_doers_units(kind, asked):
    """Toxiproxy hears milliseconds, KB/s and microseconds; the gate its own spec; a topology the service."""
    world = FakeWorld()

    fault_of(kind).inject(world, "f")

    assert asked == world.asked


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        *((k, [("remove_toxic", LINK, "f")]) for k, fault in FAULTS.items() if fault.family == "toxic"),
        ("down", [("accept", LINK)]),
        *((k, [("remove_gate_fault", LINK, "f")]) for k, fault in FAULTS.items() if fault.family == "http"),
        ("kill", [("start", "user")]),
        ("stop", [("start", "user")]),
        ("pause", [("resume", "user")]),
        ("partition", [("reconnect", "payment", "f", True)]),
        ("lag", [("remove_toxic", "pg1->pg0", "f")]),
        ("restart", []),
        ("rolling_restart", []),
        ("lose_region", [("start", "order-east"), ("start", "user-east")]),
        ("request", [("request", "order", "POST", "/actuator/degradation/recommendation", {"level": 0})]),
        ("limit", [("unlimit", "order")]),
    ],
)
def test_healing_takes_back_what_was_done(kind, asked):
    """Each fault is healed by the one request that undoes it; a restart needs none."""
    world = FakeWorld()

    fault_of(kind).heal(world, "f")

    assert asked == world.asked


@pytest.mark.parametrize("kind", FAULTS)
def test_what_must_be_seen_of_a_fault_is_said_beforehand(kind):
    """Every fault has a mark with the evidence that its kind of mark needs, and a line for people."""
    fault = fault_of(kind)
    mark = fault.mark()

    needed = {"status": mark.statuses, "ending": mark.endings, "delay": True, "process": True, "close": mark.delay_ms}
    needed["answer"] = needed["limit"] = True
    assert needed[mark.by]
    assert 0 < mark.share <= 1
    assert fault.target in fault.describe()


def test_a_mark_counts_as_the_fault_does():
    """The share and the number of requests to be seen are those the fault was told to hit."""
    assert (1.0, 3) == (build.status(LINK, 503, first=3).mark().share, build.status(LINK, 503, first=3).mark().counted)
    assert build.delay(LINK, "1s", every=4).mark().share == 0.25
    assert build.abort(LINK, share="20%").mark().share == 0.2
    assert build.latency(LINK, "1s", toxicity="30%").mark().share == 0.3


def test_python_and_yaml_make_the_same_faults():
    """A fault made in Python equals the one read from a file."""
    made = {
        "latency": build.latency(LINK, "2s", jitter="100ms"),
        "bandwidth": build.bandwidth(LINK, "20KB/s"),
        "slow_close": build.slow_close(LINK, "500ms"),
        "timeout": build.timeout(LINK),
        "reset_peer": build.reset_peer(LINK),
        "slicer": build.slicer(LINK, "64B", size_variation="32B", delay="5ms"),
        "limit_data": build.limit_data(LINK, "100B"),
        "down": build.down(LINK),
        "status": build.status(LINK, 503, methods=["POST"], path="/payments*", first=3),
        "delay": build.delay(LINK, "250ms", every=5),
        "abort": build.abort(LINK, methods=["POST"], share="20%"),
        "kill": build.kill("user"),
        "stop": build.stop("user"),
        "pause": build.pause("user"),
        "partition": build.partition("payment"),
        "lag": build.lag("pg1->pg0", "300ms"),
        "restart": build.restart("user", signal="kill"),
        "rolling_restart": build.rolling_restart("order-1", "order-2", "order-3"),
        "lose_region": build.lose_region("east"),
        "request": build.request("order", "/actuator/degradation/recommendation", json={"level": 1}, undo={"level": 0}),
        "limit": build.limit("order", cpus=0.5),
    }

    assert {kind: fault_of(kind) for kind in FAULTS} == made


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: build.latency("order", "2s"), "'order' is not a link"),
        (lambda: build.latency(LINK, "2"), "'2' is not a duration"),
        (lambda: build.limit("order"), "cpus: 0.5, memory: 64MB, or both"),
        (lambda: build.limit("order", memory="1MB"), "6000000"),
        (lambda: build.latency(LINK, "500us"), "less than one millisecond"),
        (lambda: build.latency(LINK, "0s"), "greater than 0"),
        (lambda: build.timeout(LINK, "300us"), "less than one millisecond"),
        (lambda: build.bandwidth(LINK, "1500B/s"), "not a whole number of KB/s"),
        (lambda: build.bandwidth(LINK, "20"), "not a bandwidth"),
        (lambda: build.bandwidth(LINK, "0KB/s"), "above zero"),
        (lambda: build.slicer(LINK, "64B", size_variation="64B"), "must be below average_size"),
        (lambda: build.status(LINK, 999), "status"),
        (lambda: build.status(LINK, 503, first=3, every=2), "exclude each other"),
        (lambda: build.status(LINK, 503, headers={"X": "a\r\nb"}), "single line"),
        (lambda: build.abort(LINK, share="120%"), "between 0% and 100%"),
        (lambda: build.abort(LINK, methods=["post it"]), "methods"),
        (lambda: build.restart("user", signal="hup"), "signal"),
        (lambda: build.rolling_restart("order-1"), "at least 2"),
        (lambda: build.rolling_restart("order-1", "order-1"), "names one twice"),
        (lambda: build.lose_region("east", by="flood"), "by"),
        (lambda: build.request("order", "actuator", json={}, undo={}), "path"),
        (lambda: build.request("order", "/a b", json={}, undo={}), "path"),
        (lambda: build.request("order", "/a", json={}, undo={}, method="GET"), "method"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_its_value(make, said):
    """What cannot be done is refused when it is written, not when it is too late."""
    with pytest.raises(InputError) as caught:
        make()

    assert said in str(caught.value)
    assert caught.value.hint
