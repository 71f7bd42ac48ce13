"""
A configuration as people write it, sorted: module, section, name, key, value.

Reads nested mappings, dotted keys and environment variables; knows inheritance between `configs` and `instances`;
does not know what a policy is. All mistakes are gathered.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from services.resilience.errors import ConfigError, Problem
from services.resilience.keys import (
    ASPECT_ORDERS,
    LOWEST_PRECEDENCE,
    MODULES,
    NO_EFFECT_MODULES,
    NO_EFFECT_SECTIONS,
    SECTIONS,
    canonical,
    integer,
)

_ROOT = "resilience4j"
_NAME_DEPTH = 4
"""How many words lead to an instance: resilience4j, module, section, name."""
_CANONICAL = {module: {canonical(key): key for key in table} for module, table in MODULES.items()}


@dataclass(frozen=True, slots=True)
class Entry:
    """One value, and the key as it was written."""

    written: str
    value: Any


Entries = dict[str, Entry]
"""By key, in Resilience4j's camelCase."""


@dataclass(slots=True)
class Settings:
    """Entries by module and name, for instances and for shared configs; and the aspect orders."""

    instances: dict[str, dict[str, Entries]] = field(default_factory=lambda: {module: {} for module in MODULES})
    configs: dict[str, dict[str, Entries]] = field(default_factory=lambda: {module: {} for module in MODULES})
    orders: dict[str, int] = field(
        default_factory=lambda: {module: LOWEST_PRECEDENCE - 5 + place for place, module in enumerate(ASPECT_ORDERS)}
    )
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    """`FILE:LINE` by key as it was written, for what came from a file."""

    @classmethod
    def read_lines(
        cls, lines: Iterable[tuple[Iterable[str], Any, str]], environment: Mapping[str, str] | None = None
    ) -> Settings:
        """The settings of a file's values, each with its path and place, overridden by environment variables."""
        settings = cls()
        for words, value, place in lines:
            path = [*words]
            settings.places[".".join(path)] = place
            if value not in (None, {}, "") or len(path) == _NAME_DEPTH:
                settings.take(path, value)
        settings.take_environment(environment or {})
        return settings

    @classmethod
    def read(cls, mapping: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Settings:
        """The settings of a mapping, overridden by environment variables. Mistakes are in `problems`."""
        settings = cls()
        for path, value in _flatten(mapping):
            settings.take(path, value)
        settings.take_environment(environment or {})
        return settings

    def take_environment(self, environment: Mapping[str, str]) -> None:
        """Sort in the variables that begin with resilience4j, dotted first, so that capitals win."""
        for name, value in environment.items():
            if name.lower().startswith(_ROOT + "."):
                self.take(name.split("."), value)
        for name, value in sorted(environment.items()):
            if name.startswith(_ROOT.upper() + "_"):
                self.take_variable(name, value)

    def placed(self, problem: Problem) -> Problem:
        """The problem with its place in the file, if its key or the section it belongs to came from one."""
        key = problem.key
        while problem.place is None and key:
            if key in self.places:
                return replace(problem, place=self.places[key])
            inside = [place for written, place in self.places.items() if written.startswith(key + ".")]
            if inside:
                return replace(problem, place=inside[0])
            key = key.rpartition(".")[0]
        return problem

    def take(self, path: list[str], value: Any, written: str | None = None) -> None:
        """Sort in one value by its path; a path outside resilience4j is not ours and is left alone."""
        written = written or ".".join(path)
        if canonical(path[0]) != _ROOT:
            if difflib.get_close_matches(path[0], [_ROOT], cutoff=0.8):
                self._complain(written, f"unknown key {path[0]!r}", _ROOT)
            return
        module = canonical(path[1]) if len(path) > 1 else ""
        section = canonical(path[2]) if len(path) > 2 else ""
        if module in NO_EFFECT_MODULES:
            self.warnings.append(f"{written}: has no effect, {NO_EFFECT_MODULES[module]}")
        elif module in MODULES and section in NO_EFFECT_SECTIONS:
            self.warnings.append(f"{written}: has no effect, {NO_EFFECT_SECTIONS[section]}")
        elif module not in MODULES:
            self._unknown(written, path[1] if len(path) > 1 else "", MODULES)
        elif isinstance(value, Mapping) and len(path) < _NAME_DEPTH:
            return  # an empty section declares nothing
        elif len(path) == 3:
            self._take_order(module, path[2], value, written)
        elif len(path) == _NAME_DEPTH and canonical(path[2]) in SECTIONS and not value:
            self._section(module, path[2]).setdefault(path[3], {})  # `payment: {}` declares it, with the defaults
        elif len(path) <= _NAME_DEPTH or canonical(path[2]) not in SECTIONS:
            self._unknown(written, path[2] if len(path) > 2 else "", SECTIONS)
        else:
            self._take_key(module, path[2:], value, written)

    def take_variable(self, name: str, value: str) -> None:
        """Sort in an environment variable in Spring's relaxed form, RESILIENCE4J_RETRY_INSTANCES_PAYMENT_MAXATTEMPTS."""
        words = name.split("_")[1:]
        for place in range(1, len(words)):
            module = canonical("".join(words[:place]))
            if words[place].lower() in SECTIONS and module in MODULES:
                self._take_instance_variable(name, module, words[place], words[place + 1 :], value)
                return
            key = "".join(words[place:]).lower()
            if module in ASPECT_ORDERS and key == canonical(ASPECT_ORDERS[module]):
                self.take([_ROOT, module, key], value, name)
                return
        self._unknown(name, words[0].lower() if words else "", MODULES)

    def resolve(self, module: str, name: str) -> Entries:
        """What holds for one instance: its own entries over those it inherits. Raises ConfigError."""
        own = self.instances[module].get(name, {})
        return self._inherit(module, own, name, ())

    def resolve_config(self, module: str, name: str) -> Entries:
        """What holds for one shared config, with what it inherits. Raises ConfigError."""
        own = self.configs[module][name]
        return self._inherit(module, own, None, (name,)) if "baseConfig" in own else own

    def _inherit(self, module: str, own: Entries, name: str | None, passed: tuple[str, ...]) -> Entries:
        shared = self.configs[module]
        if "baseConfig" in own:
            entry = own["baseConfig"]
            base = str(entry.value)
            if base in passed or base == name:
                raise ConfigError([Problem(key=entry.written, message=f"is {base!r}, which leads back to itself")])
            if base not in shared:
                hint = f"there is {', '.join(map(repr, shared))}" if shared else "there is none"
                raise ConfigError([Problem(key=entry.written, message=f"is {base!r}, no such config", hint=hint)])
            inherited = self._inherit(module, shared[base], None, (*passed, base))
        elif name is not None:
            inherited = shared.get(name, {}) if module == "circuitbreaker" else {}
            inherited = self.resolve_config(module, name) if inherited else shared.get("default", {})
        else:
            inherited = {}
        merged = {**inherited, **own}
        if "recordExceptions" in own and "recordFailurePredicate" not in own:
            merged.pop("recordFailurePredicate", None)
        if module == "circuitbreaker" and "ignoreExceptions" in own and "ignoreExceptionPredicate" not in own:
            merged.pop("ignoreExceptionPredicate", None)
        merged.pop("baseConfig", None)
        return merged

    def _take_instance_variable(self, name: str, module: str, section: str, words: list[str], value: str) -> None:
        while words and words[-1] in {"", "0"}:
            words = words[:-1]
        splits = [("_".join(words[:at]), "_".join(words[at:])) for at in range(1, len(words))]
        known = [(instance, key) for instance, key in splits if canonical(key) in _CANONICAL.get(module, ())]
        if not known and splits:
            known = [splits[-1]]
        for instance, key in known:
            existing = self._existing(module, section, instance)
            if existing is not None or (instance, key) == known[-1]:
                self.take([_ROOT, module, section, existing or instance.lower(), key], value, name)
                return
        self._complain(name, "names no instance and key", "RESILIENCE4J_RETRY_INSTANCES_PAYMENT_MAXATTEMPTS")

    def _existing(self, module: str, section: str, name: str) -> str | None:
        """An instance that is there already under another spelling: capitals, dashes."""
        names = [*self._section(module, section)]
        names += [one for table in self.instances.values() for one in table]
        return next((one for one in names if canonical(one) == canonical(name)), None)

    def _section(self, module: str, section: str) -> dict[str, Entries]:
        tables = self.configs if SECTIONS[canonical(section)] == "configs" else self.instances
        return tables.get(module, {})

    def _take_order(self, module: str, key: str, value: Any, written: str) -> None:
        known = ASPECT_ORDERS.get(module, "")
        if known and canonical(key) == canonical(known):
            try:
                self.orders[module] = integer(value)
            except ValueError as error:
                self._complain(written, str(error))
        else:
            self._unknown(written, key, (*SECTIONS, known))

    def _take_key(self, module: str, path: list[str], value: Any, written: str) -> None:
        section, name, *rest = path
        indexed = re.fullmatch(r"(.+)\[(\d+)\]", rest[0])
        spelled = _CANONICAL[module].get(canonical(indexed[1] if indexed else rest[0]))
        if spelled is None or len(rest) > 1:
            self._unknown(written, ".".join(rest), MODULES[module])
            return
        entries = self._section(module, section).setdefault(name, {})
        if indexed:
            before = entries[spelled].value if spelled in entries and int(indexed[2]) > 0 else []
            value = [*(before if isinstance(before, list) else [before]), value]
        else:
            try:
                value = MODULES[module][spelled](value)
            except ValueError as error:
                self._complain(written, str(error))
                return
        entries[spelled] = Entry(written, value)

    def _unknown(self, written: str, word: str, known: Any) -> None:
        spellings = {canonical(one): one for one in known}
        near = difflib.get_close_matches(canonical(word), spellings, n=1, cutoff=0.0)
        self._complain(written, f"unknown key {word!r}", f"did you mean {spellings[near[0]]!r}?" if near else None)

    def _complain(self, written: str, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(key=written, message=message, hint=hint))


def _flatten(mapping: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[list[str], Any]]:
    for key, value in mapping.items():
        path = (*above, *str(key).split("."))
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, path)
        elif value is not None or len(path) == _NAME_DEPTH:
            yield list(path), value
