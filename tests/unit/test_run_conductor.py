"""The conductor does things in the order of the plan."""

from __future__ import annotations

from types import SimpleNamespace

from harness.plan import Phase
from harness.run.conductor import instants


def planned(name: str, start_s: float, end_s: float | None, undoable: bool = True) -> SimpleNamespace:
    return SimpleNamespace(name=name, start_s=start_s, end_s=end_s, fault=SimpleNamespace(undoable=undoable))


def test_at_one_instant_what_ends_comes_before_what_begins():
    """A phase ends and a fault heals before the next phase starts and the next fault is injected."""
    plan = SimpleNamespace(
        phases=(
            Phase(name="a", kind="fault", start_s=0, end_s=2),
            Phase(name="b", kind="fault", start_s=2, end_s=4),
        ),
        faults=(planned("a", 0, 2), planned("b", 2, 4)),
    )

    at_two = [(i.what, i.name) for i in instants(plan) if i.at_s == 2]

    assert [("phase.ended", "a"), ("heal", "a"), ("phase.started", "b"), ("inject", "b")] == at_two


def test_what_cannot_be_undone_is_not_healed():
    """A restart has nothing to heal, and neither has a fault that stays until the end."""
    plan = SimpleNamespace(phases=(), faults=(planned("restart", 1, 1, undoable=False), planned("dead", 2, None)))

    assert ["inject", "inject"] == [i.what for i in instants(plan)]
