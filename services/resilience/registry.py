"""
The registry: every policy of one service by name, out of one configuration.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.resilience import actuator, builders, metrics, spring_file
from services.resilience.bulkhead import Bulkhead
from services.resilience.circuit_breaker import CircuitBreaker
from services.resilience.clock import Clock, SystemClock
from services.resilience.errors import ConfigError, Problem
from services.resilience.fallback import Fallback, Handler
from services.resilience.hystrix_config import HystrixSettings, keys_of
from services.resilience.keys import MODULES, NO_EFFECT, SPELLED, canonical
from services.resilience.lint import Finding, lint
from services.resilience.pipeline import Pipeline, Policy
from services.resilience.rate_limiter import RateLimiter
from services.resilience.retry import Retry
from services.resilience.settings import Entries, Settings
from services.resilience.thread_pool_bulkhead import ThreadPoolBulkhead
from services.resilience.time_limiter import TimeLimiter

if TYPE_CHECKING:
    from services.resilience.hystrix import Hystrix

logger = logging.getLogger(__name__)

_BUILDERS: dict[str, Callable[..., Any]] = {
    "circuitbreaker": builders.circuit_breaker,
    "retry": builders.retry,
    "bulkhead": builders.bulkhead,
    "threadpoolbulkhead": builders.thread_pool_bulkhead,
    "timelimiter": builders.time_limiter,
    "ratelimiter": builders.rate_limiter,
}
_CLASSES: dict[str, Callable[..., Any]] = {
    "circuitbreaker": CircuitBreaker,
    "retry": Retry,
    "bulkhead": Bulkhead,
    "threadpoolbulkhead": ThreadPoolBulkhead,
    "timelimiter": TimeLimiter,
    "ratelimiter": RateLimiter,
}


class Registry:
    """Policies by module and name; the same object for the same name. Everything declared is made, and checked, at once.

    `warnings` holds what was accepted but does nothing, for example a Java exception that has no Python counterpart.
    `hystrix` has the commands of the keys under `hystrix` that the same configuration holds; `hystrix_keys` are these
    keys, dotted and checked.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        clock: Clock | None = None,
        *,
        hystrix_keys: Mapping[str, Any] | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.warnings: list[str] = []
        self.hystrix_keys = dict(hystrix_keys or {})
        self._hystrix: Hystrix | None = None
        self._settings = settings or Settings()
        self._lock = threading.RLock()
        self._policies: dict[str, dict[str, Any]] = {module: {} for module in MODULES}
        self._pipelines: weakref.WeakSet[Pipeline] = weakref.WeakSet()
        self._curious: tuple[Callable[[str, Any], object], ...] = ()
        self._check()
        for module, names in self._settings.instances.items():
            for name in names:
                self._policy(module, name)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], *, clock: Clock | None = None) -> Registry:
        """A registry of nested or dotted keys that begin with `resilience4j` or `hystrix`; others are not looked at.

        Raises ConfigError with every mistake.
        """
        return cls(Settings.read(mapping), clock, hystrix_keys=keys_of(mapping))

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str],
        *,
        defaults: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
    ) -> Registry:
        """As from_mapping of `defaults`, overridden by environment variables.

        A variable is named by the dotted key itself or in capitals with `_` for `.`, dashes left out:
        RESILIENCE4J_RETRY_INSTANCES_PAYMENT_MAXATTEMPTS. In capitals it wins over dotted. Raises ConfigError.
        """
        settings = Settings.read(defaults or {}, environment)
        return cls(settings, clock, hystrix_keys=keys_of(defaults or {}, environment))

    @classmethod
    def from_yaml(
        cls,
        path: str | Path,
        *,
        environment: Mapping[str, str] | None = None,
        profiles: Collection[str] = (),
        clock: Clock | None = None,
    ) -> Registry:
        """A registry of a Spring service's `application.yml`, read as it is; what is not Resilience4j's is left alone.

        `environment` overrides keys as in from_environment and answers `${PLACEHOLDER:default}`; `profiles` are the
        active ones, for documents that hold for a profile. Needs PyYAML. Raises ConfigError with every mistake, each
        with file and line. (Spring's own rules: Externalized Configuration, in the Spring Boot reference.)
        """
        found = spring_file.read(path, environment=environment, profiles=profiles)
        ours = [line for line in found.lines if canonical(line.path[0]) == "resilience4j"]
        settings = Settings.read_lines([(line.path, line.value, line.place) for line in ours], environment)
        settings.problems[:0] = found.problems
        settings.warnings += found.warnings
        others = [line for line in found.lines if canonical(line.path[0]) == "hystrix" and line.value is not None]
        settings.places |= {line.key: line.place for line in others}
        return cls(settings, clock, hystrix_keys=keys_of({line.key: line.value for line in others}, environment))

    @property
    def hystrix(self) -> Hystrix:
        """The commands of this configuration's `hystrix` keys: `registry.hystrix.command("getUser")`, one of each key."""
        with self._lock:
            if self._hystrix is None:
                from services.resilience.hystrix import Hystrix

                self._hystrix = Hystrix(registry=self)
            return self._hystrix

    def circuit_breaker(self, name: str) -> CircuitBreaker:
        """The breaker of that name, made of the default configuration if none is declared."""
        found: CircuitBreaker = self._policy("circuitbreaker", name)
        return found

    def retry(self, name: str) -> Retry:
        """The retry of that name, made of the default configuration if none is declared."""
        found: Retry = self._policy("retry", name)
        return found

    def bulkhead(self, name: str) -> Bulkhead:
        """The bulkhead of that name, made of the default configuration if none is declared."""
        found: Bulkhead = self._policy("bulkhead", name)
        return found

    def thread_pool_bulkhead(self, name: str) -> ThreadPoolBulkhead:
        """The thread-pool bulkhead of that name, made of the default configuration if none is declared."""
        found: ThreadPoolBulkhead = self._policy("threadpoolbulkhead", name)
        return found

    def time_limiter(self, name: str) -> TimeLimiter:
        """The time limiter of that name, made of the default configuration if none is declared."""
        found: TimeLimiter = self._policy("timelimiter", name)
        return found

    def rate_limiter(self, name: str) -> RateLimiter:
        """The rate limiter of that name, made of the default configuration if none is declared."""
        found: RateLimiter = self._policy("ratelimiter", name)
        return found

    def pipeline(
        self, name: str, fallback: Mapping[type[Exception], Handler] | Handler | Fallback | None = None
    ) -> Pipeline:
        """Every policy declared for that name and not switched off, in Resilience4j's order or the aspect orders given.

        `fallback`: one handler, or handlers by exception class, each called as handler(exception, *args, **kwargs).
        """
        orders = self._settings.orders
        policies: list[Policy] = [
            self._policy(module, name)
            for aspect in sorted(orders, key=orders.__getitem__)
            for module in ((aspect, "threadpoolbulkhead") if aspect == "bulkhead" else (aspect,))
            if self._is_on(module, name)
        ]
        made = Pipeline(name, policies, fallback)
        with self._lock:
            self._pipelines.add(made)
        return made

    def pipelines(self) -> list[Pipeline]:
        """Every pipeline made here and still in use, and one for each declared name that has none, by name."""
        with self._lock:
            made = list(self._pipelines)
        known = {pipeline.name for pipeline in made}
        names = {name for table in self._settings.instances.values() for name in table}
        return sorted(made + [self.pipeline(name) for name in names - known], key=lambda pipeline: pipeline.name)

    def lint(self) -> list[Finding]:
        """What is misconfigured in this registry's pipelines, see services.resilience.lint."""
        return lint(self)

    def protect(
        self, name: str, fallback: Mapping[type[Exception], Handler] | Handler | Fallback | None = None
    ) -> Pipeline:
        """The same as a decorator: `@registry.protect("payment")`."""
        return self.pipeline(name, fallback)

    def all_of(self, module: str) -> Iterator[Any]:
        """The policies of a module that are on, by name. A breaker that is off is there too, and DISABLED."""
        with self._lock:
            policies = sorted(self._policies[module].items())
        return (policy for _, policy in policies if policy.config.enabled or module == "circuitbreaker")

    def add(self, module: str, policy: Any) -> None:
        """Show a policy that was made elsewhere among the others, in `actuator` and `metrics_text`.

        Raises ValueError if the module has another policy of that name.
        """
        with self._lock:
            if policy.name in self._policies[module]:
                if self._policies[module][policy.name] is not policy:
                    raise ValueError(f"there is a {module} {policy.name!r} already")
                return
            self._keep(module, policy)

    def for_each_policy(self, consumer: Callable[[str, Any], object]) -> Callable[[], None]:
        """Call consumer(module, policy) for every policy there is, and for those to come when they are made.

        Returns what ends the latter.
        """
        with self._lock:
            self._curious = (*self._curious, consumer)
            for module, policies in self._policies.items():
                for policy in policies.values():
                    consumer(module, policy)

        def forget() -> None:
            with self._lock:
                self._curious = tuple(one for one in self._curious if one is not consumer)

        return forget

    def actuator(self, path: str) -> dict[str, Any]:
        """What Spring's Actuator answers at /actuator/PATH. Raises KeyError for a path, name or type unknown."""
        return actuator.answer(self, path)

    def update_circuit_breaker(self, name: str, update: str) -> dict[str, str]:
        """What POST /actuator/circuitbreakers/NAME does: CLOSE, FORCE_OPEN or DISABLE. Raises KeyError, ValueError."""
        return actuator.update(self, name, update)

    def metrics_text(self) -> str:
        """The Prometheus text format, under the names Micrometer gives Resilience4j's metrics."""
        return metrics.text(self)

    def _policy(self, module: str, name: str) -> Any:
        with self._lock:
            if name not in self._policies[module]:
                config, _ = self._config(module, name, self._settings.resolve(module, name), "instances")
                self._keep(module, _CLASSES[module](name, config, self.clock))
            return self._policies[module][name]

    def _keep(self, module: str, policy: Any) -> None:
        self._policies[module][policy.name] = policy
        for consumer in self._curious:
            consumer(module, policy)

    def _config(self, module: str, name: str, entries: Entries, section: str) -> tuple[Any, list[str]]:
        build = builders.Builder(entries, f"resilience4j.{SPELLED.get(module, module)}.{section}.{name}")
        beside = frozenset(other for other in MODULES if other != module and self._is_on(other, name))
        for key, reason in NO_EFFECT.items():
            if key in entries and entries[key].value != "SYNCHRONIZED":
                build.warnings.append(f"{entries[key].written}: has no effect, {reason}")
        return _BUILDERS[module](build, beside=beside), build.warnings

    def _placed(self, warning: str) -> str:
        place = self._settings.places.get(warning.partition(": ")[0])
        return f"{place}: {warning}" if place else warning

    def _is_on(self, module: str, name: str) -> bool:
        if name not in self._settings.instances[module]:
            return False
        try:
            entries = self._settings.resolve(module, name)
        except ConfigError:  # told by _check, for that module itself
            return False
        return bool(entries["enabled"].value) if "enabled" in entries else True

    def _check(self) -> None:
        problems: list[Problem] = [*self._settings.problems, *HystrixSettings.problems_of(self.hystrix_keys)]
        warnings: list[str] = list(self._settings.warnings)
        for section, tables, resolve in (
            ("instances", self._settings.instances, self._settings.resolve),
            ("configs", self._settings.configs, self._settings.resolve_config),
        ):
            for module, names in tables.items():
                for name in names:
                    try:
                        _, told = self._config(module, name, resolve(module, name), section)
                        warnings.extend(told)
                    except ConfigError as error:
                        problems.extend(error.problems)
        if problems:
            raise ConfigError(sorted(dict.fromkeys(map(self._settings.placed, problems)), key=_line))
        self.warnings = list(dict.fromkeys(map(self._placed, warnings)))
        for warning in self.warnings:
            logger.warning(warning)


def _line(problem: Problem) -> int:
    """Where in its file a problem is, so that a person can go through them from top to bottom."""
    return int((problem.place or ":0").rpartition(":")[2])
