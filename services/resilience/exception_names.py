"""
From names in a configuration to exception classes and predicates.

A name is a built-in (`ConnectionError`), a dotted Python name (`aiohttp.ClientError`), one of this library's
(`CallNotPermitted`), or a Java name out of the table below, so that a Spring service's list can be read as it is.
"""

from __future__ import annotations

import builtins
import importlib
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

from services.resilience import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TRANSPORT = ("aiohttp.ClientConnectionError", "httpx.TransportError")
_CONNECT = ("aiohttp.ClientConnectorError", "httpx.ConnectError")
_TIMEOUT = ("aiohttp.ServerTimeoutError", "httpx.TimeoutException")
"""Client libraries have transport errors that are no OSError. Named here, imported by whoever uses the library."""

JAVA_NAMES: dict[str, tuple[type[BaseException] | str, ...]] = {
    "java.lang.Throwable": (BaseException,),
    "java.lang.Exception": (Exception,),
    "java.lang.RuntimeException": (Exception,),
    "java.lang.Error": (BaseException,),
    "java.lang.IllegalArgumentException": (ValueError, TypeError),
    "java.lang.IllegalStateException": (RuntimeError,),
    "java.lang.UnsupportedOperationException": (NotImplementedError,),
    "java.lang.ArithmeticException": (ArithmeticError,),
    "java.lang.IndexOutOfBoundsException": (IndexError,),
    "java.lang.InterruptedException": (InterruptedError,),
    "java.util.NoSuchElementException": (LookupError,),
    "java.util.concurrent.TimeoutException": (TimeoutError,),
    "java.io.IOException": (OSError, EOFError, *_TRANSPORT),
    "java.io.UncheckedIOException": (OSError, EOFError, *_TRANSPORT),
    "java.io.EOFException": (EOFError,),
    "java.io.FileNotFoundException": (FileNotFoundError,),
    "java.net.ConnectException": (ConnectionRefusedError, *_CONNECT),
    "java.net.SocketException": (ConnectionError, *_TRANSPORT),
    "java.net.SocketTimeoutException": (TimeoutError, *_TIMEOUT),
    "java.net.http.HttpTimeoutException": (TimeoutError, *_TIMEOUT),
    "java.net.http.HttpConnectTimeoutException": (TimeoutError,),
    "java.net.UnknownHostException": (socket.gaierror,),
    "javax.net.ssl.SSLException": (ssl.SSLError,),
    "org.springframework.web.client.ResourceAccessException": (OSError, TimeoutError, *_TRANSPORT),
    "io.github.resilience4j.circuitbreaker.CallNotPermittedException": (errors.CallNotPermitted,),
    "io.github.resilience4j.bulkhead.BulkheadFullException": (errors.BulkheadFull,),
    "io.github.resilience4j.ratelimiter.RequestNotPermitted": (errors.RequestNotPermitted,),
    "io.github.resilience4j.retry.MaxRetriesExceededException": (errors.MaxRetriesExceeded,),
    "io.github.resilience4j.retry.MaxRetriesExceeded": (errors.MaxRetriesExceeded,),
}


def load(name: str) -> Any:
    """The object of a dotted name, `package.module.attribute` or `package.module:attribute`. Raises ValueError."""
    module_name, _, attribute = name.replace(":", ".").rpartition(".")
    if not module_name:
        raise ValueError(f"is {name!r}, must be a dotted name such as package.module.attribute")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"is {name!r}, which cannot be imported: {error}") from error


def predicate(name: object) -> Callable[[Any], bool]:
    """The function of a dotted name; a class is instantiated first, as upstream does. Raises ValueError."""
    found = load(name) if isinstance(name, str) else name
    if isinstance(found, type):
        found = found()
    if not callable(found):
        raise ValueError(f"is {name!r}, which cannot be called")  # noqa: TRY004  # a value in a file
    answer: Callable[[Any], bool] = found
    return answer


class ExceptionMatcher:
    """A predicate: the exception is of one of the classes, or of one below.

    `classes` may hold dotted names of optional libraries; they are looked up when an exception is there to be
    matched and the library has been imported: an exception of a library nobody imported cannot exist.
    """

    def __init__(self, classes: Sequence[type[BaseException] | str]) -> None:
        self.classes = tuple(kind for kind in classes if not isinstance(kind, str))
        self.pending = tuple(kind for kind in classes if isinstance(kind, str))

    def __call__(self, error: BaseException) -> bool:
        return isinstance(error, self.classes) or (bool(self.pending) and self._matches_pending(error))

    def _matches_pending(self, error: BaseException) -> bool:
        ready = [name for name in self.pending if name.partition(".")[0] in sys.modules]
        self.classes += tuple(kind for kind in map(_loaded, ready) if kind is not None)
        self.pending = tuple(name for name in self.pending if name not in ready)
        return isinstance(error, self.classes)


def exception_matcher(names: object) -> tuple[ExceptionMatcher, tuple[str, ...]]:
    """The matcher of a list of names (or one string, parted by commas), and the Java names nobody has mapped.

    Raises ValueError for a Python name that does not exist or is no exception.
    """
    found: list[type[BaseException] | str] = []
    unmapped: list[str] = []
    for name in _split(names):
        classes = _classes(name)
        found.extend(classes)
        if not classes:
            unmapped.append(str(name))
    return ExceptionMatcher(found), tuple(unmapped)


def _split(names: object) -> list[object]:
    if isinstance(names, str):
        return [part.strip(" []\"'") for part in names.split(",") if part.strip(" []\"'")]
    return list(names) if isinstance(names, (list, tuple)) else [names]


def _classes(name: object) -> tuple[type[BaseException] | str, ...]:
    found = name
    if isinstance(name, str):
        if name in JAVA_NAMES:
            return JAVA_NAMES[name]
        if name.startswith(("java.", "javax.", "jakarta.", "org.springframework.", "io.github.", "feign.")):
            return ()
        found = getattr(builtins, name, None) or getattr(errors, name, None) or load(name)
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise ValueError(f"names {name!r}, which is no exception class")  # noqa: TRY004  # a value in a file
    return (found,)


def _loaded(name: str) -> type[BaseException] | None:
    try:
        kind: type[BaseException] = load(name)
    except ValueError:  # a version of the library that has no such class
        return None
    return kind
