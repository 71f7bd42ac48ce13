"""
A recorded drill played again: the same load, faults and words at the same instants, by the conductor.

Nobody is asked: manual steps get the answers they were given. No floor heals anything: what was healed then is healed
now, at the same instant, or the two runs could not be compared. Whether one gave way is judged afterwards (floors.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.drill.compile import compile_run
from harness.drill.file import LoadedDrill, load_drill, parse_drill
from harness.drill.model import ScriptStep
from harness.drill.names import names_of
from harness.errors import InputError, Mistake
from harness.live.header import default_promises
from harness.plan import Plan, make_plan
from harness.progress import View
from harness.run.conductor import Cue, run_plan
from harness.run.options import RunOptions
from harness.scenario.model import Scenario
from harness.system.model import System

FILE_NAME = "drill.yaml"
LEAST_S = 0.001


def recorded(what: Path, system: System | None = None) -> LoadedDrill:
    """
    A compiled drill file, or a run compiled now, held against its own system or another one. Raises InputError with
    the lines of the file, or of RUN/drill.yaml, which is written when it is not there.
    """
    if what.suffix in {".yaml", ".yml"}:
        loaded = load_drill(what, system)
        if not loaded.drill.recorded:
            message = "this drill waits for people; only a recorded one can be replayed"
            raise InputError.of([Mistake(what, 1, message, f"harness drill run {what}")])
        return loaded
    compiled = compile_run(what)
    folder = what if what.is_dir() else what.parent
    text = compiled.text(folder)
    file = folder / FILE_NAME
    if not file.exists() or file.read_text("utf-8") != text:
        try:
            file.write_text(text, "utf-8")
        except OSError:  # lines are told by the text alone then
            pass
    return parse_drill(text, file, system)


def replay(loaded: LoadedDrill, options: RunOptions, view: View) -> Path:
    """Play it; gives the new run's folder. Raises HarnessError."""
    facts = {"drill": drill_facts(loaded)}
    return run_plan(
        plan_of(loaded), options, view=view, scenario_text=loaded.text, cues=list(cues_of(loaded)), facts=facts
    )


def drill_facts(loaded: LoadedDrill) -> dict[str, Any]:
    """The drill as a journal keeps it."""
    return loaded.drill.model_dump(mode="json", exclude_none=True)


def plan_of(loaded: LoadedDrill) -> Plan:
    """The recorded drill as a plan of the conductor's."""
    drill = loaded.drill
    names = names_of(drill.script)
    scenario = Scenario.model_validate(
        {
            "name": drill.name,
            "system": str(loaded.system.file),
            "seed": drill.seed,
            "with": drill.with_,
            "load": drill.load,
            "timeline": [_step(line, name) for line, name in zip(drill.script, names, strict=True) if name is not None],
            "expect": list(drill.expect) or default_promises(loaded.system),
        }
    )
    return make_plan(scenario, loaded.system)


def _step(line: ScriptStep, name: str) -> dict[str, Any]:
    assert line.at_s is not None
    step: dict[str, Any] = {"as": name, "at": f"{line.at_s:.6f}s"}
    if line.fault is not None:
        return step | {"fault": line.fault} | ({"for": f"{line.for_s:.6f}s"} if line.for_s is not None else {})
    if line.answer is not None:
        return step | {"wait": f"{max(LEAST_S, line.answer.at_s - line.at_s):.6f}s"}
    return step | {line.kind: f"{line.length_s:.6f}s"}


def cues_of(loaded: LoadedDrill) -> Iterator[Cue]:
    """What people said and did, as events of their instants."""
    for line, name in zip(loaded.drill.script, names_of(loaded.drill.script), strict=True):
        assert line.at_s is not None
        if line.note is not None:
            yield _cue(line.at_s, "note", line.by or "script", text=line.note)
        elif line.abort is not None:
            yield _cue(line.at_s, "abort", line.abort.by, how=line.abort.how, why=line.abort.why)
        elif line.step is not None and line.answer is not None:
            told = {"role": line.role, "prompt": line.prompt, "limit_s": line.limit_s, "marks": line.marks}
            yield _cue(line.at_s, "step.prompted", line.step, **told)
            took = {"by": line.answer.by, "after_s": round(line.answer.at_s - line.at_s, 3)}
            yield _cue(line.answer.at_s, f"step.{line.answer.said}", line.step, **took)
        elif line.fault is not None and name is not None:
            yield from _hands(line, name)


def _hands(line: ScriptStep, name: str) -> Iterator[Cue]:
    assert line.at_s is not None
    assert line.fault is not None
    if line.by is not None:
        yield _cue(line.at_s, "person.injected", name, by=line.by, what=line.fault.describe())
    if line.healed_by is not None and line.for_s is not None:
        healed_s = round(line.at_s + line.for_s, 3)
        if line.healed_by == "lease":
            yield _cue(healed_s, "lease.ended", name)
        else:
            yield _cue(healed_s, "person.healed", name, by=line.healed_by)


def _cue(at_s: float, kind: str, subject: str, **data: Any) -> Cue:
    return Cue(at_s=at_s, kind=kind, subject=subject, data={**data, "declared_s": at_s})
