"""
What a scenario can get wrong although each line of it is well written: names, times, and what the system lacks.

Works on the parts that could be read, so that one bad line does not hide the mistakes of the others.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.faults.base import Fault
from harness.faults.lose_region import LoseRegion
from harness.faults.request import Request
from harness.faults.rolling_restart import RollingRestart
from harness.scenario.model import Load, Step
from harness.scenario.promises import (
    Breaker,
    Bulkhead,
    Connections,
    Consistency,
    Crossings,
    Effects,
    Errors,
    Failover,
    Instances,
    Promise,
    Recovery,
    Region,
    Retries,
    Slo,
)
from harness.scenario.timeline import Placed, Timeline, lay_out, names_of
from harness.system.document import Where, did_you_mean
from harness.system.mistakes import Finding
from harness.system.model import System

EXCLUSIVE = ("process", "proxy", "operator")  # families of faults of which a target bears one at a time
RECEIPTS = ("fault", "load", "observer", "steady_state", "journal")
ERRORS = (
    "dropped", "unfinished", "refused", "connect_timeout", "read_timeout", "reset", "closed_early", "status",
)  # fmt: skip
_ERROR = re.compile(r"status [1-5](\d\d|xx)|other:\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What of a scenario could be read; None stands for a part that could not."""

    load: Load | None
    steps: Sequence[Step | None]
    promises: Sequence[Promise | None]
    with_: Mapping[str, Any]
    outcome: str
    because: str | None
    system: System | None
    names_unsure: bool  # a step that could not be read may have had any name

    def of(self, kind: type[Promise]) -> Iterator[tuple[int, Any]]:
        for number, promise in enumerate(self.promises):
            if isinstance(promise, kind):
                yield number, promise


def cross_check(parts: Parts) -> Iterator[Finding]:
    """Every mistake that shows only when the parts are held beside each other."""
    timeline = None
    if parts.steps and all(step is not None for step in parts.steps):
        timeline = lay_out([step for step in parts.steps if step is not None])
        yield from timeline.broken
        yield from timeline.doubtful
    yield from _steps(parts)
    yield from _promises(parts, timeline)
    yield from _because(parts)
    if timeline is not None:
        yield from _side_by_side(timeline, parts.system.members if parts.system is not None else {})
    if parts.system is not None:
        yield from _against_system(parts, parts.system)


def _steps(parts: Parts) -> Iterator[Finding]:
    healed = {step.heal for step in parts.steps if step is not None and step.heal is not None}
    names = names_of(parts.steps)
    for number, step in enumerate(parts.steps):
        if step is None or step.fault is None:
            continue
        if not step.fault.undoable and step.for_s is not None:
            message = f"a {step.fault.kind} takes as long as it takes; `for` has no meaning here"
            yield Finding(where=("timeline", number, "for"), message=message, hint="leave `for` out")
        gone = step.fault.family == "process" and step.fault.undoable
        if gone and step.for_s is None and names[number] not in healed and not parts.names_unsure:
            message = f"{step.fault.describe()} and nothing says until when"
            hint = f"add `for: 3s`, or a later step: - heal: {names[number]}"
            yield Finding(where=("timeline", number, "fault"), message=message, hint=hint)


def _promises(parts: Parts, timeline: Timeline | None) -> Iterator[Finding]:
    names = [name for name in names_of(parts.steps) if name is not None]
    faults = [
        name for name, step in zip(names_of(parts.steps), parts.steps, strict=True)
        if name is not None and step is not None and step.fault is not None
    ]  # fmt: skip
    for number, promise in enumerate(parts.promises):
        if promise is None:
            continue
        where: Where = ("expect", number, promise.check)
        wanted = [] if promise.during is None else [("during", promise.during)]
        wanted += [("except", name) for name in promise.except_]
        for key, name in wanted:
            if name not in names and not parts.names_unsure:
                message = f"{key} names {name!r}, which is no fault or phase of this timeline"
                yield Finding(where=(*where, key), message=message, hint=did_you_mean(name, names))
        yield from _window(promise, where, timeline)
    yield from _about_faults(parts, faults)
    for number, errors in parts.of(Errors):
        for key in ("only", "none_of"):
            for kind in getattr(errors, key) or ():
                if kind not in ERRORS and not _ERROR.fullmatch(kind):
                    message = f"{key} names {kind!r}, which is no kind of error"
                    hint = did_you_mean(kind, [*ERRORS, "status 503", "status 5xx"])
                    yield Finding(where=("expect", number, "errors", key), message=message, hint=hint)


