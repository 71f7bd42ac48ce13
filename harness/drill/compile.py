"""
What happened in a run, as a drill that waits for nobody: the same faults, load, notes and answers, with their instants.

Instants are those things were meant for (`declared_s`), in whole milliseconds. A replay means them for the same ones,
so compiling the replay of a compiled run gives the same text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import InputError
from harness.faults.base import Fault
from harness.journal.reader import JournalReader
from harness.scenario.model import Scenario
from harness.scenario.timeline import lay_out
from harness.system.model import System

_WRITTEN = re.compile(r"(\d+)\.(\d*?)0*(/?(?:us|ms|s|m|h))")
_PEOPLE = ("tags", "goal", "hypotheses", "roles", "objectives", "abort", "after_abort", "learned")
_ANSWERS = {"step.done": "done", "step.skipped": "skipped", "step.missed": "missed", "step.aborted": "aborted"}
_USUAL = (("after_abort", "5.000000000s"), ("over", "5.000000000s"), ("least", 20))
_OF_A_STEP = ("missed", "does")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A run as the data of a drill file; `system` is where its Compose file was."""

    data: Mapping[str, Any]
    system: Path

    def text(self, folder: Path) -> str:
        """The file's text, for a file in this folder."""
        system = os.path.relpath(self.system, folder.resolve())
        return _dumped({"name": self.data["name"], "system": system, **self.data})


def compile_run(run: Path) -> Compiled:
    """Compile a run's journal. Raises InputError when there is none, or one that another version wrote."""
    with JournalReader(run) as reader:
        for fact in ("scenario", "system"):
            if fact not in reader.facts:
                raise InputError(f"{reader.path}: the journal holds no {fact}: the run ended before it began")
        try:
            compiled = _compiled(reader)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InputError(f"{reader.path}: damaged: what happened cannot be read: {said}") from error
    if not compiled.data["script"]:
        raise InputError(f"{run}: nothing happened in this run that could be played again")
    return compiled


def _compiled(reader: JournalReader) -> Compiled:
    facts = reader.facts
    scenario = Scenario.model_validate(facts["scenario"])
    drill: Mapping[str, Any] = facts.get("drill") or {}
    data = {
        "name": scenario.name,
        **_people(drill),
        **_load(facts["scenario"]),
        "script": _script(scenario, drill, reader.events()),
        "expect": [_tidy(_sparse(one)) for one in facts["scenario"]["expect"]],
    }
    return Compiled(data=_tidy(data), system=System.from_json(facts["system"]).file)


def _people(drill: Mapping[str, Any]) -> dict[str, Any]:
    """What the drill says beside its script, without what goes without saying."""
    found = {key: drill[key] for key in _PEOPLE if drill.get(key) and (key, drill[key]) not in _USUAL}
    if "abort" in found:
        found["abort"] = [{k: v for k, v in floor.items() if (k, v) not in _USUAL} for floor in found["abort"]]
    return found


def _load(scenario: Mapping[str, Any]) -> dict[str, Any]:
    load = dict(scenario["load"])
    arrivals = load.get("arrivals")
    if arrivals and len(arrivals) == 1 and set(arrivals[0]) == {"rate"}:
        load["arrivals"] = arrivals[0]["rate"]
    defaults = {"pattern": "even", "think": "0.000000000s", "timeout": "10.000000000s", "max_in_flight": 1000}
    load = {key: value for key, value in load.items() if defaults.get(key) != value}
    with_ = {"with": scenario["with"]} if scenario.get("with") else {}
    return {"seed": scenario.get("seed", 1), **with_, "load": load}


# -- the script ------------------------------------------------------------------------------------------------


