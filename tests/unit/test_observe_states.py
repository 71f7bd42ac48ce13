"""What balancers and caches tell of their nodes becomes events and probes."""

from __future__ import annotations

import json

from harness.clock import SystemClock
from harness.observe.http_json import NoAnswer
from harness.observe.states import StatesObserver
from harness.system.model import StatePlace


class Teller:
    """Answers with one thing after another; an exception is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def get(self, path):
        assert path == "/state"
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self):
        pass


def answer(state, *changes):
    told = [{"t_ns": t, "node": "order-1", "from": a, "to": b, "pool": "order"} for t, a, b in changes]
    return {"nodes": {"order-1": {"state": state, "pool": "order"}}, "changes": told}


def observed(*answers, of="instances"):
    """Events and probes after a look at each answer."""
    events, probes = [], []
    observer = StatesObserver(
        "haproxy", StatePlace(of=of, path="/state"), ("127.0.0.1", 1),
        add=lambda table, row: probes.append((table, *row[1:])),
        emit=lambda kind, subject, data: events.append((kind, subject, data)), clock=SystemClock(),
    )  # fmt: skip
    observer._client = Teller(*answers)
    for _ in answers:
        observer.look()
    return events, probes


def test_each_change_is_one_event_with_its_own_stamp():
    """A change stays in the answers for a while; it is told once, with the stamp of whoever saw it."""
    down = (70, "up", "down")
    events, _ = observed(
        answer("up"), answer("down", down), answer("down", down), answer("up", down, (90, "down", "up"))
    )

    assert [("instance.down", "order-1", 70), ("instance.up", "order-1", 90)] == [
        (kind, subject, data["at_ns"]) for kind, subject, data in events
    ]
    assert {"haproxy"} == {data["by"] for _, _, data in events}


def test_a_change_that_the_teller_forgot_is_told_as_unseen():
    """A balancer that was started anew has no list of changes; what was down and is up has changed all the same."""
    events, _ = observed(answer("up"), answer("down", (70, "up", "down")), NoAnswer("gone"), answer("up"))

    assert [("instance.down", False), ("instance.up", True)] == [
        (kind, bool(data.get("unseen"))) for kind, _, data in events
    ]


def test_silence_is_written_down():
    """No answer, and an answer that cannot be understood, are failed looks."""
    _, probes = observed(answer("up"), NoAnswer("refused"), {"nodes": []}, {})

    assert [1, 0, 0, 0] == [ok for _, _, _, ok, _ in probes]
    assert ("probes", "instances", "haproxy") == probes[0][:3]
    assert json.loads(probes[0][4])["nodes"]["order-1"]["state"] == "up"


def test_roles_have_events_of_their_own():
    """A Redis that becomes the primary is told as such."""
    events, _ = observed(answer("replica"), answer("primary", (70, "replica", "primary")), of="redis")

    assert ["redis.primary"] == [kind for kind, _, _ in events]