def _about_faults(parts: Parts, faults: list[str]) -> Iterator[Finding]:
    if parts.names_unsure:
        return
    for number, promise in (*parts.of(Instances), *parts.of(Region)):
        place: Where = ("expect", number, promise.check)
        if promise.from_ is not None and promise.from_ not in faults:
            message = f"from names {promise.from_!r}, which is no fault of this timeline"
            yield Finding(where=(*place, "from"), message=message, hint=did_you_mean(promise.from_, faults))
        elif promise.needs_fault and not faults:
            yield Finding(where=place, message="its times count from a fault, and the timeline has none")
    for number, recovery in parts.of(Recovery):
        where = ("expect", number, "recovery")
        if recovery.from_ is not None and recovery.from_ not in faults:
            message = f"from names {recovery.from_!r}, which is no fault of this timeline"
            yield Finding(where=(*where, "from"), message=message, hint=did_you_mean(recovery.from_, faults))
        elif not faults:
            yield Finding(where=where, message="recovery needs a fault to recover from; the timeline has none")
    for number, failover in parts.of(Failover):
        where = ("expect", number, "failover")
        if failover.from_ is not None and failover.from_ not in faults:
            message = f"from names {failover.from_!r}, which is no fault of this timeline"
            yield Finding(where=(*where, "from"), message=message, hint=did_you_mean(failover.from_, faults))
        elif not faults:
            yield Finding(where=where, message="failover needs a fault to fail over from; the timeline has none")
    for number, breaker in parts.of(Breaker):
        for key, value in (("opens_within", breaker.opens_within_s), ("closes_within", breaker.closes_within_s)):
            if value is not None and not faults:
                message = f"{key} counts from a fault, and the timeline has none"
                yield Finding(where=("expect", number, "breaker", key), message=message)


def _window(promise: Promise, where: Where, timeline: Timeline | None) -> Iterator[Finding]:
    """`after` must leave something of the window."""
    if timeline is None or promise.after_s <= 0:
        return
    length_s = timeline.duration_s
    if promise.during is not None:
        placed = timeline.named(promise.during)
        if placed is None or placed.end_s <= placed.start_s:
            return
        length_s = placed.end_s - placed.start_s
    if promise.after_s >= length_s:
        message = f"after is {promise.after_s:g}s, but {promise.during or 'the run'} lasts only {length_s:g}s"
        yield Finding(where=(*where, "after"), message=message, hint="nothing would be left to judge")


def _because(parts: Parts) -> Iterator[Finding]:
    if parts.because is None:
        return
    where = ("because",)
    promised = list(dict.fromkeys(p.check for p in parts.promises if p is not None))
    if parts.outcome == "pass":
        yield Finding(where=where, message="because needs an outcome other than pass", hint="add `outcome: fail`")
    elif parts.because in RECEIPTS:
        if parts.outcome == "fail":
            message = f"because is {parts.because!r}, a receipt; a missing one makes a run inconclusive, never a fail"
            yield Finding(where=where, message=message, hint=f"checks promised here: {', '.join(promised)}")
    elif parts.because not in promised and None not in parts.promises:
        message = f"because is {parts.because!r}, which is neither a check promised here nor a receipt"
        yield Finding(where=where, message=message, hint=did_you_mean(parts.because, [*promised, *RECEIPTS]))


def _side_by_side(timeline: Timeline, groups: Mapping[str, tuple[str, ...]]) -> Iterator[Finding]:
    """Faults that would undo each other: two at once that put one service, or one proxy, out of action, or one switch."""
    exclusive = [p for p in timeline.placed if p.step.fault is not None and p.step.fault.family in EXCLUSIVE]
    for one, other in itertools.combinations(sorted(exclusive, key=lambda p: (p.start_s, p.index)), 2):
        if held(_fault(one), groups) & held(_fault(other), groups):
            overlap = other.start_s < one.end_s or (one.start_s == other.start_s and one.end_s == other.end_s)
            if overlap:
                message = (
                    f"{other.name} begins at {other.start_s:g}s while {one.name} holds {_fault(one).target} "
                    f"until {one.end_s:g}s; healing one would undo the other"
                )
                yield Finding(where=("timeline", other.index, "fault"), message=message, hint="put one after the other")


