"""
Whether the load's own account is true: each request that it reports against what crossed the entry links.

The load is a program like any other: it may go past the gate, retry by itself, send less than it was told, ask for one
thing only, or carry a clock of its own. The gate wrote down what really came. What differs is a clause of the load's
receipt. A person's own locustfile may follow redirects and send what it likes, so only its schedule is judged.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.clock import NS_PER_MS, NS_PER_S
from harness.receipts.base import Record
from harness.scenario.model import Load, RateSegment
from harness.system.model import Profile, RequestTemplate
from harness.units import show_duration, show_share
from harness.words import LOAD_CLIENT

BEFORE_NS = NS_PER_MS  # the gate and the load read the same clock, so nothing arrives before it was sent
LATEST_FIRST_NS = 20 * NS_PER_MS  # the quickest of many requests is at the gate by then, on any machine
LEAST_REQUESTS = 30
COUNT_SHARE = 0.05  # how far the number of arrivals may lie from the declared curve
DEVIATIONS = 5.0  # of a count that is drawn by chance
MOST_TRACES = 50_000  # compared one by one; of more, those whose trace ends in certain digits
MOST_PATHS = 500  # looked at of one kind of request
_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(slots=True)
class _Crossings:
    """What the gate saw of the load's requests."""

    times: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[int, int]] = field(default_factory=dict)  # trace -> arrived, status (0: not answered)


@dataclass(slots=True)
class _Sent:
    """What the load says it sent: trace, start, status."""

    rows: list[tuple[str, int, int]]
    traces: set[str]


def entry_doubts(record: Record) -> list[str]:
    """What speaks against the load's account, each as a clause; empty when it agrees with the wire."""
    load, plan = record.scenario.load, record.reader.facts.get("plan")
    if not record.events_of("load.ended") or load.locustfile is not None:
        return []
    found = list(_against_plan(record, load)) if not plan or "load" in plan else []
    links = [link.name for link in record.system.links if link.client == LOAD_CLIENT and link.protocol != "raw"]
    suffix = _suffix(record)
    sent = _sent(record, suffix)
    if not links or not sent.rows:
        return found
    crossed = _crossings(record, links, suffix)
    return [*found, *_against_wire(sent, crossed, " and ".join(links)), *_clocks(sent, crossed)]


# -- against the wire ------------------------------------------------------------------------------------------


def _suffix(record: Record) -> str:
    """The last digits of the traces that are compared, as SQL's LIKE: of a long run a sixteenth, or less."""
    total = sum(len(columns) for columns in record.requests.values())
    return "%" + "7" * max(0, math.ceil(math.log(max(1, total) / MOST_TRACES, 16)))


def _sent(record: Record, suffix: str) -> _Sent:
    sql = "SELECT trace, start_ns, status FROM requests WHERE start_ns IS NOT NULL AND trace LIKE ?"
    rows: list[tuple[str, int, int]] = [row for batch in record.reader.batches(sql, (suffix,)) for row in batch]
    return _Sent(rows, {trace for trace, _, _ in rows})


def _crossings(record: Record, links: Sequence[str], suffix: str) -> _Crossings:
    marks = ", ".join("?" * len(links))
    sql = f"""
        SELECT trace, arrived_ns, CASE ending WHEN 'answered' THEN status ELSE 0 END
        FROM wire WHERE link IN ({marks}) AND trace LIKE ?
    """  # noqa: S608  # only question marks are put in
    found = _Crossings()
    for batch in record.reader.batches(sql, (*links, suffix)):
        found.times.update(trace for trace, _, _ in batch)
        for trace, arrived_ns, status in batch:
            found.first.setdefault(trace, (arrived_ns, status))
    return found


def _against_wire(sent: _Sent, crossed: _Crossings, links: str) -> Iterator[str]:
    if doubled := len(sent.rows) - len(sent.traces):
        yield f"{doubled} requests are in the journal more than once"
    answered = [(trace, status) for trace, _, status in sent.rows if status]
    if past := sum(trace not in crossed.first for trace, _ in answered):
        yield (
            f"{past} of {len(answered)} answered requests never crossed {links}: the load went past the gate,"
            " or the wire is another run's"
        )
    if often := sum(count > 1 for trace, count in crossed.times.items() if trace in sent.traces):
        yield f"{often} requests crossed {links} more than once: the client retries by itself, or rows are doubled"
    if strangers := sum(trace not in sent.traces for trace in crossed.times):
        yield f"{strangers} requests that crossed {links} are none that the load reports"
    told = [(status, crossed.first[trace][1]) for trace, status in answered if trace in crossed.first]
    if other := sum(bool(seen) and seen != said for said, seen in told):
        yield f"{other} requests are reported with another status than the wire carried"


