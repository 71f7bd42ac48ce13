"""
What a shop service is told by its environment, and the defaults of its protections.

The protections speak Resilience4j's own keys; an environment variable of the same dotted name overrides a
default, for example `resilience4j.circuitbreaker.instances.payment.enabled=false`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s)")
_SWITCH = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}

_DEGRADE = re.compile(r"(breaker) (\w+) OPEN|(error-rate) (\w+) (\S+)% (\S+)%|(latency) (\w+) (\S+) (\S+)")

PAYMENT_STYLES = ("resilience4j", "hystrix", "feign", "retryable")
NEIGHBOURS = ("user", "product", "recommendation", "payment")
DEGRADABLE = "recommendation"


class SettingsError(Exception):
    """The environment does not say what the service needs, or says it wrongly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings every service has."""

    service: str
    host: str
    port: int
    workers: int
    queue: int
    deadline_s: float  # a request is answered by then, its wait for a worker included
    ledger: Path | None
    idempotency: bool
    database_url: str | None = None  # PostgreSQL instead of the file of ledger
    read_database_url: str | None = None  # where an order is looked up by its key: a replica, as it may be
    database_connections: int = 8
    database_wait_s: float = 1.0  # how long a request waits for the database
    exposed: str = "*"  # endpoints of the actuator that answer
    deadline_travels: bool = True  # neighbours are told how long we wait, and we heed what we are told


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradeWhen:
    """A rule that degrades: what is looked at (`breaker`, `error-rate`, `latency`), of whom, and both thresholds.

    Thresholds are percent for error-rate, milliseconds for latency, and for a breaker the signal's own numbers.
    """

    looks_at: str
    neighbour: str
    enter: float
    leave: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSettings:
    """What only the order service is told."""

    urls: dict[str, str]
    fallbacks: dict[str, bool]
    lookup_s: float  # the look-ups of an order have this long together; the rest is for the charge
    product_cache_s: float  # how long a product is fresh; 0 asks the product service every time
    settle_interval_s: float
    settle_batch: int
    degrade_recommendation: DegradeWhen | None = None
    degrade_stay_s: float = 1.0  # a rule leaves its flag alone for so long after each change
    payment_style: str = "resilience4j"  # whose front end protects payment: see styles.py
    blocking: frozenset[str] = frozenset()  # neighbours asked by a blocking client, in threads
    shared_pool: bool = False  # their threads: of one pool for all, or a pool for each
    deadline_travels: bool = True  # as of every service
    degradation_file: Path | None = None  # where flags that people set outlive the process
    cache_urls: tuple[str, ...] = ()  # Redis, for copies of products that all instances share


@dataclass(frozen=True, slots=True)
class _Environment:
    values: Mapping[str, str]
    mistakes: list[str] = field(default_factory=list)

    def read(self, name: str, default: str | None, convert: Callable[[str], T]) -> T | None:
        text = self.values.get(name, default)
        if text is None or not text.strip():
            self.mistakes.append(f"{name} is not set")
            return None
        try:
            return convert(text.strip())
        except ValueError as problem:
            self.mistakes.append(f"{name} is {text!r}: {problem}")
            return None


def read_settings(service: str, values: Mapping[str, str], *, port: int, keeps_ledger: bool = False) -> Settings:
    """The settings of a service; port is its default. Raises SettingsError with every mistake in it."""
    environment = _Environment(values)
    database_url = environment.read("DATABASE_URL", "off", _or_off(_database_url))
    settings = {
        "host": environment.read("HOST", "0.0.0.0", str),  # noqa: S104  # a container is reached from outside
        "port": environment.read("PORT", str(port), _whole(1, 65535)),
        "workers": environment.read("SHOP_WORKERS", "64", _whole(1, 10_000)),
        "queue": environment.read("SHOP_QUEUE", "256", _whole(0, 100_000)),
        "deadline_s": environment.read("SHOP_DEADLINE", "1350ms", _span_s),
        "ledger": environment.read("LEDGER", None, Path) if keeps_ledger and not database_url else None,
        "database_url": database_url if keeps_ledger else None,
        "read_database_url": environment.read("READ_DATABASE_URL", "off", _or_off(_database_url)),
        "database_connections": environment.read("SHOP_DATABASE_CONNECTIONS", "8", _whole(1, 1000)),
        "database_wait_s": environment.read("SHOP_DATABASE_WAIT", "1s", _span_s),
        "exposed": environment.read("management.endpoints.web.exposure.include", "*", str),
        "idempotency": environment.read("SHOP_IDEMPOTENCY", "on", _switch),
        "deadline_travels": environment.read("SHOP_DEADLINE_TRAVELS", "on", _switch),
    }
    _raise(service, environment)
    return Settings(service=service, **settings)  # type: ignore[arg-type]  # None only with a mistake


def read_order_settings(values: Mapping[str, str]) -> OrderSettings:
    """What the order service needs besides. Raises SettingsError with every mistake in it."""
    environment = _Environment(values)
    settings = {
        "urls": {n: environment.read(f"{n.upper()}_URL", None, _url) for n in NEIGHBOURS},
        "fallbacks": {n: environment.read(f"SHOP_FALLBACK_{n.upper()}", "on", _switch) for n in NEIGHBOURS},
        "lookup_s": environment.read("SHOP_LOOKUP_TIME", "700ms", _span_s),
        "product_cache_s": environment.read("SHOP_PRODUCT_CACHE", "0s", _span_s),
        "settle_interval_s": environment.read("SHOP_SETTLE_INTERVAL", "250ms", _span_s),
        "settle_batch": environment.read("SHOP_SETTLE_BATCH", "8", _whole(1, 100)),
        "degrade_recommendation": environment.read("SHOP_DEGRADE_RECOMMENDATION", "off", _or_off(_degrade_when)),
        "degrade_stay_s": environment.read("SHOP_DEGRADE_STAY", "1s", _span_s),
        "payment_style": environment.read("SHOP_PAYMENT_STYLE", "resilience4j", _one_of(PAYMENT_STYLES)),
        "blocking": environment.read("SHOP_BLOCKING", "off", _neighbours),
        "shared_pool": environment.read("SHOP_POOL", "own", _one_of(("own", "shared"))) == "shared",
        "deadline_travels": environment.read("SHOP_DEADLINE_TRAVELS", "on", _switch),
        "degradation_file": environment.read("SHOP_DEGRADATION_FILE", "off", _or_off(Path)),
        "cache_urls": environment.read("CACHE_URLS", "off", _redis_urls),
    }
    _raise("order", environment)
    return OrderSettings(**settings)  # type: ignore[arg-type]  # None only with a mistake


def read_charge_s(values: Mapping[str, str]) -> tuple[float, float]:
    """How many seconds the payment service takes over a charge, and keeps for its answer. Raises SettingsError."""
    environment = _Environment(values)
    charge_s = environment.read("SHOP_CHARGE_TIME", "0ms", _span_s)
    answer_s = environment.read("SHOP_ANSWER_TIME", "0ms", _span_s)
    _raise("payment", environment)
    assert charge_s is not None, "a mistake was raised"
    assert answer_s is not None, "a mistake was raised"
    return charge_s, answer_s


def _raise(service: str, environment: _Environment) -> None:
    if environment.mistakes:
        raise SettingsError(f"settings of {service}: " + "; ".join(environment.mistakes))


def _whole(least: int, most: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise ValueError(f"must lie between {least} and {most}")
        return value

    return convert


def _one_of(words: Sequence[str]) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"write one of {', '.join(words)}")
        return text.lower()

    return convert


def _neighbours(text: str) -> frozenset[str]:
    names = frozenset() if _SWITCH.get(text.lower()) is False else frozenset(re.split(r"[,\s]+", text))
    if not names <= {"user", "product", "recommendation"}:
        raise ValueError("write off, or names out of user, product, recommendation")
    return names


def _span_s(text: str) -> float:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError("write a number and a unit: 250ms, 2s")
    return float(found.group(1)) * (0.001 if found.group(2) == "ms" else 1.0)


def _or_off(convert: Callable[[str], T]) -> Callable[[str], T | None]:
    return lambda text: None if _SWITCH.get(text.lower()) is False else convert(text)


def _degrade_when(text: str) -> DegradeWhen:
    found = _DEGRADE.fullmatch(text)
    parts = [part for part in found.groups() if part is not None] if found else ["", ""]
    looks_at, neighbour = parts[:2]
    if neighbour not in NEIGHBOURS:
        raise ValueError(
            "write off, breaker NAME OPEN, error-rate NAME 50% 20% or latency NAME 300ms 100ms,"
            f" with one of {', '.join(NEIGHBOURS)}"
        )
    if looks_at == "breaker":
        # Its own breaker closes again only if it is asked: so the flag falls when trial calls are permitted.
        return DegradeWhen(looks_at=looks_at, neighbour=neighbour, enter=1.0, leave=0.5 * (neighbour == DEGRADABLE))
    enter, leave = (float(part) if looks_at == "error-rate" else _span_s(part) * 1000 for part in parts[2:])
    if not 0 <= leave < enter:
        raise ValueError(f"it is left at {leave:g}, which must be below {enter:g}, where it is entered")
    return DegradeWhen(looks_at=looks_at, neighbour=neighbour, enter=enter, leave=leave)


def _redis_urls(text: str) -> tuple[str, ...]:
    urls = () if _SWITCH.get(text.lower()) is False else tuple(re.split(r"[,\s]+", text))
    if not all(url.startswith("redis://") for url in urls):
        raise ValueError("write off, or redis://host:port, several with blanks between")
    return urls


def _switch(text: str) -> bool:
    try:
        return _SWITCH[text.lower()]
    except KeyError:
        raise ValueError("write on or off") from None


def _database_url(text: str) -> str:
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("write postgresql://user@host:port/database")
    return text


def _url(text: str) -> str:
    if not text.startswith("http://"):
        raise ValueError("write http://host:port")
    return text.rstrip("/")
