"""
Replay of recorded answers of the real Resilience4j against this library, step by step.

    python -m services.resilience.replay FILE...

A file is JSON lines, plain or gzipped, of breaker or rate limiter traces. Prints traces, steps and differences; exits
1 if there is any difference, 2 for a file that cannot be read or holds no trace. A trace marked `upstreamBug` shows a
defect that is not copied: it is replayed, and where we part from it is printed, but parting is right there.
"""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.resilience.errors import ConfigError, Problem
from services.resilience.replicas import BreakerReplica, RateLimiterReplica, Replica

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One look that was not the recorded one. Step 0 is the look before the first operation."""

    trace: str
    step: int
    operation: list[Any]
    expected: dict[str, Any]
    seen: dict[str, Any]

    def __str__(self) -> str:
        keys = [key for key in {**self.expected, **self.seen} if self.expected.get(key) != self.seen.get(key)]
        parts = [f"{key} is {self.seen.get(key)!r}, recorded {self.expected.get(key)!r}" for key in keys]
        return f"{self.trace} step {self.step} {self.operation}: " + "; ".join(parts)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a replay came to."""

    traces: int = 0
    steps: int = 0
    differences: list[Difference] = field(default_factory=list)
    deviations: list[Difference] = field(default_factory=list)


def read_traces(path: Path) -> Iterator[dict[str, Any]]:
    """The traces of one file, gzipped or not, whatever its name says. Raises ConfigError with file and line."""
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        message = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise ConfigError([Problem(key=str(path), message=message)]) from error
    found = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            found += 1
            yield _trace(line, f"{path}:{number}")
    if not found:
        raise ConfigError([Problem(key=str(path), message="holds no trace: one JSON object a line")])


def _trace(line: str, place: str) -> dict[str, Any]:
    try:
        trace = json.loads(line)
    except ValueError as error:
        raise ConfigError([Problem(key="trace", message=f"is no JSON: {error}", place=place)]) from error
    lacking = [key for key in ("id", "config", "initial", "steps") if not isinstance(trace, dict) or key not in trace]
    if lacking:
        raise ConfigError([Problem(key="trace", message=f"lacks {', '.join(lacking)}", place=place)])
    found: dict[str, Any] = trace
    return found


def replica_of(trace: dict[str, Any]) -> Replica:
    """The policy that a trace is about, made by its configuration."""
    config = trace["config"]
    return RateLimiterReplica(config) if "limitForPeriod" in config else BreakerReplica(config)


def differences_in(trace: dict[str, Any]) -> Iterator[Difference]:
    """Every look of one trace that differs from the recorded one."""
    replica = replica_of(trace)
    seen = replica.look()
    if seen != trace["initial"]:
        yield Difference(trace=trace["id"], step=0, operation=[], expected=trace["initial"], seen=seen)
    for number, (operation, expected) in enumerate(trace["steps"], start=1):
        seen = replica.step(operation)
        if seen != expected:
            yield Difference(trace=trace["id"], step=number, operation=operation, expected=expected, seen=seen)


def replay(paths: Sequence[Path]) -> Tally:
    """Replay all traces of all files. Raises ConfigError for what is no trace, or none that this library knows."""
    tally = Tally()
    for path in paths:
        for trace in read_traces(path):
            try:
                found = list(differences_in(trace))
            except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
                message = f"cannot be replayed: {type(error).__name__}: {error}"
                raise ConfigError([Problem(key=f"{path}: trace {trace['id']}", message=message)]) from error
            tally.traces += 1
            tally.steps += len(trace["steps"])
            (tally.deviations if trace.get("upstreamBug") else tally.differences).extend(found)
    return tally


def main(arguments: Sequence[str]) -> int:
    """The command: 0 for no difference, 1 for any, 2 for wrong use and for files that cannot be replayed."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(__doc__)
        return 0 if arguments else 2
    try:
        tally = replay([Path(argument) for argument in arguments])
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    for difference in tally.differences:
        print("differs:", difference)
    for deviation in tally.deviations:
        print("upstream defect not copied:", deviation)
    print(f"{tally.traces} traces, {tally.steps} steps, {len(tally.differences)} differences")
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