def _clocks(sent: _Sent, crossed: _Crossings) -> Iterator[str]:
    """Load and gate stamp by one clock: a request arrives after it was sent, the quickest of many at once."""
    lags = [crossed.first[trace][0] - start_ns for trace, start_ns, _ in sent.rows if trace in crossed.first]
    if early := sum(lag < -BEFORE_NS for lag in lags):
        by = show_duration(-min(lags) / NS_PER_S)
        yield f"{early} requests were at the gate before the load sent them, by up to {by}: their clocks differ"
    elif len(lags) >= LEAST_REQUESTS and min(lags) > LATEST_FIRST_NS:
        by = show_duration(min(lags) / NS_PER_S)
        yield f"none of {len(lags)} requests was at the gate within {by} of being sent: the load's clock is another"


# -- against the plan ------------------------------------------------------------------------------------------


def _against_plan(record: Record, load: Load) -> Iterator[str]:
    if load.arrivals is not None:
        yield from _arrivals(record, load)
    profile = _profile(record, load)
    if profile is not None:
        yield from _mix(record, profile)
        yield from _paths(record, profile)


def _arrivals(record: Record, load: Load) -> Iterator[str]:
    """The number of arrivals against the area under the declared curve."""
    declared = area(load.arrivals or (), _duration_s(record))
    meant = sum(len(columns) for columns in record.requests.values())
    slack = 2 + COUNT_SHARE * declared + (DEVIATIONS * math.sqrt(declared) if load.pattern == "poisson" else 0)
    if abs(meant - declared) > slack:
        yield f"the load meant {meant} requests, {declared:.0f} declared"


def _duration_s(record: Record) -> float:
    """How long arrivals were to come: as planned, or of a run without a plan to the end of its last phase."""
    planned = (record.reader.facts.get("plan") or {}).get("duration_s")
    if planned is not None:
        return float(planned)
    last_ns = max((end for _, end in record.phases.values()), default=record.arrivals_end_ns)
    return max(0.0, record.second(last_ns))


def area(segments: Sequence[RateSegment], duration_s: float) -> float:
    """How many arrivals a curve of rates declares in its first duration_s seconds."""
    total, left_s = 0.0, duration_s
    for segment in segments:
        low = segment.rate_per_s if segment.rate_per_s is not None else segment.from_per_s or 0.0
        high = segment.rate_per_s if segment.rate_per_s is not None else segment.to_per_s or 0.0
        length_s = left_s if segment.for_s is None else min(segment.for_s, left_s)
        share = length_s / segment.for_s if segment.for_s else 1.0
        total += (low + (low + (high - low) * share)) / 2 * length_s
        left_s -= length_s
    return total


def _profile(record: Record, load: Load) -> Profile | None:
    profiles = record.system.profiles
    if load.profile is not None:
        return profiles.get(load.profile)
    return next(iter(profiles.values())) if len(profiles) == 1 else None


def _mix(record: Record, profile: Profile) -> Iterator[str]:
    """Each kind of request as often as its weight says, give or take what chance does."""
    counts = {name: len(columns) for name, columns in record.requests.items()}
    total, weights = sum(counts.values()), sum(request.weight for request in profile.requests)
    for request in profile.requests if weights > 0 else ():
        share, seen = request.weight / weights, counts.get(request.name, 0)
        if abs(seen - total * share) > 2 + DEVIATIONS * math.sqrt(total * share * (1 - share)):
            yield f"{seen} of {total} requests were {request.name}, {show_share(share)} declared"


def _paths(record: Record, profile: Profile) -> Iterator[str]:
    """A path with data in it is asked for with many values, not with one that every cache holds."""
    for request in profile.requests:
        values = _values(request, profile)
        if values < 2:
            continue
        seen, different = _asked(record, request)
        expected = values * (1 - (1 - 1 / values) ** seen)
        if seen >= LEAST_REQUESTS and different < expected / 3:
            yield f"{seen} requests {request.name} asked for {different} different paths, about {expected:.0f} declared"


def _values(request: RequestTemplate, profile: Profile) -> float:
    """How many different paths the data allow; unique ones are as many as one asks for."""
    total = 1.0
    for name in set(_FIELD.findall(request.path)):
        rule: dict[str, Any] = profile.data.get(name, {})
        if "integer" in rule:
            total *= max(1, int(rule["integer"][1]) - int(rule["integer"][0]) + 1)
        elif "choice" in rule:
            total *= max(1, len({str(value) for value in rule["choice"]}))
        elif "unique" in rule:
            total *= 1e9
    return total


def _asked(record: Record, request: RequestTemplate) -> tuple[int, int]:
    """(exchanges, different paths) of the first few hundred of a kind of request on its entry link."""
    fixed = [re.sub(r"([*?\[])", r"[\1]", part) for part in re.split(r"\{\w+\}", request.path)]
    sql = """
        SELECT count(*), count(DISTINCT path) FROM
        (SELECT path FROM wire WHERE link = ? AND method = ? AND path GLOB ? LIMIT ?)
    """
    values = (f"{LOAD_CLIENT}->{request.to}", request.method, "*".join(fixed), MOST_PATHS)
    return next(record.reader.rows(sql, values))
