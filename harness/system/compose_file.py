"""
A Compose file read into a System: its services, the links between them, and what `x-harness:` adds.

Only reads; the file is never changed, and nothing is started. Keys of Compose
that change what a service is (`extends`, `include`) are refused rather than
passed over; those that only concern containers are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.errors import InputError, Mistake
from harness.system.compose_words import ComposeService, SystemWords
from harness.system.cross_check import cross_check, ring_of
from harness.system.document import Document, Where, read_document
from harness.system.interpolation import Unset, interpolate
from harness.system.links import read_links
from harness.system.mistakes import Finding, findings, stands_secret
from harness.system.model import (
    DATA_VARIABLE,
    Group,
    HealthCheck,
    Ledger,
    Profile,
    RequestTemplate,
    Service,
    StatePlace,
    System,
)
from harness.system.objectives import failovers_of, objectives_of
from harness.system.text import read_text

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
EXTENSION = "x-harness"
_REFUSED = {
    "extends": "copy the other service's keys here, or use a YAML anchor",
    "env_file": "write its values under environment",
}
_READ_OF_A_SERVICE = frozenset({
    "command", "entrypoint", "environment", "ports", "expose", "working_dir", "healthcheck", "depends_on",
    "stop_grace_period", "profiles", EXTENSION,
})  # fmt: skip

M = TypeVar("M", bound=BaseModel)


def read_system(path: Path, environment: Mapping[str, str] | None = None) -> System:
    """
    Read the Compose file at path; environment fills in its `${...}`, and what a service takes from outside.

    `${HARNESS_DATA}` stays as it is: the folder is known only when a run starts, and `layout.rewrite` fills it in.
    Raises InputError with every mistake of the file.
    """
    path = Path(path)
    document, mistakes = read_document(read_text(path), path, foreign_tags=True)
    reader = _Reader(document, path, {DATA_VARIABLE: "${" + DATA_VARIABLE + "}", **(environment or {})})
    system = reader.read()
    mistakes = list(dict.fromkeys([*mistakes, *reader.mistakes]))
    if mistakes or system is None:
        raise InputError.of(mistakes)
    return system


class _Reader:
    """Reads one document, collecting mistakes as it goes."""

    def __init__(self, document: Document, path: Path, environment: Mapping[str, str]) -> None:
        self._document = document
        self._path = path
        self._environment = environment
        self.mistakes: list[Mistake] = []
        self._wrong_places: list[Where] = []
        self._published: list[str] = []

    def read(self) -> System | None:
        """The system, or None when there are too many mistakes to make one."""
        for key in ("include",):
            if key in self._document.data:
                self._wrong((key,), f"{key} is not read by the harness", "write the services into one file")
        words = self._extension()
        services = self._services()
        if words is None or services is None:
            return None
        if words.entry is None and len(self._published) == 1:
            words = words.model_copy(update={"entry": self._published[0]})  # where people enter, load does
        profiles = {name: self._profile(name, words) for name in words.profiles}
        objectives = tuple(objectives_of(words.slos))
        ledgers = tuple(
            Ledger(
                name=name,
                service=ledger.service,
                path=ledger.path,
                asked_by=ledger.asked_by,
                read_by=ledger.read_by,
                key=ledger.key,
                acknowledged=ledger.acknowledged,
                also=ledger.also,
                settled_within_s=ledger.settled_within or 0.0,
            )
            for name, ledger in words.ledgers.items()
        )
        links, ports, found = read_links(services, words)
        found += list(cross_check(services, words))
        for finding in found:
            self._note(finding)
        system_name = self._filled(self._document.data.get("name"), ("name",))
        return System(
            name=str(system_name or self._path.stem),
            file=self._path,
            services={name: _with_port(service, ports.get(name)) for name, service in services.items()},
            links=links,
            profiles=profiles,
            objectives=objectives,
            ledgers=ledgers,
            failovers=tuple(failovers_of(words.slos)),
            groups={name: Group(services=group.services, data=group.data) for name, group in words.groups.items()},
        )

    def _extension(self) -> SystemWords | None:
        written = self._filled(self._document.data.get(EXTENSION) or {}, (EXTENSION,))
        return self._valid(SystemWords, written, (EXTENSION,))

    def _services(self) -> dict[str, Service] | None:
        """Every service that can be read; None when the file has none at all."""
        written = self._document.data.get("services")
        if not isinstance(written, dict) or not written:
            message = "services is missing" if written is None else "services must be keys and values, one a service"
            self._wrong(("services",), message, "services: {order: {command: [...]}}")
            return None
        found = {}
        for name, keys in written.items():
            where = ("services", name)
            if not NAME.fullmatch(name):
                self._wrong(where, f"{name!r} cannot be a service's name", "letters, digits, _ . and -")
            elif name == "load":
                self._wrong(where, "a service cannot be called 'load'", "the load's own links have that name")
            service = self._service(name, keys or {}, where)
            if service is not None:
                found[name] = service
        self._check_dependencies(found, written)
        return found

    def _service(self, name: str, keys: Any, where: Where) -> Service | None:
        for key in _REFUSED.keys() & (keys.keys() if isinstance(keys, dict) else set()):
            self._wrong((*where, key), f"{key} is not read by the harness", _REFUSED[key])
        if isinstance(keys, dict):
            keys = {key: self._filled(keys[key], (*where, key)) for key in keys if key in _READ_OF_A_SERVICE}
        service = self._valid(ComposeService, keys, where)
        if service is None:
            # What is left of it is enough to know its name and its links, so one mistake does not breed others.
            bad = {m[len(where)] for m in self._wrong_places if m[: len(where)] == where and len(m) > len(where)}
            left = {key: one for key, one in keys.items() if key not in bad} if isinstance(keys, dict) else {}
            service = self._valid(ComposeService, left, where) or ComposeService()
        if service.profiles:
            # Compose leaves such a service alone unless its profile is asked for.
            return None
        if service.ports:
            self._published.append(name)
        own = service.harness
        folder = self._path.parent
        working_dir = own.process.working_dir or service.working_dir
        command = own.process.command or (*(service.entrypoint or ()), *(service.command or ())) or None
        environment = {**service.environment, **own.process.environment}
        return Service(
            name=name,
            command=command,
            environment={k: v for k, v in self._given(environment).items() if v is not None},
            port=own.port or next(iter((*service.ports, *service.expose)), None),
            working_dir=(folder / working_dir).resolve() if working_dir else None,
            health=self._health(service, where),
            depends_on=dict(service.depends_on),
            stop_grace_s=service.stop_grace_period,
            ready_path=own.ready,
            actuator_path=own.actuator,
            replication_path=own.replication,
            line=self._document.line(where),
            state=None if own.state is None else StatePlace(of=own.state.of, port=own.state.port, path=own.state.path),
            direct=own.direct,
        )

    def _given(self, environment: Mapping[str, str | None]) -> dict[str, str | None]:
        """A key without a value takes the one outside, as in Compose."""
        return {key: self._environment.get(key) if text is None else text for key, text in environment.items()}

    def _health(self, service: ComposeService, where: Where) -> HealthCheck | None:
        health = service.healthcheck
        if health is None or health.disable or not health.test:
            return None
        shell, test = isinstance(health.test, str), health.test
        words = [test] if isinstance(test, str) else test
        if not shell:
            kind, *words = words
            if kind == "NONE":
                return None
            if kind not in {"CMD", "CMD-SHELL"} or not words:
                message = f"healthcheck.test is {health.test!r}, must begin with CMD, CMD-SHELL or NONE"
                self._wrong((*where, "healthcheck", "test"), message, "test: [CMD, curl, -f, http://localhost:8080/]")
                return None
            shell = kind == "CMD-SHELL"
        return HealthCheck(
            test=tuple(words),
            shell=shell,
            interval_s=health.interval,
            timeout_s=health.timeout,
            retries=health.retries,
            start_period_s=health.start_period,
        )

    def _check_dependencies(self, services: dict[str, Service], written: Mapping[str, Any]) -> None:
        for name, service in services.items():
            for other in service.depends_on:
                if other not in written:
                    where = self._dependency(name, other)
                    hint = f"services: {', '.join(written)}"
                    self._wrong(where, f"{name} depends on {other!r}, which is no service", hint)
        if ring := ring_of({name: s.depends_on for name, s in services.items()}):
            self._wrong(("services", ring[0], "depends_on"), f"services wait for each other: {' -> '.join(ring)}")

    def _dependency(self, name: str, other: str) -> Where:
        written = self._document.data["services"][name]["depends_on"]
        place = written.index(other) if isinstance(written, list) and other in written else other
        return ("services", name, "depends_on", place)

    def _profile(self, name: str, words: SystemWords) -> Profile:
        profile = words.profiles[name]
        requests = []
        for request in profile.requests:
            method, _, path = request.name.partition(" ")
            requests.append(
                RequestTemplate(
                    name=request.name,
                    weight=request.weight,
                    to=request.to or words.entry or "",
                    method=request.method or method,
                    path=request.path or path,
                    headers=dict(request.headers),
                    json=request.json_,
                    key=request.key,
                    ok=request.ok,
                )
            )
        data = {
            key: {
                kind: list(value) if isinstance(value, tuple) else value
                for kind, value in source.model_dump(exclude_unset=True).items()
            }
            for key, source in profile.data.items()
        }
        return Profile(name=name, requests=tuple(requests), data=data)

    def _filled(self, value: Any, where: Where) -> Any:
        """The value with its variables filled in. Values of an environment stay the text they were written as."""
        if isinstance(value, dict):
            return {key: self._filled(one, (*where, key)) for key, one in value.items()}
        if isinstance(value, list):
            return [self._filled(one, (*where, number)) for number, one in enumerate(value)]
        if value is not None and not isinstance(value, str):
            as_text = _stays_text(where)
            return self._document.texts.get(where, value) if as_text else value
        if value is None or "$" not in value:
            return value
        try:
            return interpolate(value, self._environment)
        except ValueError as error:
            secret = stands_secret(where) and not isinstance(error, Unset)
            self._wrong(where, "its value cannot be read; write $$ for a dollar" if secret else str(error))
            return ""

    def _valid(self, model: type[M], data: Any, where: Where) -> M | None:
        try:
            return model.model_validate(data, by_alias=True, by_name=False)
        except ValidationError as error:
            for finding in findings(error, data, model, where):
                self._note(finding)
            return None

    def _note(self, finding: Finding) -> None:
        self._wrong(finding.where, finding.message, finding.hint)

    def _wrong(self, where: Where, message: str, hint: str | None = None) -> None:
        self._wrong_places.append(where)
        self.mistakes.append(Mistake(self._document.file, self._document.line(where), message, hint))


def _stays_text(where: Where) -> bool:
    return (
        len(where) > 3 and where[0] == "services" and bool({"environment", "command", "entrypoint"} & set(where[2:-1]))
    )


def _with_port(service: Service, port: int | None) -> Service:
    """The same service, reached by the port its callers name when it declares none."""
    return replace(service, port=port) if service.port is None and port is not None else service
