"""
What only the whole Compose file can tell: names in `x-harness:` that have to exist elsewhere in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from harness.system.compose_words import TEMPLATE_NAME, ProfileWords, SystemWords
from harness.system.document import Where, did_you_mean
from harness.system.mistakes import Finding
from harness.system.model import Service

EXTENSION = "x-harness"


def cross_check(services: Mapping[str, Service], words: SystemWords) -> Iterator[Finding]:
    """Every name that does not exist, every name given twice."""
    for name, profile in words.profiles.items():
        yield from _profile(profile, (EXTENSION, "profiles", name), words.entry)
        yield from _data(profile, (EXTENSION, "profiles", name))
    yield from _direct(services)
    yield from _groups(services, words)
    yield from _objectives(words)
    yield from _ledgers(services, words)


def _request_names(words: SystemWords) -> list[str]:
    return list(dict.fromkeys(r.name for p in words.profiles.values() for r in p.requests))


def _profile(profile: ProfileWords, where: Where, entry: str | None) -> Iterator[Finding]:
    seen: set[str] = set()
    for number, request in enumerate(profile.requests):
        place = (*where, "requests", number)
        if request.name in seen:
            message = f"two requests are called {request.name!r}"
            yield Finding(where=(*place, "name"), message=message, hint="give one of them a name of its own")
        seen.add(request.name)
        if request.to is None and entry is None:
            message = f"{request.name} enters nowhere: it has no `to`, and the system no `entry`"
            yield Finding(where=place, message=message, hint=f"{EXTENSION}: {{entry: order}}")
        texts = {
            "path": request.path or request.name.partition(" ")[2],
            "headers": json.dumps(request.headers),
            "json": json.dumps(request.json_),
            "key": request.key or "",
        }
        for key, text in texts.items():
            for name in dict.fromkeys(TEMPLATE_NAME.findall(text)):
                if name not in profile.data:
                    message = f"{key} of {request.name} holds {{{name}}}, which data does not say how to draw"
                    hint = did_you_mean(name, list(profile.data)) or f"data: {{{name}: {{integer: [1, 100]}}}}"
                    yield Finding(where=(*place, key), message=message, hint=hint)


def _data(profile: ProfileWords, where: Where) -> Iterator[Finding]:
    for name, words in profile.data.items():
        other = profile.data.get(words.earlier) if words.earlier is not None else None
        if words.earlier is not None and (other is None or other.unique is None):
            message = f"earlier is {words.earlier!r}, which is no unique name of this profile"
            unique = [one for one, found in profile.data.items() if found.unique is not None]
            hint = did_you_mean(words.earlier, unique) or "give that one unique: prefix"
            yield Finding(where=(*where, "data", name, "earlier"), message=message, hint=hint)


def _direct(services: Mapping[str, Service]) -> Iterator[Finding]:
    for name, service in services.items():
        for number, other in enumerate(service.direct):
            if other not in services:
                where = ("services", name, EXTENSION, "direct", number)
                hint = did_you_mean(other, list(services))
                yield Finding(where=where, message=f"direct names {other!r}, which is no service", hint=hint)


def _groups(services: Mapping[str, Service], words: SystemWords) -> Iterator[Finding]:
    for name, group in words.groups.items():
        for number, member in enumerate(group.services):
            where = (EXTENSION, "groups", name, "services", number)
            if member not in services:
                hint = did_you_mean(member, list(services))
                yield Finding(where=where, message=f"group {name} names {member!r}, which is no service", hint=hint)
            elif member in group.services[:number]:
                yield Finding(where=where, message=f"group {name} names {member} twice", hint="keep one of them")


def _objectives(words: SystemWords) -> Iterator[Finding]:
    requests = _request_names(words)
    seen: set[str] = set()
    for number, objective in enumerate(words.slos):
        where = (EXTENSION, "slos", number)
        if objective.name in seen:
            yield Finding(where=(*where, "name"), message=f"two slos are called {objective.name!r}")
        seen.add(objective.name)
        if (ledger := objective.indicator.failover) is not None:
            if ledger not in words.ledgers:
                message = f"indicator is over {ledger!r}, which is no ledger"
                hint = did_you_mean(ledger, list(words.ledgers))
                yield Finding(where=(*where, "indicator", "failover"), message=message, hint=hint)
            continue
        kind = "latency" if objective.indicator.latency is not None else "availability"
        of = objective.indicator.latency or objective.indicator.availability or ""
        if of not in requests:
            message = f"indicator is over {of!r}, which no profile sends"
            yield Finding(where=(*where, "indicator", kind), message=message, hint=did_you_mean(of, requests))


def _ledgers(services: Mapping[str, Service], words: SystemWords) -> Iterator[Finding]:
    requests = _request_names(words)
    keyed = {r.name for p in words.profiles.values() for r in p.requests if r.key is not None}
    for name, ledger in words.ledgers.items():
        where = (EXTENSION, "ledgers", name)
        if ledger.service not in services:
            message = f"service is {ledger.service!r}, which is no service"
            hint = did_you_mean(ledger.service, list(services))
            yield Finding(where=(*where, "service"), message=message, hint=hint)
        for number, other in enumerate(ledger.also):
            if other not in services:
                message = f"also names {other!r}, which is no service"
                hint = did_you_mean(other, list(services))
                yield Finding(where=(*where, "also", number), message=message, hint=hint)
        if ledger.read_by is not None and ledger.read_by not in keyed:
            message = f"read_by is {ledger.read_by!r}, which no profile sends with a key"
            yield Finding(where=(*where, "read_by"), message=message, hint=did_you_mean(ledger.read_by, sorted(keyed)))
        if ledger.asked_by not in requests:
            message = f"asked_by is {ledger.asked_by!r}, which no profile sends"
            yield Finding(where=(*where, "asked_by"), message=message, hint=did_you_mean(ledger.asked_by, requests))
        elif ledger.asked_by not in keyed:
            message = f"asked_by is {ledger.asked_by!r}, which has no key, so its effects cannot be told apart"
            yield Finding(where=(*where, "asked_by"), message=message, hint='give the request a key: "{key}"')


def ring_of(graph: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A ring of services that wait for each other, if there is one."""
    done: set[str] = set()

    for start in graph:
        trail: list[str] = []
        stack = [(start, iter(graph[start]))]
        while stack:
            name, following = stack[-1]
            if name not in trail:
                trail.append(name)
            other = next((o for o in following if o in graph and o not in done), None)
            if other is None:
                done.add(name)
                trail.remove(name)
                stack.pop()
            elif other in trail:
                return [*trail[trail.index(other) :], other]
            else:
                stack.append((other, iter(graph[other])))
    return []