def held(fault: Fault, groups: Mapping[str, tuple[str, ...]]) -> set[tuple[str, ...]]:
    """What a fault keeps from others as long as it is on; nothing when others may be on beside it."""
    if fault.family not in EXCLUSIVE:
        return set()
    return {(p.family, p.target, p.path if isinstance(p, Request) else "") for p in fault.parts(groups)}


def _fault(placed: Placed) -> Fault:
    assert placed.step.fault is not None
    return placed.step.fault


def _against_system(parts: Parts, system: System) -> Iterator[Finding]:
    services, links = list(system.services), [link.name for link in system.links]
    for service in parts.with_:
        if service not in services:
            message = f"with names {service!r}, which is no service"
            yield Finding(where=("with", service), message=message, hint=did_you_mean(service, services))
    for number, step in enumerate(parts.steps):
        if step is not None and step.fault is not None:
            yield from aims_at(step.fault, ("timeline", number, "fault"), system)
    yield from _load(parts, system)
    yield from _requests(parts, system)
    yield from _instances(parts, system)
    for number, retries in (*parts.of(Retries), *parts.of(Crossings), *parts.of(Bulkhead), *parts.of(Connections)):
        if retries.on not in links:
            where = ("expect", number, retries.check, "on")
            message = f"on is {retries.on!r}, which is no link of the system"
            yield Finding(where=where, message=message, hint=did_you_mean(retries.on, links))
    for number, breaker in parts.of(Breaker):
        yield from _breaker(breaker, ("expect", number, "breaker", "on"), system)
    for number, effects in (*parts.of(Effects), *parts.of(Consistency), *parts.of(Failover)):
        ledgers = [ledger.name for ledger in system.ledgers]
        if effects.ledger not in ledgers:
            message = f"ledger is {effects.ledger!r}, which the system does not declare"
            hint = did_you_mean(effects.ledger, ledgers)
            yield Finding(where=("expect", number, effects.check, "ledger"), message=message, hint=hint)
    for number, failover in parts.of(Failover):
        yield from _failover(failover, ("expect", number, "failover"), system)
    yield from _objectives(parts, system)


def _failover(failover: Failover, where: Where, system: System) -> Iterator[Finding]:
    nodes = [name for name, service in system.services.items() if service.replication_path is not None]
    if not nodes:
        hint = "in the Compose file, for each node: x-harness: {replication: /replication}"
        yield Finding(where=where, message="failover needs database nodes, and the system declares none", hint=hint)
    for node in failover.primary if nodes else ():
        if node not in nodes:
            message = f"primary names {node!r}, which is no database node"
            yield Finding(where=(*where, "primary"), message=message, hint=did_you_mean(node, nodes))


def aims_at(fault: Fault, where: Where, system: System) -> Iterator[Finding]:
    """What keeps a fault from its target on a system."""
    if isinstance(fault, LoseRegion):
        if fault.region not in system.groups:
            message = f"region is {fault.region!r}, which is no group of the system"
            near = did_you_mean(fault.region, list(system.groups)) or "in the Compose file: x-harness: {groups: {...}}"
            yield Finding(where=(*where, "region"), message=message, hint=near)
        return
    if isinstance(fault, RollingRestart):
        for number, service in enumerate(fault.services):
            if service not in system.services:
                message = f"services names {service!r}, which the system does not have"
                hint = did_you_mean(service, list(system.services))
                yield Finding(where=(*where, "services", number), message=message, hint=hint)
        return
    place = (*where, fault.acts_on)
    if fault.acts_on == "service":
        if fault.target not in system.services:
            message = f"service is {fault.target!r}, which the system does not have"
            yield Finding(where=place, message=message, hint=did_you_mean(fault.target, list(system.services)))
        return
    link = system.link(fault.target)
    if link is None:
        message = f"link is {fault.target!r}, which the system does not have"
        yield Finding(where=place, message=message, hint=did_you_mean(fault.target, [k.name for k in system.links]))
    elif link.protocol == "raw" and fault.family == "http":
        message = f"link {fault.target} is declared raw; an HTTP fault needs a link that speaks HTTP"
        yield Finding(where=place, message=message, hint="use a toxic, or proxy: down")


