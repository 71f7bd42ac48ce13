"""
The keys of a Compose file that matter here, and those of its `x-harness:` extension, as a person writes them.

Standard keys that say nothing to us (image, networks, volumes ...) are passed
over; in the extension an unknown key is a mistake.
"""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from harness import units
from harness.secrets import MASK, is_secret_name
from harness.system.objectives import ObjectiveWords
from harness.words import PositiveSeconds, Words

PATH = r"^/[\x21-\x7e]*$"
TEMPLATE_NAME = re.compile(r"\{([A-Za-z_][\w-]*)\}")


def _words(value: Any) -> Any:
    """A command: a line as a shell would cut it, or a list of words."""
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as error:
            raise ValueError(f"{value!r} cannot be cut into words: {error}") from None
    if isinstance(value, list) and all(isinstance(v, str | int | float) for v in value):
        return [str(v).lower() if isinstance(v, bool) else str(v) for v in value]
    if value is None:
        return None
    raise ValueError(f"{value!r} is not a command; write a line, or a list of words")


def _values(value: Any) -> Any:
    """An environment: keys and values, or a list of KEY=VALUE. A key without a value is taken from outside."""
    if value is None:
        return {}
    if isinstance(value, list):
        found: dict[str, str | None] = {}
        for item in value:
            if not isinstance(item, str):
                raise ValueError(f"{item!r} is not KEY=VALUE")  # noqa: TRY004  # pydantic reads ValueError only
            key, sign, text = item.partition("=")
            found[key] = text if sign else None
        return found
    if isinstance(value, dict):
        wrong = [key for key, one in value.items() if isinstance(one, dict | list)]
        if wrong:
            shown = MASK if is_secret_name(str(wrong[0])) else repr(value[wrong[0]])
            raise ValueError(f"{wrong[0]} is {shown}, must be a single value")
        return {key: _plain(one) for key, one in value.items()}
    raise ValueError(f"{value!r} is not an environment; write KEY: value, or a list of KEY=VALUE")


def _plain(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def _span(value: Any) -> float:
    return units.duration_s(value) if value != 0 else 0.0


def port_number(value: Any) -> int:
    """The port a service listens on, out of any of Compose's forms: `8080`, `80:8080/tcp`, {target: 8080}."""
    target = value.get("target") if isinstance(value, dict) else value
    text = str(target).rpartition(":")[2].partition("/")[0].partition("-")[0]
    if re.fullmatch(r"\d{1,5}", text) and 0 < int(text) < 65536:
        return int(text)
    raise ValueError(f'{value!r} is not a port; write 8080 or "80:8080"')


def _ports(value: Any) -> Any:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is not a list of ports")  # noqa: TRY004  # pydantic reads ValueError only
    return [port_number(one) for one in value]


def _depends(value: Any) -> Any:
    if value is None:
        return {}
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return dict.fromkeys(value, "service_started")
    if isinstance(value, dict):
        return {
            name: how.get("condition", "service_started") if isinstance(how, dict) else how or "service_started"
            for name, how in value.items()
        }
    raise ValueError(f"{value!r} is not a list of services")


Command = Annotated[tuple[str, ...] | None, BeforeValidator(_words)]
Environment = Annotated[dict[str, str | None], BeforeValidator(_values)]
Span = Annotated[float, BeforeValidator(_span)]
Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]


class ComposeHealth(BaseModel):
    """`healthcheck:` of a service."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    test: str | list[str] | None = None
    interval: Span = 1.0
    timeout: Span = 5.0
    retries: int = Field(3, ge=1)
    start_period: Span = 0.0
    disable: bool = False


class ProcessWords(Words):
    """What is different when the service is started as a plain process instead of a container."""

    working_dir: str | None = Field(None, description="folder to start in, relative to the Compose file")
    command: Command = Field(None, description="command to use instead")
    environment: Environment = Field(default_factory=dict, description="values set instead of or beside the others")


class StateWords(Words):
    """Where a service tells the state of the nodes it looks after, or its own."""

    of: Literal["instances", "redis"] = Field(description="instances: those behind a balancer; redis: roles")
    port: int | None = Field(None, ge=1, le=65535, description="a port of its own that answers; absent: the service's")
    path: str = Field("/state", pattern=PATH, description="path of the answer")


class ServiceWords(Words):
    """`x-harness:` of a service."""

    ready: str | None = Field(None, pattern=PATH, description="path that answers 200 once the service is ready")
    actuator: str | None = Field(None, pattern=PATH, description="path of its actuator: /actuator")
    replication: str | None = Field(
        None, pattern=PATH, description="path where a database node says its role and position: /replication"
    )
    port: int | None = Field(None, ge=1, le=65535, description="the port others reach it by")
    state: StateWords | None = Field(None, description="where it tells states: {of: instances, path: /haproxy/state}")
    direct: tuple[str, ...] = Field((), description="services it reaches past the proxies: no link, no faults, no rows")
    process: ProcessWords = Field(default_factory=ProcessWords, description="what differs as a plain process")


class ComposeService(BaseModel):
    """One entry of `services:`."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    command: Command = None
    entrypoint: Command = None
    environment: Environment = Field(default_factory=dict)
    ports: Annotated[tuple[int, ...], BeforeValidator(_ports)] = ()
    expose: Annotated[tuple[int, ...], BeforeValidator(_ports)] = ()
    working_dir: str | None = None
    healthcheck: ComposeHealth | None = None
    depends_on: Annotated[dict[str, Condition], BeforeValidator(_depends)] = Field(default_factory=dict)
    stop_grace_period: Span = 10.0
    profiles: list[str] = Field(default_factory=list)
    harness: ServiceWords = Field(default_factory=ServiceWords, alias="x-harness")


