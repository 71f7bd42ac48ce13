"""
A stored baseline: executions of a version that cannot be run again, and the rule for a new execution against them.

One execution is the runs of one CI job. Jobs differ among themselves by more than their runs do, so the job is the
unit: at least five of them, and whatever looks worse has to be seen in a second execution before it is called so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median, stdev, variance
from typing import Any

from harness.comparison.looks import pairs_needed, shown_change
from harness.comparison.rules import AVAILABILITY, Compared, Rules, late, scaled, shared_slis, value_of
from harness.errors import InputError
from harness.slis import Row
from harness.statistics import t_quantile
from harness.units import show_share
from harness.verdict import Verdict

FORMAT = 1
LEAST_EXECUTIONS = 5
_ERROR = 0.01
_PRIOR_DEGREES = 4  # how much the scatter of all SLIs says of the scatter of one

Execution = Sequence[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """Executions by scenario, oldest first."""

    executions: Mapping[str, tuple[tuple[Row, ...], ...]] = field(default_factory=dict)

    def with_rows(self, rows: Sequence[Row]) -> Bank:
        """This and one further execution. Rows of one run are kept once."""
        known = {row.run for own in self.executions.values() for one in own for row in one}
        fresh: dict[str, list[Row]] = {}
        for row in rows:
            if row.run not in known:
                fresh.setdefault(row.scenario, []).append(row)
        merged = dict(self.executions)
        for scenario, own in fresh.items():
            merged[scenario] = (*merged.get(scenario, ()), tuple(own))
        return Bank(executions=merged)


def read_bank(file: Path) -> Bank:
    """A baseline that was written. Raises InputError."""
    try:
        found = json.loads(file.read_text("utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']!r}, this version reads {FORMAT}")
        return Bank(
            executions={
                str(name): tuple(tuple(Row.from_json(row) for row in one) for one in own)
                for name, own in found["scenarios"].items()
            }
        )
    except OSError as error:
        raise InputError(
            f"{file}: cannot be read: {error.strerror}", hint="`harness baseline save FILE RUNS...` makes one"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        first = str(error).splitlines()[0] if str(error) else ""
        raise InputError(f"{file}:{line}: not a baseline: {type(error).__name__}: {first}") from error


def bank_text(bank: Bank) -> str:
    """The text of a baseline file."""
    scenarios = {name: [[row.to_json() for row in one] for one in own] for name, own in bank.executions.items()}
    return json.dumps({"format": FORMAT, "scenarios": scenarios}, indent=1) + "\n"


# -- the rule --------------------------------------------------------------------------------------------------


def against_bank(bank: Bank, scenario: str, executions: Sequence[Execution], rules: Rules) -> Compared:
    """
    A new execution against the bank, and the one that confirms it. FAIL when both show the same SLI worse, by
    significance and size; PASS is never said, for +20 % is seen in at most a fifth of the cases.
    """
    stored = bank.executions.get(scenario, ())
    if (why := _hindrance(scenario, stored, executions)) is not None:
        return _inconclusive(scenario, why)
    valid = [[row for row in one if late(row) is None] for one in (*stored, *executions)]
    if not all(valid):
        return _inconclusive(scenario, "an execution has no run that may be compared: the machine was too busy")
    columns, notes = shared_slis([row for one in valid for row in one])
    if not columns:
        return _inconclusive(scenario, "no SLI has enough requests in every run to be compared")
    suspects = [_suspects(columns, valid[: len(stored)], one, rules) for one in valid[len(stored) :]]
    confirmed = {key: text for key, text in suspects[0].items() if all(key in others for others in suspects[1:])}
    size = len(stored)
    if suspects[0] and len(suspects) == 1:
        sentence = f"{'; '.join(suspects[0].values())}: seen once, against {size} executions; run it a second time"
        return _inconclusive(scenario, sentence, notes)
    if confirmed:
        sentence = f"{'; '.join(confirmed.values())}, confirmed by a second execution, against {size} executions"
        return Compared(scenario=scenario, verdict=Verdict.FAIL, pairs=0, sentence=sentence, notes=tuple(notes))
    return _inconclusive(
        scenario,
        f"nothing is worse beyond the scatter of {size} stored executions; they would show x2, hardly +20 %:"
        " `harness compare` of the two versions sees more",
        notes,
    )


def _inconclusive(scenario: str, sentence: str, notes: Sequence[str] = ()) -> Compared:
    return Compared(
        scenario=scenario, verdict=Verdict.INCONCLUSIVE, pairs=0, sentence=sentence, notes=tuple(notes)
    )  # fmt: skip


def _hindrance(scenario: str, stored: Sequence[Execution], executions: Sequence[Execution]) -> str | None:
    """Why nothing can be said; None when something can."""
    if len(stored) < LEAST_EXECUTIONS:
        return f"the baseline holds {len(stored)} executions of {scenario}, {LEAST_EXECUTIONS} needed"
    if not executions or not all(executions):
        return f"there is no run of {scenario} to compare"
    places = {(str(dict(row.machine)), row.harness) for one in (*stored, *executions) for row in one}
    if len(places) > 1:
        return "the runs are of different machines or versions of the harness: " + " and ".join(
            sorted(f"{machine}, harness {version}" for machine, version in places)
        )
    return None


def _suspects(
    columns: Sequence[tuple[str, str]], stored: Sequence[Execution], new: Execution, rules: Rules
) -> dict[tuple[str, str], str]:
    """SLIs of one execution that are worse than the stored ones, by significance and size."""
    count = len(stored)
    values = {key: [_value(one, *key) for one in stored] for key in columns}
    usual = median(variance(own) for own in values.values())
    chance = 1 - (1 - _ERROR) ** (1 / len(columns))  # Sidak
    found = {}
    for key, own in values.items():
        spread = (_PRIOR_DEGREES * usual + (count - 1) * variance(own)) / (count + _PRIOR_DEGREES - 1)
        value = _value(new, *key)
        t = (value - fmean(own)) / (math.sqrt(spread * (1 + 1 / count)) or 1e-12)
        shift = _shift(key[1], fmean(own), value)
        large = shift >= (rules.size_share if key[1] == AVAILABILITY else rules.size)
        if large and t > t_quantile(1 - chance, count + _PRIOR_DEGREES - 1):
            found[key] = f"{key[1]} of {key[0]}: {shown_change(key[1], shift)}"
    return found


def _value(execution: Execution, of: str, sli: str) -> float:
    """One execution's value: the median of its runs, on the scale on which noise is even."""
    found = [value_of(row.slis[of], sli) for row in execution]
    return median(scaled(sli, value) for value in found if value is not None)


