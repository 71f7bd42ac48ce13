"""What a launcher keeps of its program's state."""

from __future__ import annotations

from services.launcher.environment import address, loopback, span_ms
from services.launcher.publisher import Watch


class Program:
    """States handed out one look after another; an exception is raised."""

    def __init__(self, *states):
        self.states = list(states)

    def __call__(self):
        state = self.states.pop(0)
        if isinstance(state, Exception):
            raise state
        return {"order-1": {"state": state}}


def looked(*states):
    times = iter(range(10, 100, 10))
    watch = Watch(Program(*states), now_ns=lambda: next(times))
    for _ in states:
        watch.look()
    return watch.shown()


def test_a_change_is_kept_with_its_instant():
    """A state seen for the first time is no change; another one than before is."""
    status, told = looked("up", "up", "down", "up")

    assert status == 200
    assert [(30, "up", "down"), (40, "down", "up")] == [(c["t_ns"], c["from"], c["to"]) for c in told["changes"]]
    assert told["nodes"] == {"order-1": {"state": "up"}}


def test_a_state_that_cannot_be_read_is_no_state():
    """While the program does not answer, nobody is told its last state as if it were true."""
    status, told = looked("up", OSError("refused"))

    assert status == 503
    assert "refused" in told["error"]


def test_a_change_across_a_silence_is_still_a_change():
    """What was up before the silence and is down after it has changed."""
    status, told = looked("up", OSError("refused"), "down")

    assert status == 200
    assert [("up", "down")] == [(change["from"], change["to"]) for change in told["changes"]]


def test_values_are_read_as_people_write_them():
    """Addresses with or without a scheme, spans with their unit, and a loopback address where there is none."""
    assert address("redis://127.77.1.4:6379") == address("127.77.1.4:6379") == ("127.77.1.4", 6379)
    assert (250, 2000) == (span_ms("250ms"), span_ms("2s"))
    assert ("127.77.1.4", "127.0.0.1") == (loopback("127.77.1.4"), loopback("0.0.0.0"))