def _instances(parts: Parts, system: System) -> Iterator[Finding]:
    for number, promise in parts.of(Instances):
        where: Where = ("expect", number, "instances")
        balancer = system.services.get(promise.behind)
        if balancer is None:
            message = f"behind is {promise.behind!r}, which is no service"
            near = did_you_mean(promise.behind, list(system.services))
            yield Finding(where=(*where, "behind"), message=message, hint=near)
            continue
        if promise.needs_states and (balancer.state is None or balancer.state.of != "instances"):
            message = f"{promise.behind} does not tell the states of its instances"
            fix = "in the Compose file: x-harness: {state: {of: instances, path: /haproxy/state}}"
            yield Finding(where=(*where, "behind"), message=message, hint=fix)
        known = [link.upstream for link in system.links if link.client == promise.behind]
        for instance in promise.among:
            if instance not in known:
                message = f"among names {instance!r}, which is not behind {promise.behind}"
                yield Finding(where=(*where, "among"), message=message, hint=did_you_mean(instance, known))
    for number, promise in parts.of(Region):
        if promise.group not in system.groups:
            message = f"group is {promise.group!r}, which the system does not name"
            near = did_you_mean(promise.group, list(system.groups))
            yield Finding(where=("expect", number, "region", "group"), message=message, hint=near)


def _breaker(breaker: Breaker, where: Where, system: System) -> Iterator[Finding]:
    client = breaker.on.partition("->")[0]
    service = system.services.get(client)
    if service is None:
        message = f"on is {breaker.on!r}, but the system has no service {client!r}"
        yield Finding(where=where, message=message, hint=did_you_mean(client, list(system.services)))
    elif service.actuator_path is None:
        message = f"on is {breaker.on!r}, but {client} declares no actuator to read its breakers from"
        yield Finding(where=where, message=message, hint="in the Compose file: x-harness: {actuator: /actuator}")


def _load(parts: Parts, system: System) -> Iterator[Finding]:
    load = parts.load
    if load is None:
        return
    known = list(system.profiles)
    if load.profile is not None and load.profile not in known:
        message = f"profile is {load.profile!r}, which the system does not declare"
        yield Finding(where=("load", "profile"), message=message, hint=did_you_mean(load.profile, known))
    elif load.profile is None and load.locustfile is None and len(known) != 1:
        message = "load names no profile, and the system declares " + (", ".join(known) or "none")
        yield Finding(where=("load",), message=message, hint=f"profile: {known[0] if known else 'checkout'}")


def request_names(load: Load | None, system: System) -> list[str] | None:
    """Names of the requests this load sends; None when only a run can tell (a person's own Locust file)."""
    if load is None or load.locustfile is not None:
        return None
    profile = load.profile or (next(iter(system.profiles)) if len(system.profiles) == 1 else None)
    if profile not in system.profiles:
        return None
    return [request.name for request in system.profiles[profile].requests]


def _requests(parts: Parts, system: System) -> Iterator[Finding]:
    sent = request_names(parts.load, system)
    if sent is None:
        return
    for number, promise in enumerate(parts.promises):
        of = getattr(promise, "of", None)
        if promise is not None and of is not None and of not in sent:
            message = f"of is {of!r}, which this load does not send"
            yield Finding(where=("expect", number, promise.check, "of"), message=message, hint=did_you_mean(of, sent))


def _objectives(parts: Parts, system: System) -> Iterator[Finding]:
    names = system.objective_names
    for number, slo in parts.of(Slo):
        if slo.named is not None and slo.named not in names:
            message = f"named is {slo.named!r}, which is no slo of the system"
            yield Finding(
                where=("expect", number, "slo", "named"), message=message, hint=did_you_mean(slo.named, names)
            )
        elif not names:
            yield Finding(where=("expect", number, "slo"), message="the system declares no slos")
    sent = request_names(parts.load, system)
    for number, recovery in parts.of(Recovery):
        covered = {objective.of for objective in system.objectives}
        of = recovery.of
        if not covered or (of is not None and of not in covered and (sent is None or of in sent)):
            message = f"recovery needs an slo of {of or 'some request'}; the system declares none"
            hint = f"slos cover: {', '.join(sorted(covered))}" if covered else "declare slos in the Compose file"
            yield Finding(where=("expect", number, "recovery"), message=message, hint=hint)
