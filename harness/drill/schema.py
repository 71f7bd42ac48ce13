"""
The JSON Schemas of a drill file and of a file of answers, for editors: made from the models.

They know how each key is written and what a line of the script needs beside it. What needs the whole file, or the
system (names, roles, instants), only `harness validate` knows.
"""

from __future__ import annotations

from typing import Any

from harness.drill.model import Drill
from harness.drill.persons import AnswerFile
from harness.scenario.schema import DIALECT, as_written, without_defaults

_THINGS = ("steady", "recovery", "wait", "fault", "heal", "step", "note", "abort")
_OF_A_STEP = ("role", "prompt", "limit", "marks", "answer")


def drill_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of drills, those that wait for people and recorded ones."""
    schema = as_written(Drill.model_json_schema(by_alias=True, mode="validation"))
    definitions = schema["$defs"]
    line = definitions["ScriptStep"]
    line["oneOf"] = [{"required": [thing]} for thing in _THINGS]
    line["dependentRequired"] = {"step": ["role", "prompt", "limit"], "for": ["fault"]} | {
        key: ["step"] for key in _OF_A_STEP
    }
    definitions["Deed"]["oneOf"] = [{"required": ["heal"]}, {"required": ["fault"]}]
    return {
        "$schema": DIALECT,
        **schema,
        "title": "harness drill",
        "description": "A game day: a system under load, a script with people in it, objectives, floors.",
    }


def answers_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of the file that `harness drill run --answers` reads."""
    return {
        "$schema": DIALECT,
        **without_defaults(AnswerFile.model_json_schema(by_alias=True, mode="validation")),
        "title": "harness drill answers",
        "description": "What is said in a drill that nobody attends.",
    }
