"""The supervisor of the database nodes: whom it makes the primary, in which order, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest

from services.postgres.http_json import NoAnswer
from services.postgres.leadership import Supervisor, choose
from services.postgres.settings import read_supervisor

NODES = "pg0=127.0.0.1:1,pg1=127.0.0.1:2,pg2=127.0.0.1:3"


class FakeReach:
    """Nodes and a switch that do what they are told, and remember it."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.positions = {"pg0": 100, "pg1": 100, "pg2": 90}
        self.gone: set[str] = set()
        self.visible = True  # whether a server can be killed by its pid

    def node(self, node, method, path, body=None, *, limit_s):
        if node in self.gone:
            raise NoAnswer("timed out")
        if path == "/replication":
            return {"role": "replica", "position": self.positions[node]}
        self.said.append((node, path, *(body or {}).values()))
        return {"ended": 1, "position": 90}

    def switch(self, target, *, cut):
        self.said.append(("switch", target, cut))

    def kill(self, state):
        if self.visible:
            self.said.append(("kill", state.get("node")))
        return int(self.visible)


class Time:
    s = 100.0


@pytest.fixture
def time_s() -> Time:
    return Time()


def supervisor(reach: FakeReach, time_s: Time, **values: str) -> Supervisor:
    """One that has seen all nodes at work."""
    settings = read_supervisor({"PRIMARY": "pg0", "NODES": NODES, "SWITCH": "127.0.0.1:9", **values})
    found = Supervisor(settings, reach, lambda: time_s.s)
    look(found)
    found.step()
    reach.said.clear()
    return found


def look(found: Supervisor, **changed: Any) -> None:
    """All nodes answer, each as what it is."""
    for node in found.settings.nodes:
        leads = node == found.primary
        state = {
            "node": node, "writable": leads, "role": "primary" if leads else "replica", "streaming": not leads,
            "leader": found.primary, "at_ns": 0, "asked_ns": 0, "synchronous": "", "replicas": [], **changed,
        }  # fmt: skip
        found.saw(node, state)


def lose_primary(found: Supervisor, reach: FakeReach) -> None:
    reach.gone.add(found.primary)
    for _ in range(found.settings.misses):
        found.missed(found.primary)
    found.step()


def test_a_lost_primary_is_replaced_in_the_one_safe_order(time_s):
    """Nobody is let through, the old one is ended, the others follow, the best is promoted, the switch turns to it."""
    reach = FakeReach()
    found = supervisor(reach, time_s)

    lose_primary(found, reach)

    assert reach.said == [
        ("switch", None, True),
        ("kill", "pg0"),
        ("pg2", "/follow", "pg1"),
        ("pg1", "/promote"),
        ("switch", "pg1", True),
    ]
    assert (found.primary, found.term) == ("pg1", 2)


def test_fewer_misses_than_agreed_change_nothing(time_s):
    """One answer in time makes up for the misses before it."""
    reach = FakeReach()
    found = supervisor(reach, time_s)

    for _ in range(5):
        found.missed("pg0")
        found.missed("pg0")
        look(found)
        found.step()

    assert found.primary == "pg0"
    assert reach.said == []


def test_an_answer_that_was_true_long_ago_is_none(time_s):
    """The agent of a frozen server still answers; what it says is old."""
    reach = FakeReach()
    found = supervisor(reach, time_s)

    for _ in range(3):
        found.saw("pg0", {"writable": True, "at_ns": 0, "asked_ns": 2_000_000_000})

    assert found.seen["pg0"].misses == 3


def test_a_healthy_server_is_never_failed_over(time_s):
    """A thousand looks at a healthy cluster."""
    reach = FakeReach()
    found = supervisor(reach, time_s)

    for _ in range(1000):
        time_s.s += 0.1
        look(found)
        found.step()

    assert reach.said == []


@pytest.mark.parametrize(
    ("choice", "expected"), [("best", "pg2"), ("worst", "pg1"), ("pg1", "pg1"), ("pg9", "pg2")]
)  # fmt: skip
def test_the_replica_that_received_most_is_chosen(choice, expected):
    """Unless a defect is planted; a named one that is not there cannot be chosen."""
    assert expected == choose({"pg1": 5, "pg2": 9}, choice)


def test_without_fencing_the_old_primary_and_its_sessions_live_on(time_s):
    """The defect to plant: nobody is ended and nobody is cut."""
    reach = FakeReach()
    found = supervisor(reach, time_s, FENCING="off")

    lose_primary(found, reach)

    assert ("kill", "pg0") not in reach.said
    assert ("switch", "pg1", False) in reach.said


def test_a_primary_out_of_sight_is_asked_to_end_and_cut_off_by_the_switch(time_s):
    """Its pid means nothing in another container: the switch keeps writers from it."""
    reach = FakeReach()
    reach.visible = False
    found = supervisor(reach, time_s)

    lose_primary(found, reach)

    fenced = [event for event in found.events if event["kind"] == "fenced"]
    assert [event["how"] for event in fenced] == ["by the switch alone"]
    assert reach.said[0] == ("switch", None, True)


def test_who_writes_without_being_the_primary_is_ended_later_too(time_s):
    """A former primary that comes back from a freeze elsewhere."""
    reach = FakeReach()
    found = supervisor(reach, time_s)
    lose_primary(found, reach)
    reach.gone.clear()
    reach.said.clear()

    look(found)
    found.saw("pg0", {"node": "pg0", "writable": True, "at_ns": 0, "asked_ns": 0})
    time_s.s += 1
    found.step()

    assert reach.said == [("kill", "pg0")]


