"""
Which run comes next: old and new in the order A B B A, invalid pairs again, a look after 7, 10, 16 and 24 pairs.

Old runs first and new runs afterwards gave 8 to 10 % false alarms on a real machine, alternating ones 1 in 270. Who
runs them is handed in, so that the same order serves real runs, recorded ones and tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from harness.comparison.looks import look
from harness.comparison.rules import Compared, Rules, late
from harness.slis import Row
from harness.statistics.permutation import fisher_more
from harness.verdict import Verdict

MOST_EXTRA = 0.5  # pairs run again, as a share of the pairs wanted
_FISHER = 0.01
OLD, NEW = 0, 1

RunOne = Callable[[int, str, int], Row]
"""Run one side (OLD or NEW) of a scenario with the seed of its pair: the row of that run."""


@dataclass(slots=True)
class _Scenario:
    """One scenario on its way through the looks."""

    name: str
    pairs: list[tuple[Row, Row]] = field(default_factory=list)
    invalid: list[tuple[int, str]] = field(default_factory=list)  # (side, why)
    attempts: list[int] = field(default_factory=lambda: [0, 0])
    again: int = 0
    ended: Compared | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How far a comparison is: for who shows it."""

    pair: int  # the pair being run, from 1
    next_look: int
    most_pairs: int
    open: tuple[str, ...]
    runs_done: int
    runs_left_at_most: int


class Alternation:
    """A comparison of two versions over some scenarios. `run` goes on until each has its answer."""

    def __init__(
        self,
        scenarios: Sequence[str],
        rules: Rules,
        run_one: RunOne,
        *,
        tell: Callable[[State], None] = lambda _: None,
        out_of_time: Callable[[], bool] = lambda: False,
        first_seed: int = 1,
    ) -> None:
        self._all = [_Scenario(name) for name in scenarios]
        self._rules, self._run_one, self._tell, self._out_of_time = rules, run_one, tell, out_of_time
        self._first_seed = first_seed
        self._runs = 0

    def run(self) -> list[Compared]:
        """Every scenario's answer, in the order they were given."""
        looks = dict(self._rules.looks)
        for number in range(1, self._rules.most_pairs + 1):
            for scenario in self._open():
                self._one_pair(scenario, number)
            if number in looks and self._open():
                self._look(looks[number], last=number == self._rules.most_pairs)
            if not self._open():
                break
        return [self._told(scenario) for scenario in self._all]

    @property
    def rows(self) -> dict[str, list[tuple[Row, Row]]]:
        """The valid pairs so far (old, new), by scenario."""
        return {scenario.name: list(scenario.pairs) for scenario in self._all}

    def _open(self) -> list[_Scenario]:
        return [scenario for scenario in self._all if scenario.ended is None]

    def _look(self, p_limit: float, *, last: bool) -> None:
        found = look({s.name: s.pairs for s in self._open()}, self._rules, p_limit, last=last)
        for scenario in self._open():
            answer = found[scenario.name]
            if last or answer.verdict is not Verdict.INCONCLUSIVE:
                scenario.ended = answer

    def _one_pair(self, scenario: _Scenario, number: int) -> None:
        """Run a pair until both of it may be compared; a pair is repeated as a whole."""
        allowed = math.ceil(MOST_EXTRA * self._rules.most_pairs)
        while scenario.ended is None:
            if self._out_of_time():
                scenario.ended = self._stopped(scenario, "the time it was given is over")
                return
            self._tell(self._state(number))
            pair = self._pair(scenario, number)
            if pair is not None:
                scenario.pairs.append(pair)
                return
            if scenario.again >= allowed:
                scenario.ended = self._stopped(scenario, f"{scenario.again + 1} pairs held a run that says nothing")
                return
            scenario.again += 1

    def _pair(self, scenario: _Scenario, number: int) -> tuple[Row, Row] | None:
        """Both runs of a pair, in the order A B, B A, A B ...; None when one of them may not be compared."""
        rows: dict[int, Row] = {}
        for side in (OLD, NEW) if number % 2 else (NEW, OLD):
            row = self._run_one(side, scenario.name, self._first_seed + number - 1)
            self._runs += 1
            scenario.attempts[side] += 1
            if (why := late(row)) is not None:
                scenario.invalid.append((side, why))
                return None  # the other one would be thrown away with it
            rows[side] = row
        return rows[OLD], rows[NEW]

    def _stopped(self, scenario: _Scenario, why: str) -> Compared:
        last = f": {scenario.invalid[-1][1]}" if scenario.invalid else ""
        return Compared(
            scenario=scenario.name, verdict=Verdict.INCONCLUSIVE, pairs=len(scenario.pairs),
            sentence=f"not compared: after {len(scenario.pairs)} pairs {why}{last}",
        )  # fmt: skip

    def _told(self, scenario: _Scenario) -> Compared:
        assert scenario.ended is not None, "the last look ends every scenario"
        return replace(scenario.ended, notes=(*scenario.ended.notes, *self._invalidity(scenario)))

    def _invalidity(self, scenario: _Scenario) -> list[str]:
        """How many runs were thrown away; and a warning when most of them are the new version's."""
        bad = [sum(side == which for side, _ in scenario.invalid) for which in (OLD, NEW)]
        if not any(bad):
            return []
        old, new = scenario.attempts
        notes = [f"thrown away as invalid: {bad[OLD]} of {old} old runs, {bad[NEW]} of {new} new ones"]
        if old and new and bad[NEW] and fisher_more(bad[NEW], new, bad[OLD], old) <= _FISHER:
            notes.append(
                "the new version's runs are invalid more often than chance explains: it may saturate the machine,"
                " and leaving those runs out would hide that"
            )
        return notes

    def _state(self, number: int) -> State:
        open_ = self._open()
        left = self._rules.most_pairs - number + 1
        following = next(pairs for pairs, _ in self._rules.looks if pairs >= number)
        return State(
            pair=number, next_look=following, most_pairs=self._rules.most_pairs, open=tuple(s.name for s in open_),
            runs_done=self._runs, runs_left_at_most=2 * left * len(open_),
        )  # fmt: skip