class LinkWords(Words):
    """A link that cannot be read out of an environment value, or one that needs to be told more exactly."""

    from_: str = Field(alias="from", description="the service that calls")
    to: str = Field(description="the service that is called")
    port: int = Field(ge=1, le=65535, description="the port that is called")
    protocol: Literal["auto", "http", "raw"] = Field("auto", description="raw: not HTTP, count bytes only")
    variable: str | None = Field(None, description="environment value that holds the bare name of the service")


class RequestWords(Words):
    """One kind of request of a profile."""

    name: str = Field(min_length=1, description="how reports call it: POST /orders")
    weight: float = Field(1.0, ge=0, le=1e6, allow_inf_nan=False, description="how often, against the others")
    method: str | None = Field(None, pattern=r"^[A-Z]{3,10}$", description="HTTP method; absent: read from the name")
    path: str | None = Field(None, pattern=PATH, description="path with {data} in it; absent: read from the name")
    headers: dict[str, str] = Field(default_factory=dict, description="headers; values may hold {data}")
    json_: Any = Field(None, alias="json", description="body; texts in it may hold {data}")
    key: str | None = Field(None, description="business key of the effect it asks for: {key}")
    to: str | None = Field(None, description="service it enters by; absent: the system's entry")
    ok: tuple[Annotated[int, Field(ge=100, le=599)], ...] = Field((), description="good statuses; absent: below 400")

    @model_validator(mode="after")
    def _has_method_and_path(self) -> RequestWords:
        if (self.method is None or self.path is None) and not re.fullmatch(r"[A-Z]{3,10} /[\x21-\x7e]*", self.name):
            raise ValueError(f"name {self.name!r} does not read METHOD /path; say method and path beside it")
        return self


class DataWords(Words):
    """Where the values of one name of a profile's data come from."""

    integer: tuple[int, int] | None = Field(None, description="a whole number between two: [1, 100]")
    choice: tuple[Any, ...] | None = Field(None, min_length=1, description="one of these")
    unique: str | None = Field(None, description="a text never given before, with this prefix")
    earlier: str | None = Field(None, description="one of the last twenty texts given for this unique name")

    @model_validator(mode="after")
    def _one_source(self) -> DataWords:
        if len(self.model_fields_set) != 1:
            raise ValueError("say one of integer: [1, 100], choice: [a, b], unique: prefix, earlier: name")
        if self.integer and self.integer[0] > self.integer[1]:
            raise ValueError(f"integer is {list(self.integer)}, must be [smallest, largest]")
        return self


class ProfileWords(Words):
    """A weighted mix of requests."""

    requests: tuple[RequestWords, ...] = Field(min_length=1, description="the kinds of requests")
    data: dict[str, DataWords] = Field(default_factory=dict, description="what {name} in requests is drawn from")

    @model_validator(mode="after")
    def _asks_for_something(self) -> ProfileWords:
        if not any(request.weight for request in self.requests):
            raise ValueError("no request has a weight above 0")
        return self


class LedgerWords(Words):
    """Where effects can be read back."""

    service: str = Field(description="the service that keeps it")
    also: tuple[str, ...] = Field((), description="further services that keep a part of it, read the same way")
    path: str = Field(pattern=PATH, description="path that answers with the entries")
    asked_by: str = Field(description="name of the request that asks for the effect")
    read_by: str | None = Field(
        None, description="name of the request that reads one effect by its key; 404: not there"
    )
    key: str = Field("key", min_length=1, description="field of an entry that holds the business key")
    acknowledged: tuple[Annotated[int, Field(ge=100, le=599)], ...] = Field(
        (), description="statuses that promise the effect; absent: every good one"
    )
    settled_within: PositiveSeconds | None = Field(
        None, description="how long after the load an acknowledged effect may still be on its way; absent: not at all"
    )


class GroupWords(Words):
    """Services that stand or fall together: a region, a zone, a rack."""

    services: tuple[str, ...] = Field(min_length=1, description="its services")
    data: str | None = Field(None, description="what becomes of its data while it is lost, for people")


class SystemWords(Words):
    """`x-harness:` at the top of the file."""

    entry: str | None = Field(None, description="the service by which load enters")
    links: tuple[LinkWords, ...] = Field((), description="links the environment does not tell")
    profiles: dict[str, ProfileWords] = Field(default_factory=dict, description="mixes of requests")
    slos: tuple[ObjectiveWords, ...] = Field((), description="objectives")
    ledgers: dict[str, LedgerWords] = Field(default_factory=dict, description="where effects can be read back")
    groups: dict[str, GroupWords] = Field(default_factory=dict, description="services that stand or fall together")