def _script(
    scenario: Scenario, drill: Mapping[str, Any], events: Iterable[tuple[int, str, str, Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """Every line with its instant, in order of time; at one instant phases before faults before words."""
    told = [(kind, subject, data) for _, kind, subject, data in events if "declared_s" in data]
    steps = _steps(drill, told)
    lines: list[tuple[float, int, dict[str, Any]]] = []
    for placed in lay_out(scenario.timeline).placed:
        if placed.name in steps:
            continue
        length_s = placed.end_s - placed.start_s
        if placed.step.fault is not None:
            line = _fault(placed.step.fault, placed.name, length_s) | _hands(placed.name, told)
            lines.append((placed.start_s, 1, line))
        else:
            lines.append((placed.start_s, 0, {placed.kind: _span(length_s), "as": placed.name}))
    lines += [(at_s, 2, line) for at_s, line in steps.values()]
    lines += [
        (data["declared_s"], 3, {"note": data["text"], "by": subject}) for kind, subject, data in told if kind == "note"
    ]
    lines += [
        (data["declared_s"], 4, {"abort": {"how": data["how"], "why": data["why"], "by": subject}})
        for kind, subject, data in told
        if kind == "abort"
    ]
    return [{"at": _span(at_s), **line} for at_s, _, line in sorted(lines, key=lambda one: one[:2])]


def _steps(
    drill: Mapping[str, Any], told: list[tuple[str, str, Mapping[str, Any]]]
) -> dict[str, tuple[float, dict[str, Any]]]:
    """Manual steps by name: when they were asked, and the line. One nobody could answer any more is left out."""
    written = {line["step"]: line for line in drill.get("script", ()) if line.get("step")}
    asked = {subject: data for kind, subject, data in told if kind == "step.prompted"}
    found: dict[str, tuple[float, dict[str, Any]]] = {}
    for kind, subject, data in told:
        if kind not in _ANSWERS or subject not in asked:
            continue
        prompt = asked[subject]
        line: dict[str, Any] = {
            "step": subject, "role": prompt["role"], "prompt": prompt["prompt"], "limit": _span(prompt["limit_s"]),
        }  # fmt: skip
        if prompt.get("marks"):
            line["marks"] = prompt["marks"]
        own = written.get(subject, {})
        line |= {key: own[key] for key in _OF_A_STEP if own.get(key) and own[key] != "go-on"}
        line["answer"] = {"said": _ANSWERS[kind], "at": _span(data["declared_s"]), "by": data["by"]}
        found[subject] = (prompt["declared_s"], line)
    return found


def _fault(fault: Fault, name: str, length_s: float) -> dict[str, Any]:
    line: dict[str, Any] = {"fault": fault_words(fault), "as": name}
    return line | ({"for": _span(length_s)} if fault.undoable else {})


def fault_words(fault: Fault) -> dict[str, Any]:
    """A fault as a person would write it: its kind first, no defaults."""
    written = fault.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return {fault.family: fault.kind, **{key: value for key, value in written.items() if key != fault.family}}


def _hands(name: str, told: list[tuple[str, str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Whose hands did and undid a fault."""
    found: dict[str, Any] = {}
    for kind, subject, data in told:
        if subject == name and kind == "person.injected":
            found["by"] = data["by"]
        elif subject == name and kind in {"person.healed", "lease.ended"}:
            found["healed_by"] = "lease" if kind == "lease.ended" else data["by"]
    return found


# -- writing ---------------------------------------------------------------------------------------------------


def _span(span_s: float) -> str:
    return f"{span_s:.3f}s"


def _sparse(data: Any) -> Any:
    """A promise without the defaults that its model wrote out."""
    ((check, words),) = data.items()
    empty: tuple[Any, ...] = (None, [], "0.000000000s")
    return {check: {key: value for key, value in words.items() if value not in empty}}


def _tidy(data: Any) -> Any:
    """`3.250000000s` as a person writes it: 3.25s."""
    if isinstance(data, Mapping):
        return {key: _tidy(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_tidy(value) for value in data]
    if isinstance(data, str) and (found := _WRITTEN.fullmatch(data)):
        return f"{found[1]}.{found[2]}{found[3]}" if found[2] else f"{found[1]}{found[3]}"
    return data


class _Writer(yaml.SafeDumper):
    """One line a fault, a promise, an answer; the rest in blocks."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _dumped(data: Mapping[str, Any]) -> str:
    parts = []
    for key, value in data.items():
        if key in {"script", "expect"}:
            rows = [
                yaml.dump(one, Dumper=_Writer, default_flow_style=True, sort_keys=False, width=10_000) for one in value
            ]
            parts.append(f"{key}:\n" + "".join(f"  - {row.strip()}\n" for row in rows))
        else:
            parts.append(yaml.dump({key: value}, Dumper=_Writer, sort_keys=False, width=110, allow_unicode=True))
    return "".join(parts)
