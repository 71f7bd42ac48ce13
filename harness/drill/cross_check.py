"""
What a drill can get wrong although each line of it is well written: names, roles, ends, and what the system lacks.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.drill.model import Deed, Drill, ScriptStep
from harness.drill.names import names_of
from harness.faults.base import Fault
from harness.scenario.cross_check import Parts, aims_at
from harness.scenario.cross_check import cross_check as scenario_cross_check
from harness.scenario.model import Step
from harness.system.document import Where, did_you_mean
from harness.system.mistakes import Finding
from harness.system.model import System


def cross_check(drill: Drill, system: System | None) -> Iterator[Finding]:
    """Every mistake that shows only when the parts are held beside each other."""
    yield from _names(drill)
    for number, line in enumerate(drill.script):
        yield from _line(drill, number, line)
    yield from _instants(drill)
    yield from _objectives(drill, system)
    pieces = drill.load.arrivals or ()
    if not drill.recorded and pieces and pieces[-1].for_s is not None:
        message = "the last piece of arrivals ends, but nobody knows how long people take"
        where = ("load", "arrivals", len(pieces) - 1, "for")
        yield Finding(where=where, message=message, hint="leave `for` out: the load goes on until the drill ends")
    if system is not None:
        yield from _against_system(drill, system)


def _names(drill: Drill) -> Iterator[Finding]:
    first: dict[str, int] = {}
    named = [(name, ("script", n)) for n, name in enumerate(names_of(drill.script)) if name is not None]
    named += [(deed.as_, where) for deed, where in _deeds(drill) if deed.as_ is not None]  # type: ignore[misc]
    for name, where in named:
        if name in first:
            message = f"two lines are called {name!r}, script[{first[name]}] and script[{where[1]}]"
            yield Finding(where=where, message=message, hint="names tell faults, phases and steps apart")
        first.setdefault(name, int(where[1]))


def _deeds(drill: Drill) -> Iterator[tuple[Deed, Where]]:
    for number, line in enumerate(drill.script):
        for place, deed in enumerate(line.does):
            yield deed, ("script", number, "does", place)


def _faults(drill: Drill) -> dict[str, Fault]:
    found = {
        name: line.fault
        for name, line in zip(names_of(drill.script), drill.script, strict=True)
        if name is not None and line.fault is not None
    }
    return found | {deed.as_ or deed.fault.kind: deed.fault for deed, _ in _deeds(drill) if deed.fault is not None}


def _line(drill: Drill, number: int, line: ScriptStep) -> Iterator[Finding]:
    where: Where = ("script", number)
    if line.role is not None and line.role not in drill.roles:
        message = f"role is {line.role!r}, which the drill does not declare"
        hint = did_you_mean(line.role, list(drill.roles)) or "declare it: roles: {on-call: decides what is done}"
        yield Finding(where=(*where, "role"), message=message, hint=hint)
    yield from _ends(line.fault, line.for_s, where)
    yield from _heals(drill, line.heal, where)
    for place, deed in enumerate(line.does):
        yield from _ends(deed.fault, deed.for_s, (*where, "does", place))
        yield from _heals(drill, deed.heal, (*where, "does", place))


def _ends(fault: Fault | None, for_s: float | None, where: Where) -> Iterator[Finding]:
    if fault is not None and fault.undoable and for_s is None:
        message = f"{fault.describe()} and nothing says how long at most; in a drill every fault is a lease with an end"
        yield Finding(where=(*where, "fault"), message=message, hint="add `for: 60s`: it is healed then, at latest")
    if fault is not None and not fault.undoable and for_s is not None:
        message = f"a {fault.kind} takes as long as it takes; `for` has no meaning here"
        yield Finding(where=(*where, "for"), message=message, hint="leave `for` out")


def _heals(drill: Drill, name: str | None, where: Where) -> Iterator[Finding]:
    faults = _faults(drill)
    if name is not None and name not in faults:
        message = f"heal names {name!r}, which is no fault of this drill"
        yield Finding(where=(*where, "heal"), message=message, hint=did_you_mean(name, list(faults)))


def _instants(drill: Drill) -> Iterator[Finding]:
    """A script waits for people, or it is recorded; half of each cannot be played."""
    with_instant = [line.at_s is not None for line in drill.script]
    if any(with_instant) and not all(with_instant):
        number = with_instant.index(False)
        message = "this line has no `at`, others have: a script is recorded in full or waits for people"
        yield Finding(where=("script", number), message=message, hint="`harness drill compile` writes whole ones")
        return
    for number, line in enumerate(drill.script):
        where: Where = ("script", number)
        if line.at_s is not None and line.heal is not None:
            message = "a recorded fault ends by its `for`; heal has no place here"
            yield Finding(where=(*where, "heal"), message=message, hint="shorten the fault's `for`")
        if line.at_s is not None and line.step is not None and line.answer is None:
            message = f"step {line.step} has an instant, but no answer that was recorded"
            yield Finding(where=where, message=message, hint="add `answer: {said: done, at: 12s, by: ana}`")
        if line.answer is not None and line.at_s is not None and line.answer.at_s < line.at_s:
            message = f"step {line.step} is answered at {line.answer.at_s:g}s, before it is asked at {line.at_s:g}s"
            yield Finding(where=(*where, "answer", "at"), message=message)


def _objectives(drill: Drill, system: System | None) -> Iterator[Finding]:
    objectives, faults = drill.objectives, _faults(drill)
    if objectives.incident is not None and objectives.incident not in faults:
        message = f"incident names {objectives.incident!r}, which is no fault of this drill"
        hint = did_you_mean(objectives.incident, list(faults))
        yield Finding(where=("objectives", "incident"), message=message, hint=hint)
    marked = {line.marks for line in drill.script}
    for key, limit_s, mark in (
        ("detection", objectives.detection_s, "detected"), ("response", objectives.response_s, "responded"),
    ):  # fmt: skip
        if limit_s is not None and mark not in marked:
            message = f"{key} is an objective, but no step marks `{mark}`"
            yield Finding(where=("objectives", key), message=message, hint=f"add `marks: {mark}` to a step")
    if system is not None and objectives.rto_s is not None and not system.objectives:
        yield Finding(where=("objectives", "rto"), message="rto needs an slo; the system declares none")
    if system is not None and objectives.rpo is not None:
        ledgers = [ledger.name for ledger in system.ledgers]
        if objectives.rpo.ledger not in ledgers:
            message = f"ledger is {objectives.rpo.ledger!r}, which the system does not declare"
            hint = did_you_mean(objectives.rpo.ledger, ledgers)
            yield Finding(where=("objectives", "rpo", "ledger"), message=message, hint=hint)


def _against_system(drill: Drill, system: System) -> Iterator[Finding]:
    for deed, where in _deeds(drill):
        if deed.fault is not None:
            yield from aims_at(deed.fault, (*where, "fault"), system)
    slos = [objective.name for objective in system.objectives]
    for number, floor in enumerate(drill.abort):
        if floor.slo not in slos:
            message = f"slo is {floor.slo!r}, which the system does not declare"
            yield Finding(where=("abort", number, "slo"), message=message, hint=did_you_mean(floor.slo, slos))
    yield from _as_scenario(drill, system)


def _as_scenario(drill: Drill, system: System) -> Iterator[Finding]:
    """What a scenario of the same faults and promises would get wrong."""
    steps = [_step(line, name) for line, name in zip(drill.script, names_of(drill.script), strict=True)]
    marks = [Step.model_validate({"wait": "1s", "as": d.as_}) for d, _ in _deeds(drill) if d.fault is None and d.as_]
    parts = Parts(
        load=drill.load,
        # The last one keeps instants from being worked out: only people know them.
        steps=[*steps, *marks, None],
        promises=[expectation.promise for expectation in drill.expect],
        with_=drill.with_,
        outcome="pass",
        because=None,
        system=system,
        names_unsure=any(deed.fault is not None for deed, _ in _deeds(drill)),
    )
    for finding in scenario_cross_check(parts):
        where = ("script", *finding.where[1:]) if finding.where[:1] == ("timeline",) else finding.where
        if where[-1:] != ("for",):
            yield Finding(where=where, message=finding.message, hint=finding.hint)


def _step(line: ScriptStep, name: str | None) -> Step | None:
    if line.fault is not None:
        return Step.model_validate({"fault": line.fault, "as": name, "for": f"{line.for_s or 1:.6f}s"})
    return None if name is None else Step.model_validate({"wait": "1s", "as": name})