def test_a_follower_that_was_out_of_reach_is_told_later(time_s):
    """Its leader is the old primary still."""
    reach = FakeReach()
    found = supervisor(reach, time_s)
    reach.gone.add("pg2")
    lose_primary(found, reach)
    reach.gone.clear()
    reach.said.clear()

    found.saw("pg2", {"node": "pg2", "role": "replica", "leader": "pg0", "at_ns": 0, "asked_ns": 0})
    time_s.s += 1
    found.step()

    assert reach.said == [("pg2", "/follow", "pg1")]


def test_a_promoted_node_waits_for_the_others_before_it_is_promoted(time_s):
    """Else its first commits would be on one machine alone."""
    reach = FakeReach()
    found = supervisor(reach, time_s, SYNCHRONOUS="on")

    lose_primary(found, reach)

    words = [said[:2] for said in reach.said]
    assert words.index(("pg1", "/synchronous")) < words.index(("pg1", "/promote"))
    assert ("pg1", "/synchronous", "ANY 1 (pg0, pg2)") in reach.said


def test_commits_wait_for_ever_unless_a_policy_says_otherwise(time_s):
    """Both synchronous replicas gone: writes stop, and nothing is relaxed by itself."""
    reach = FakeReach()
    found = supervisor(reach, time_s, SYNCHRONOUS="on")

    for _ in range(100):
        time_s.s += 1
        look(found, synchronous="ANY 1 (pg1, pg2)", replicas=[])
        found.step()

    assert reach.said == []


def test_a_policy_lets_commits_go_on_alone_and_takes_it_back(time_s):
    """After the agreed time without a replica; with the first replica that streams again they wait as before."""
    reach = FakeReach()
    found = supervisor(reach, time_s, SYNCHRONOUS="on", RELAX_AFTER="3s")
    names = "ANY 1 (pg1, pg2)"

    look(found, synchronous=names, replicas=[])
    found.step()
    time_s.s += 2.9
    found.step()
    before = list(reach.said)
    time_s.s += 0.2
    found.step()
    look(found, synchronous="", replicas=[{"name": "pg1", "state": "streaming"}])
    found.step()

    assert before == []
    assert reach.said == [("pg0", "/synchronous", ""), ("pg0", "/synchronous", names)]


def test_a_node_that_asks_while_it_is_being_settled_gets_no_answer(time_s):
    """The old primary must not start writable while another one is being promoted."""
    reach = FakeReach()
    found = supervisor(reach, time_s)
    for _ in range(3):
        found.missed("pg0")

    assert found.role("pg0") is None


def test_a_primary_whose_server_died_alone_may_start_again(time_s):
    """It asks before it is missed; then it is not missed for a while."""
    reach = FakeReach()
    found = supervisor(reach, time_s)
    role = found.role("pg0")

    for _ in range(10):
        found.missed("pg0")
    found.step()

    assert role is not None
    assert role["primary"] == "pg0"
    assert found.primary == "pg0"


def test_the_old_primary_may_come_back_when_nobody_can_take_over(time_s):
    """Better the old data than none; both replicas are gone too."""
    reach = FakeReach()
    found = supervisor(reach, time_s)
    reach.gone |= {"pg1", "pg2"}
    lose_primary(found, reach)

    role = found.role("pg0")

    assert role is not None
    assert role["primary"] == "pg0"


def test_a_planned_switchover_stops_the_old_primary_before_it_promotes(time_s):
    """Everything it wrote is sent on first, so nothing is lost."""
    reach = FakeReach()
    found = supervisor(reach, time_s)

    assert found.switch_over("pg2") is None
    assert [said[:2] for said in reach.said] == [
        ("switch", None), ("pg0", "/demote"), ("pg1", "/follow"), ("pg2", "/promote"), ("switch", "pg2"),
    ]  # fmt: skip


def test_a_switchover_to_nobody_leaves_everything_as_it_is(time_s):
    """A candidate that does not answer is none."""
    reach = FakeReach()
    found = supervisor(reach, time_s)
    reach.gone.add("pg2")

    assert found.switch_over("pg2") is not None
    assert found.primary == "pg0"
    assert reach.said == []


def test_a_switchover_to_a_node_that_lacks_writes_is_given_up(time_s, monkeypatch):
    """The old primary leads on; nothing is lost for somebody's wish."""
    reach = FakeReach()
    found = supervisor(reach, time_s)
    reach.positions["pg2"] = 50
    monkeypatch.setattr(
        "services.postgres.leadership.time.sleep", lambda span_s: setattr(time_s, "s", time_s.s + span_s)
    )

    problem = found.switch_over("pg2")

    assert problem is not None
    assert "received up to 50, 90 was written" in problem
    assert found.primary == "pg0"
    assert reach.said[-1] == ("switch", "pg0", True)


def test_a_former_primary_is_not_ended_for_what_it_said_while_it_led(time_s):
    """After a planned switchover its last answer still says writable; by now it may be a replica."""
    reach = FakeReach()
    found = supervisor(reach, time_s)
    found.switch_over("pg2")
    reach.said.clear()

    time_s.s += 1
    found.step()

    assert [said for said in reach.said if said[0] == "kill" or "/fence" in said] == []
