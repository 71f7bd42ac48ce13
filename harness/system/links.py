"""
Which service calls which, read out of environment values and commands: `PAYMENT_URL: http://payment:8080`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from harness.system.compose_words import SystemWords
from harness.system.document import did_you_mean
from harness.system.mistakes import Finding
from harness.system.model import Service, SystemLink
from harness.words import LOAD_CLIENT

EXTENSION = "x-harness"


def address_pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Finds `name:port` for any of the names, wherever it does not stand inside a longer word."""
    longest_first = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) or r"(?!)"
    return re.compile(rf"(?<![\w.-])({longest_first}):(\d{{1,5}})(?![\w.]*\w)")


def named_addresses(text: str, pattern: re.Pattern[str]) -> list[tuple[str, int]]:
    """Every service and port that a text names."""
    return [(name, int(port)) for name, port in pattern.findall(text) if 0 < int(port) < 65536]


def read_links(
    services: Mapping[str, Service], words: SystemWords
) -> tuple[tuple[SystemLink, ...], dict[str, int], list[Finding]]:
    """The links, the load's first; the ports by which services without one are called; what is wrong."""
    found: list[Finding] = []
    told = {link.name: link for link in _told(services, words, found)}
    read = {link.name: link for link in _read(services, frozenset(told), found)}
    ports = {link.upstream: link.port for link in (*read.values(), *told.values())}
    entries = _entries(services, words, ports, found)
    return (*entries, *read.values(), *told.values()), ports, found


def _told(services: Mapping[str, Service], words: SystemWords, found: list[Finding]) -> Iterator[SystemLink]:
    seen = set()
    for number, link in enumerate(words.links):
        where = (EXTENSION, "links", number)
        for key, name in (("from", link.from_), ("to", link.to)):
            if name not in services:
                message = f"{key} is {name!r}, which is no service"
                found.append(Finding(where=(*where, key), message=message, hint=did_you_mean(name, list(services))))
        if (pair := (link.from_, link.to)) in seen:
            found.append(Finding(where=where, message=f"link {link.from_}->{link.to} is declared twice"))
            continue
        seen.add(pair)
        client = services.get(link.from_)
        if link.variable is not None and client is not None and client.environment.get(link.variable) != link.to:
            message = f"variable is {link.variable!r}, but {link.from_} has no value {link.to!r} of that name"
            hint = "variable names the value that holds the bare host name"
            found.append(Finding(where=(*where, "variable"), message=message, hint=hint))
        yield SystemLink(
            client=link.from_, upstream=link.to, port=link.port, protocol=link.protocol, variable=link.variable
        )


def _read(services: Mapping[str, Service], told: frozenset[str], found: list[Finding]) -> Iterator[SystemLink]:
    pattern = address_pattern(services)
    for service in services.values():
        seen: dict[str, SystemLink] = {}
        for variable, text in _texts(service):
            for upstream, port in named_addresses(text, pattern):
                link = SystemLink(client=service.name, upstream=upstream, port=port, variable=variable)
                if upstream == service.name or upstream in service.direct or link.name in told:
                    continue
                other = seen.setdefault(link.name, link)
                if other.port != port:
                    key = ("environment", variable) if variable else ("command",)
                    message = f"{link.name} is named with two ports, {other.port} and {port}; a link has one"
                    hint = (
                        f"say which: {EXTENSION}: {{links: [{{from: {service.name}, to: {upstream}, port: {port}}}]}}"
                    )
                    found.append(Finding(where=("services", service.name, *key), message=message, hint=hint))
        yield from seen.values()


def _texts(service: Service) -> Iterator[tuple[str | None, str]]:
    yield from service.environment.items()
    for word in service.command or ():
        yield None, word


def _entries(
    services: Mapping[str, Service], words: SystemWords, ports: Mapping[str, int], found: list[Finding]
) -> list[SystemLink]:
    wanted: dict[str, tuple[str | int, ...]] = {}
    if words.entry is not None:
        wanted[words.entry] = (EXTENSION, "entry")
    for name, profile in words.profiles.items():
        for number, request in enumerate(profile.requests):
            if request.to is not None:
                wanted.setdefault(request.to, (EXTENSION, "profiles", name, "requests", number, "to"))
    entries = []
    for name, where in wanted.items():
        service = services.get(name)
        if service is None:
            message = f"{where[-1]} is {name!r}, which is no service"
            found.append(Finding(where=where, message=message, hint=did_you_mean(name, list(services))))
            continue
        port = service.port or ports.get(name)
        if port is None:
            message = f"load enters by {name}, which declares no port"
            hint = f"services: {{{name}: {{expose: [8080]}}}}, or {EXTENSION}: {{port: 8080}}"
            found.append(Finding(where=where, message=message, hint=hint))
            continue
        entries.append(SystemLink(client=LOAD_CLIENT, upstream=name, port=port, protocol="auto"))
    return entries