def _shift(sli: str, old: float, new: float) -> float:
    if sli == AVAILABILITY:
        return math.sin(new) ** 2 - math.sin(old) ** 2
    return math.expm1(new - old)


# -- what a bank is worth --------------------------------------------------------------------------------------


def noise_of(executions: Sequence[Execution]) -> dict[str, float]:
    """Standard deviation of log p95 between the runs of one execution, by request name; medians over executions."""
    found: dict[str, list[float]] = {}
    for one in executions:
        valid = [row for row in one if late(row) is None]
        for of in sorted({name for row in valid for name in row.slis}):
            values = [value_of(row.slis[of], "p95") for row in valid if of in row.slis]
            logs = [math.log(value) for value in values if value]
            if len(logs) >= 2:
                found.setdefault(of, []).append(stdev(logs))
    return {of: median(own) for of, own in found.items()}


def worth(scenario: str, executions: Sequence[Execution]) -> dict[str, Any]:
    """What a baseline of one scenario holds, and how many pairs a comparison at its noise would need."""
    noise = noise_of(executions)
    return {
        "scenario": scenario,
        "executions": len(executions),
        "runs": sum(len(one) for one in executions),
        "valid": sum(late(row) is None for one in executions for row in one),
        "noise": {of: round(value, 4) for of, value in noise.items()},
        "pairs_for_20_percent": {of: pairs_needed(value) for of, value in noise.items()},
    }


def worth_text(found: Mapping[str, Any]) -> str:
    """The same in a line or two."""
    head = f"{found['scenario']}: {found['executions']} executions ({LEAST_EXECUTIONS} needed)"
    lines = [f"{head}, {found['runs']} runs, {found['valid']} of them valid"]
    for of, noise in found["noise"].items():
        pairs = found["pairs_for_20_percent"][of]
        need = f"{pairs} pairs" if pairs is not None else "more than 48 pairs"
        lines.append(f"  p95 of {of}: noise between runs {show_share(noise)}; +20 % would be seen by {need}")
    return "\n".join(lines)
