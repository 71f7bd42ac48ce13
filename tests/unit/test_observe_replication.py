"""The observer of database nodes: a probe a look, an event a change, silence told once."""

from __future__ import annotations

import json

from harness.observe.http_json import NoAnswer
from harness.observe.replication import ReplicationObserver

STATE = {"role": "replica", "writable": False, "timeline": 1, "streaming": True, "at_ns": 5, "leader": "pg0"}


class FakeClock:
    t_ns = 1000

    def now_ns(self):
        return self.t_ns


class FakeClient:
    """Answers with what stands next in line; an exception is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def get(self, path):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def seen_after(*answers):
    events, rows = [], []
    observer = ReplicationObserver(
        "pg1", ("127.0.0.1", 1), "/replication",
        add=lambda table, values: rows.append(values), emit=lambda kind, s, data: events.append((kind, data)),
        clock=FakeClock(),
    )  # fmt: skip
    observer._client = FakeClient(*answers)
    for _ in answers:
        observer._look()
    return events, rows


def test_every_change_is_an_event_and_the_same_again_is_none():
    """A promotion: another role, writable, another timeline."""
    promoted = {**STATE, "role": "primary", "writable": True, "timeline": 2, "streaming": False, "at_ns": 9}

    events, _ = seen_after(STATE, STATE, promoted)

    changes = [(kind.partition(".")[2], data["from"], data["to"]) for kind, data in events if data["from"] is not None]
    assert changes == [
        ("role", "replica", "primary"), ("writable", False, True), ("timeline", 1, 2), ("streaming", True, False),
    ]  # fmt: skip


def test_a_look_counts_at_the_instant_the_node_says_it_was_true():
    """A node that was frozen answers with what it knew before."""
    _, rows = seen_after(STATE)

    assert rows[0][:4] == (5, "replication", "pg1", 1)
    assert json.loads(rows[0][4])["role"] == "replica"


def test_silence_is_told_once_and_its_end_too():
    """Every failed look is a probe; the events say when it began and how long it was."""
    events, rows = seen_after(NoAnswer("refused"), NoAnswer("refused"), STATE)

    assert [kind for kind, _ in events[:2]] == ["replication.silent", "replication.answers"]
    assert [row[3] for row in rows] == [0, 0, 1]
