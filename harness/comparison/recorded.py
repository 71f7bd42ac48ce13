"""
One recorded run against one other: what may be said of a change without running anything again, which is little.

43 % of pairs of identical, valid runs differed by more than 20 % in some p50 or p95 on a shared machine, and none by a
factor of three: below that, one run each cannot tell a change from noise, and says so.
"""

from __future__ import annotations

from harness.comparison.looks import shown_value
from harness.comparison.rules import AVAILABILITY, LATENESS_UNKNOWN, Compared, late, value_of
from harness.slis import Row, Sli
from harness.statistics import binomial_tail
from harness.verdict import Verdict

GROSS = 3.0
GROSS_MS = 20.0
GROSS_SHARE = 0.02
GROSS_CHANCE = 0.001
_LEAST, _LEAST_AVAILABILITY = 100, 200


def one_against_one(old: Row, new: Row) -> Compared:
    """FAIL when an SLI is grossly worse, INCONCLUSIVE otherwise: a single run each never shows that nothing changed."""
    if old.scenario != new.scenario:
        return _said(new, f"{old.scenario} and {new.scenario} are different scenarios")
    for which, row in (("the old", old), ("the new", new)):
        if (why := late(row)) is not None:
            return _said(new, f"{which} run may not be compared: {why}")
    gross = [
        text for of in sorted(old.slis.keys() & new.slis.keys()) for text in _gross(of, old.slis[of], new.slis[of])
    ]
    if gross:
        return Compared(scenario=new.scenario, verdict=Verdict.FAIL, pairs=1, sentence="; ".join(gross))
    return _said(
        new,
        f"one run each: changes below x{GROSS:g} cannot be told from noise here; `harness compare` of the two versions"
        " can (7 pairs and more)",
        notes=tuple(_unknown(old, new)),
    )


def _said(new: Row, sentence: str, notes: tuple[str, ...] = ()) -> Compared:
    return Compared(scenario=new.scenario, verdict=Verdict.INCONCLUSIVE, pairs=1, sentence=sentence, notes=notes)


def _gross(of: str, old: Sli, new: Sli) -> list[str]:
    found = []
    for sli in ("p50", "p95"):
        before, after = value_of(old, sli), value_of(new, sli)
        enough = min(old.good, new.good) >= _LEAST
        if before and after and enough and after >= GROSS * before and after - before >= GROSS_MS:
            values = f"{shown_value(sli, before)} -> {shown_value(sli, after)}"
            found.append(f"{sli} of {of}: x{after / before:.1f}, {values}, one run each")
    before_bad, after_bad = old.bad_share, new.bad_share
    if before_bad is None or after_bad is None or min(old.requests, new.requests) < _LEAST_AVAILABILITY:
        return found
    least = max(before_bad, 1 / old.requests)  # none bad in one run is no proof of none ever
    if after_bad - before_bad >= GROSS_SHARE and binomial_tail(new.bad, new.requests, least) <= GROSS_CHANCE:
        values = f"{shown_value(AVAILABILITY, 1 - before_bad)} -> {shown_value(AVAILABILITY, 1 - after_bad)}"
        found.append(f"availability of {of}: {100 * (before_bad - after_bad):+.1f} points, {values}, one run each")
    return found


def _unknown(old: Row, new: Row) -> list[str]:
    """What else keeps the two apart, for whoever reads the figures beside each other."""
    found = [
        f"{what} differs: {before} and {after}"
        for what, before, after in (
            ("the machine", dict(old.machine), dict(new.machine)),
            ("the harness's version", old.harness, new.harness),
            ("the seed", old.seed, new.seed),
        )
        if before != after
    ]
    if old.schedule_error_p99_ms is None or new.schedule_error_p99_ms is None:
        found.append(LATENESS_UNKNOWN)
    return found
