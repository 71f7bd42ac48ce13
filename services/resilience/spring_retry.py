"""
Spring Retry's front end: `@retryable` and `@recover`, with the numbers of @Retryable, @Backoff and @Recover.

The counting and the events are those of our `Retry`; what is Spring's own is which waits, which exceptions, and who
answers in the end (spring-retry: annotation/Retryable.java, backoff/BackOffPolicyBuilder.java,
annotation/RecoverAnnotationRecoveryHandler.java). Not here: stateful retries, expressions, @CircuitBreaker.
"""

from __future__ import annotations

import functools
import inspect
import random as random_module
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

from services.resilience import intervals
from services.resilience.errors import ConfigError, Problem, ResilienceError
from services.resilience.retry import Retry, RetryConfig, of_attempt
from services.resilience.validation import Checks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from services.resilience.clock import Clock

F = TypeVar("F", bound="Callable[..., Any]")

_DEFAULT_DELAY_MS = 1000
_DEFAULT_MAX_MS = 30_000
_MARK = "__recovers__"


class ExhaustedRetry(ResilienceError):
    """There are recovery methods, but none for this exception, which is the `__cause__`."""

    def __init__(self, name: str, error: BaseException) -> None:
        super().__init__(name, error)
        self.name = name

    def __str__(self) -> str:
        return f"Retry '{self.name}': cannot locate a recovery method for {type(self.args[1]).__name__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Spring's @Backoff: how long to wait, in milliseconds. A delay of 0 stands for the default of 1000, as there.

    With a `multiplier` the wait grows, up to max_delay_ms if that is above delay_ms, else up to 30 s; `random` spreads
    each wait up to `multiplier` times itself. Without one, and max_delay_ms above delay_ms, the wait is anywhere
    between the two, the upper end excluded; else it is delay_ms. Raises ConfigError for values below 0.
    """

    delay_ms: int = _DEFAULT_DELAY_MS
    multiplier: float = 0.0
    max_delay_ms: int = 0
    random: bool = False

    def __post_init__(self) -> None:
        checks = Checks()
        checks.at_least("delay", self.delay_ms, 0, "ms")
        checks.at_least("multiplier", self.multiplier, 0)
        checks.at_least("maxDelay", self.max_delay_ms, 0, "ms")
        checks.finish()

    def interval(self, random_share: Callable[[], float] = random_module.random) -> intervals.Interval:
        """The wait after attempt 1, 2, 3 ... in milliseconds; random_share gives numbers from 0 to below 1."""
        delay_ms = self.delay_ms or _DEFAULT_DELAY_MS
        if self.multiplier > 0:
            return self._growing(delay_ms, random_share)
        if self.max_delay_ms > delay_ms:
            return lambda _attempt: delay_ms + int(random_share() * (self.max_delay_ms - delay_ms))
        return intervals.fixed(delay_ms)

    def _growing(self, delay_ms: int, random_share: Callable[[], float]) -> intervals.Interval:
        multiplier = max(self.multiplier, 1.0)
        max_ms = self.max_delay_ms if self.max_delay_ms > delay_ms else _DEFAULT_MAX_MS
        grown = intervals.exponential(delay_ms, multiplier, max_ms)
        if not self.random:
            return grown
        return lambda attempt: min(int(grown(attempt) * (1 + random_share() * (multiplier - 1))), max_ms)


@overload
def recover(kind: F) -> F: ...
@overload
def recover(kind: type[Exception]) -> Callable[[F], F]: ...
def recover(kind: Any) -> Any:
    """Mark a method that answers when the retryable methods of its class have failed.

    `@recover(ConnectionError)`, or bare: then the class is what the first parameter (after self) is annotated with.
    It is called with the exception, and then as many of the call's own arguments as it takes; without an exception
    parameter it answers for every exception, as the last choice.
    """
    if isinstance(kind, type):

        def mark(method: F) -> F:
            setattr(method, _MARK, kind)
            return method

        return mark
    setattr(kind, _MARK, None)
    return kind


def retryable(
    *,
    max_attempts: int = 3,
    retry_for: Sequence[type[Exception]] = (),
    no_retry_for: Sequence[type[Exception]] = (),
    not_recoverable: Sequence[type[Exception]] = (),
    backoff: Backoff | None = None,
    recover_with: Sequence[Callable[..., Any]] = (),
    name: str | None = None,
    clock: Clock | None = None,
    random_share: Callable[[], float] = random_module.random,
) -> Callable[[F], F]:
    """Spring's @Retryable for a function, method, or their async kinds. max_attempts includes the first call.

    Which exceptions: the nearest class in `retry_for` and `no_retry_for` decides, for the exception or else for its
    causes; what neither names is retried if `retry_for` is empty. When attempts are used up, or the exception is not
    to be retried, the recovery method of the nearest class answers: of `recover_with`, else those marked with
    `recover` in the class of the method. `not_recoverable` exceptions are raised all the same. Without any recovery
    method the exception is raised; with some, but none that fits, ExhaustedRetry. The `Retry` is the function's
    attribute `retry`. Raises TypeError where a plain function's recovery is async.
    """
    matters = _Classifier(retry_for, no_retry_for)
    interval = (backoff or Backoff()).interval(random_share)
    config = RetryConfig(max_attempts=max_attempts, interval=of_attempt(interval), retry=matters)

    def decorate(fn: F) -> F:
        retry = Retry(name or fn.__qualname__, config, clock)

        def recovered(error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            methods = [_Recovery(one) for one in recover_with] or _marked(args, fn.__name__, wrapper)
            if not methods or isinstance(error, tuple(not_recoverable)):
                raise error
            own_args = args if recover_with else args[1:]
            return _nearest(methods, retry.name, error, own_args)(error, own_args, kwargs)

        if inspect.iscoroutinefunction(fn):

            @functools.wraps(fn)
            async def retried(*args: Any, **kwargs: Any) -> Any:
                try:
                    return await retry.call(fn, *args, **kwargs)
                except Exception as error:
                    answer = recovered(error, args, kwargs)
                    return await answer if inspect.isawaitable(answer) else answer

            wrapper: Any = retried
        else:

            @functools.wraps(fn)
            def retried_sync(*args: Any, **kwargs: Any) -> Any:
                try:
                    return retry.call_sync(fn, *args, **kwargs)
                except Exception as error:
                    answer = recovered(error, args, kwargs)
                    if inspect.iscoroutine(answer):
                        answer.close()
                        raise TypeError(f"the recovery of {retry.name} is async, the call is not") from error
                    return answer

            wrapper = retried_sync
        wrapper.retry = retry
        decorated: F = wrapper
        return decorated

    return decorate


class _Classifier:
    """Whether to retry an exception: by the nearest class named, looking through causes (`raise ... from`)."""

    def __init__(self, yes: Sequence[type[Exception]], no: Sequence[type[Exception]]) -> None:
        self._verdicts: dict[type, bool] = {**dict.fromkeys(yes, True), **dict.fromkeys(no, False)}
        self._otherwise = not yes

    def __call__(self, error: BaseException) -> bool:
        cause: BaseException | None = error
        seen: set[int] = set()
        while cause is not None and id(cause) not in seen:
            seen.add(id(cause))
            for kind in type(cause).__mro__:
                if kind in self._verdicts:
                    return self._verdicts[kind]
            cause = cause.__cause__
        return self._otherwise


class _Recovery:
    """A recovery method, bound to its object if it has one: for which class, and with how many arguments."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method
        self._parameters = list(inspect.signature(method).parameters.values())
        self.kind: type[BaseException] | None = getattr(method, _MARK, None) or self._annotated()

    def distance(self, error: BaseException) -> int | None:
        """How many classes lie between the exception and what this is for; None if it is not for it."""
        line = type(error).__mro__
        kind = self.kind or BaseException
        return line.index(kind) if kind in line else None

    def fits(self, args: tuple[Any, ...]) -> bool:
        """Whether it takes as many arguments as the call had."""
        positional = [one for one in self._own() if one.kind <= inspect.Parameter.POSITIONAL_OR_KEYWORD]
        return len(positional) == len(args)

    def __call__(self, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        own = self._own()
        taken = args if any(one.kind is one.VAR_POSITIONAL for one in own) else args[: self._positional(own)]
        names = {one.name for one in own}
        passed = kwargs
        if not any(one.kind is one.VAR_KEYWORD for one in own):
            passed = {key: value for key, value in kwargs.items() if key in names}
        first = () if self.kind is None else (error,)
        return self._method(*first, *taken, **passed)

    def _own(self) -> list[inspect.Parameter]:
        return self._parameters if self.kind is None else self._parameters[1:]

    @staticmethod
    def _positional(parameters: list[inspect.Parameter]) -> int:
        return sum(one.kind <= inspect.Parameter.POSITIONAL_OR_KEYWORD for one in parameters)

    def _annotated(self) -> type[BaseException] | None:
        annotation = self._parameters[0].annotation if self._parameters else None
        if isinstance(annotation, str):
            try:
                annotation = next(iter(inspect.signature(self._method, eval_str=True).parameters.values())).annotation
            except NameError as error:
                message = f"cannot read its annotations ({error}), name the class: @recover(TheError)"
                raise ConfigError([Problem(key=self._method.__qualname__, message=message)]) from error
        is_exception = isinstance(annotation, type) and issubclass(annotation, BaseException)
        return annotation if is_exception else None


def _marked(args: tuple[Any, ...], name: str, wrapper: object) -> list[_Recovery]:
    """The recovery methods of the object whose method was called; none for a function outside a class."""
    line = type(args[0]).__mro__ if args else ()
    if not any(vars(kind).get(name) is wrapper for kind in line):
        return []
    found = {key: None for kind in line for key, value in vars(kind).items() if hasattr(value, _MARK)}
    return [_Recovery(getattr(args[0], key)) for key in found if hasattr(getattr(type(args[0]), key), _MARK)]


def _nearest(methods: list[_Recovery], name: str, error: Exception, args: tuple[Any, ...]) -> _Recovery:
    candidates = [(distance, one) for one in methods if (distance := one.distance(error)) is not None]
    if not candidates:
        raise ExhaustedRetry(name, error) from error
    least = min(distance for distance, _ in candidates)
    equals = [one for distance, one in candidates if distance == least]
    return next((one for one in equals if one.fits(args)), equals[0])
