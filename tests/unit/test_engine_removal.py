"""What bears a run's label goes, and only that; what the engine is and is not is told in one sentence."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice

import pytest

from harness.clock import FakeClock
from harness.engine import connect as engines
from harness.engine.connect import Engine, EngineError, EngineMissing, numbers
from harness.engine.labels import RUN
from harness.engine.networks import POOL, _free_blocks
from harness.engine.removal import remove_run, runs_with_labels
from harness.links.gate_client import ClockReading
from harness.run.leases import FILE_NAME, Leases
from harness.run.leases import engines as leased_engines
from harness.topology.container import code_of


class FakeApi:
    """An engine that remembers what was removed; some things go only at the second attempt, some never."""

    def __init__(self, *, stubborn=(), late=()):
        self.things = {
            "containers": {"c1": "mine", "c2": "other"},
            "networks": {"n1": "mine", "n2": "other"},
            "volumes": {"v1": "mine", "v2": "other"},
        }
        self.stubborn, self.late, self.tried = set(stubborn), list(late), []

    def _list(self, kind, filters):
        [label] = filters["label"]
        wanted = label.partition("=")[2]
        if kind == "containers" and self.late:
            self.things[kind][self.late.pop()] = "mine"
        return [
            {"Id": name, "Name": name, "Names": [f"/{name}"], "Labels": {RUN: run}}
            for name, run in self.things[kind].items()
            if not wanted or run == wanted
        ]

    def containers(self, *, all, filters):  # noqa: A002  the SDK's own word
        return self._list("containers", filters)

    def networks(self, *, filters):
        return [{key: one[key] for key in ("Id", "Name", "Labels")} for one in self._list("networks", filters)]

    def volumes(self, *, filters):
        found = [
            {"Name": one["Name"], "Mountpoint": "/", "Labels": one["Labels"]} for one in self._list("volumes", filters)
        ]
        return {"Volumes": found}

    def _remove(self, kind, name):
        self.tried.append(name)
        if name in self.stubborn:
            raise OSError("in use")
        del self.things[kind][name]

    def remove_container(self, name, *, force, v):
        self._remove("containers", name)

    def remove_network(self, name):
        self._remove("networks", name)

    def remove_volume(self, name, *, force):
        self._remove("volumes", name)


class FakeEngine(Engine):
    """An engine without the SDK."""

    def __init__(self, api):
        super().__init__(api, "unix:///nowhere", "20.10.24")

    @contextmanager
    def asking(self, what):
        try:
            yield self.api
        except OSError as error:
            raise EngineError(f"cannot {what}: {error}") from error


def swept(api, **limits):
    clock = FakeClock()
    return remove_run(
        FakeEngine(api), "mine", limit_s=limits.get("limit_s", 5.0), quiet_s=limits.get("quiet_s", 0.0),
        now_s=lambda: clock.t_ns / 1e9, sleep_s=clock.sleep_s,
    )  # fmt: skip


def test_what_bears_another_label_is_left_alone():
    """Containers, networks and volumes of this run go; those of others are not even tried."""
    api = FakeApi()

    assert (["container c1", "network n1", "volume v1"], []) == swept(api)
    assert {"c1", "n1", "v1"} == set(api.tried)


def test_what_the_engine_made_a_moment_later_goes_too():
    """A container that turns up after the first look is removed as well."""
    api = FakeApi(late=["c9", "c8"])
    removed, left = swept(api, quiet_s=0.5)

    assert {"container c8", "container c9"} <= set(removed)
    assert left == []


def test_what_would_not_go_is_named():
    """After the time limit the names of what is left are told, and nothing is called removed that is there."""
    clock_limited = FakeApi(stubborn=["n1"])
    api = FakeEngine(clock_limited)
    ticks = iter(range(1000))
    removed, left = remove_run(api, "mine", limit_s=5.0, now_s=lambda: float(next(ticks)), sleep_s=lambda _: None)

    assert ["network n1"] == left
    assert "network n1" not in removed


def test_every_run_that_left_something_is_known_by_its_labels():
    """`harness clean` finds a run of which nothing is left but a volume."""
    assert {"mine", "other"} == runs_with_labels(FakeEngine(FakeApi()))


def test_blocks_never_overlap_with_what_is_taken():
    """A block that an interface or another network holds is passed over; the pool has room for a thousand links."""
    [first, second, *_] = blocks = list(islice(_free_blocks([], 0), 1500))

    assert len(set(blocks)) == 1500
    assert second == next(_free_blocks([first], 0))
    assert all(block.subnet_of(POOL) for block in blocks)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("PermissionError(13, 'Permission denied')", "permission denied"),
        ("FileNotFoundError(2, 'No such file or directory')", "no such socket"),
        ("ConnectionRefusedError(111, 'Connection refused')", "connection refused"),
        ("something else", "something else"),
    ],
)
def test_an_engine_that_does_not_answer_is_told_with_a_way_out(said, expected):
    """Each reason has its own sentence, and a command or question that leads on."""
    error = engines._missing("unix:///x", OSError(said))

    assert isinstance(error, EngineMissing)
    assert expected in str(error)
    assert error.hint


@pytest.mark.parametrize(
    ("text", "expected"), [("20.10.24+dfsg1", (20, 10)), ("v5.5.0", (5, 5)), ("2.24.1-desktop", (2, 24)), ("?", (0, 0))]
)
def test_versions_are_compared_by_their_first_two_numbers(text, expected):
    """Distributions and desktops add words of their own."""
    assert expected == numbers(text)


@pytest.mark.parametrize(("code", "expected"), [(137, -9), ("143", -15), (0, 0), (1, 1), (255, 255), (None, None)])
def test_a_containers_exit_code_reads_like_a_process(code, expected):
    """128 and a signal's number is that signal, as everywhere in a journal."""
    assert expected == code_of(code)


@pytest.mark.parametrize(
    ("offset_ns", "doubt_ns", "expected"), [(400, 500, 0), (-400, 500, 0), (900, 500, 900), (-900, 500, -900)]
)
def test_a_clock_within_the_doubt_is_the_same_clock(offset_ns, doubt_ns, expected):
    """Stamps are put back only by an offset that cannot be the question's own duration."""
    assert expected == ClockReading(offset_ns=offset_ns, doubt_ns=doubt_ns).shift_ns


def test_the_engine_of_a_run_stays_in_its_leases_until_it_was_emptied(tmp_path):
    """Whoever cleans up after a killed runner knows which engine to ask; after a run in order nobody need ask."""
    leases = Leases("run", tmp_path)
    lease = leases.lease("containers", "run", "remove them", engine="unix:///e")
    before = leased_engines(tmp_path / FILE_NAME)
    lease.undone()
    after = leased_engines(tmp_path / FILE_NAME)
    leases.close()

    assert (["unix:///e"], []) == (before, after)
