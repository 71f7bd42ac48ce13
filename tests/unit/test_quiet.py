"""Waiting for a quiet machine."""

from __future__ import annotations

import pytest

from harness.run import quiet


def test_a_dry_run_says_by_how_much_the_process_wakes_late_at_p99() -> None:
    clock = iter(x for lap in range(100) for x in (lap, lap + 0.010 + (0.030 if lap < 2 else 0.001)))
    assert quiet.oversleep_p99_s(sleep=lambda _: None, now=lambda: next(clock)) == pytest.approx(0.030)


def test_it_waits_while_the_machine_wakes_late_and_says_so() -> None:
    said: list[str] = []
    measured = iter([0.030, 0.012, 0.001])
    assert quiet.wait_until_quiet(said.append, measure=lambda: next(measured))
    assert said == [
        "waiting for a quiet machine: it wakes 30 ms late (quiet: 5 ms)",
        "waiting for a quiet machine: it wakes 12 ms late (quiet: 5 ms)",
    ]


def test_it_gives_up_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 30.0, 61.0])
    monkeypatch.setattr(quiet.time, "monotonic", lambda: next(clock))
    assert not quiet.wait_until_quiet(lambda _: None, measure=lambda: 0.1)
