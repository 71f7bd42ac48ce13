"""
What is killed, in which scenario and when: drawn from one seed, every victim and every phase in its share.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

RUNNER, BOTH, WATCHDOG = "runner", "runner and watchdog", "watchdog"
GATE, LOAD, TOXIPROXY = "gate", "load", "toxiproxy"
SUITE, ONE_OF_SUITE = "suite of two", "one runner of two"
SHARES = {RUNNER: 22, BOTH: 18, WATCHDOG: 12, GATE: 12, LOAD: 12, TOXIPROXY: 12, SUITE: 8, ONE_OF_SUITE: 4}
RUNNERS = (RUNNER, BOTH, SUITE)  # who waits for nobody: what is left then has to go by itself
PARTS = (WATCHDOG, GATE, LOAD, TOXIPROXY)  # whose end the runner has to notice

START_UP, STEADY, FAULT, HEALING = "start-up", "load", "fault on", "healing"
TAKE_DOWN, JUDGING = "take-down", "judging"
PHASES = (START_UP, STEADY, FAULT, HEALING, TAKE_DOWN)
SCENARIOS = ("toxic", "http", "kill", "pause", "restart", "together")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One kill. fraction: where inside its phase, from 0 to 1. scenarios: two for those of a suite."""

    number: int
    victim: str
    scenarios: tuple[str, ...]
    phase: str
    fraction: float


def draw(kills: int, seed: int) -> list[Kill]:
    """The kills of a seed, in the order in which they are done; always the same ones."""
    chance = random.Random(seed)
    victims = [victim for victim, count in _counts(kills).items() for _ in range(count)]
    phases = {victim: _endlessly(_phases(victim), chance) for victim in SHARES}
    scenarios = _endlessly(SCENARIOS, chance)
    drawn = [
        Kill(
            number=0, victim=victim, phase=next(phases[victim]), fraction=chance.random(),
            scenarios=tuple(next(scenarios) for _ in range(2 if victim in {SUITE, ONE_OF_SUITE} else 1)),
        )
        for victim in victims
    ]  # fmt: skip
    chance.shuffle(drawn)
    return [replace(kill, number=number) for number, kill in enumerate(drawn, 1)]


def again(kill: Kill, tries: int) -> Kill:
    """The same kill at another instant of its phase, after the run was over sooner than expected."""
    return replace(kill, fraction=kill.fraction * 0.7**tries)


def _phases(victim: str) -> tuple[str, ...]:
    """The phases in which there is such a victim: the parts are gone before the judge sets to work."""
    return (*PHASES, JUDGING) if victim == RUNNER else PHASES


def _counts(kills: int) -> dict[str, int]:
    """How many of each: by its share, each once at least, the largest remainders rounded up."""
    whole = sum(SHARES.values())
    counts = {victim: max(1, kills * share // whole) for victim, share in SHARES.items()}
    by_remainder = sorted(SHARES, key=lambda victim: -(kills * SHARES[victim] % whole))
    for victim in by_remainder * kills:
        if sum(counts.values()) >= kills:
            break
        counts[victim] += 1
    return counts


def _endlessly(of: tuple[str, ...], chance: random.Random) -> Iterator[str]:
    """Each of them once in every round, in an order of its own."""
    while True:
        yield from chance.sample(of, len(of))
