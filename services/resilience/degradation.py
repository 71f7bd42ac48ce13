"""
Degradation flags: what a service does without for now, by whose order, why and until when.

    flags = DegradationManager(clock)
    flags.declare("recommendation")
    if flags.level("recommendation"): ...  # one look into a dictionary

A flag has a level, 0 for "as usual". It is set by hand or by rules (`degradation_rules`); by hand wins, level 0 by hand
included: that is how a person overrules a rule. Every change of a level or of its owner is an event with a number.
Flags set by hand survive a restart where there is a file to keep them in; those of rules are found anew.
Ours; Resilience4j has no such thing.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from services.resilience import degradation_file
from services.resilience.clock import NS_PER_MS, NS_PER_S, Clock, SystemClock, Timer
from services.resilience.degradation_flag import Change, Flag, Order, read_wish
from services.resilience.degradation_rules import Rule, RuleState
from services.resilience.errors import ConfigError, Problem

logger = logging.getLogger(__name__)


class DegradationManager:
    """The flags of one service. Safe under threads; `level` and `is_degraded` take no lock.

    With a file, flags set by hand are read from it when they are declared and written to it when they change; a file
    that cannot be read or written is told in `warnings` and the log, and never a reason to refuse a flag.
    """

    def __init__(self, clock: Clock | None = None, *, file: Path | None = None, buffer_size: int = 100) -> None:
        self.clock: Clock = clock or SystemClock()
        self.warnings: list[str] = []
        self._levels: dict[str, int] = {}
        self._flags: dict[str, Flag] = {}
        self._ring: deque[Change] = deque(maxlen=buffer_size)
        self._outbox: deque[Change] = deque()
        self._consumers: tuple[Callable[[Change], object], ...] = ()
        self._sequence = 0
        self._lock = threading.RLock()
        self._file: Path | None = None
        self._kept: dict[str, Order] = {}
        self._interval_ns = 0
        self._tick: Timer | None = None
        if file is not None:
            self.keep_in(file)

    # -- reading -----------------------------------------------------------------------------------------------

    def level(self, flag: str) -> int:
        """The flag's level, 0 for "as usual". Raises KeyError for a flag nobody declared."""
        return self._levels[flag]

    def is_degraded(self, flag: str) -> bool:
        """Whether the level is above 0. Raises KeyError for a flag nobody declared."""
        return self._levels[flag] > 0

    @property
    def sequence(self) -> int:
        """The number of the latest change, 0 before the first."""
        return self._sequence

    def changes(self) -> list[Change]:
        """The latest changes, oldest first."""
        with self._lock:
            return list(self._ring)

    def subscribe(self, consumer: Callable[[Change], object]) -> Callable[[], None]:
        """Call consumer(change) after each change from now on, in the thread that made it. Returns what ends it."""
        with self._lock:
            self._consumers = (*self._consumers, consumer)

        def unsubscribe() -> None:
            with self._lock:
                self._consumers = tuple(one for one in self._consumers if one is not consumer)

        return unsubscribe

    # -- declaring ---------------------------------------------------------------------------------------------

    def declare(self, flag: str, *, max_level: int = 1, rules: Iterable[Rule] = ()) -> None:
        """Make a flag known, with its rules. Raises ConfigError for one known already or a level out of bounds."""
        found = Flag(max_level, rules=[RuleState(rule) for rule in rules])
        problems = [
            Problem(key=f"degradation.{flag}", message=f"rule {state.rule.name!r} has level {state.rule.level}")
            for state in found.rules
            if not 1 <= state.rule.level <= max_level
        ]
        if max_level < 1:
            problems.append(Problem(key=f"degradation.{flag}", message=f"maxLevel is {max_level}, must be at least 1"))
        if flag in self._flags:
            problems.append(Problem(key=f"degradation.{flag}", message="is declared twice"))
        if problems:
            raise ConfigError(problems)
        with self._lock:
            self._levels[flag] = 0
            self._flags[flag] = found
        self._take_kept(flag)
        self._deliver()

    def keep_in(self, file: Path) -> None:
        """Keep what is set by hand in a JSON file, and take over what is in it already."""
        self._file = file
        try:
            self._kept = {
                flag: Order(**kept) for flag, kept in degradation_file.read(file).items() if not self._is_over(kept)
            }
        except (OSError, ValueError) as problem:
            self._warn(f"{file}: degradation flags could not be read: {problem}")
        for flag in self._flags:
            self._take_kept(flag)
        self._deliver()

    # -- setting -----------------------------------------------------------------------------------------------

    def set(self, flag: str, level: int, *, reason: str = "", ttl_s: float | None = None) -> None:
        """Set a flag by hand, for ttl_s seconds or until it is cleared. Raises KeyError, ValueError."""
        known = self._known(flag)
        if not 0 <= level <= known.max_level:
            raise ValueError(f"level of {flag!r} is {level}, must be from 0 to {known.max_level}")
        if ttl_s is not None and not ttl_s > 0:
            raise ValueError(f"ttl of {flag!r} is {ttl_s} s, must be above 0")
        expires_ns = None if ttl_s is None else self.clock.wall_ns() + round(ttl_s * NS_PER_S)
        order = Order(level=level, reason=reason, expires_wall_ns=expires_ns)
        self._take_order(flag, order)
        self._keep(flag, order)
        self._deliver()

    def clear(self, flag: str) -> None:
        """Take back what was set by hand: the rules decide again. Safe to call twice. Raises KeyError."""
        self._known(flag)
        self._take_order(flag, None)
        self._keep(flag, None)
        self._deliver()

    def evaluate(self) -> None:
        """Look at every rule once. A signal that fails is told in the log and changes nothing."""
        with self._lock:
            names = [name for name, flag in self._flags.items() if flag.rules]
        for name in names:
            flag = self._flags[name]
            told = [(state, state.ask()) for state in flag.rules]  # without the lock: signals are other people's code
            with self._lock:
                for state, value in told:
                    state.take(value, self.clock.now_ns())
            self._settle(name)
        self._deliver()

    def start(self, interval_ms: int = 100) -> None:
        """Look at the rules every interval_ms from now on, in the clock's own thread. Safe to call twice."""
        with self._lock:
            self._interval_ns = interval_ms * NS_PER_MS
            if self._tick is None:
                self._tick = self.clock.schedule(self._interval_ns, self._on_tick)

    def stop(self) -> None:
        """End what `start` began; flags stay as they are. Safe to call twice."""
        with self._lock:
            tick, self._tick = self._tick, None
        if tick is not None:
            tick.cancel()

    # -- the actuator ------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """What GET /actuator/degradation answers: every flag by name, with its rules and what they see."""
        with self._lock:
            flags = {name: flag.shown(name) for name, flag in sorted(self._flags.items())}
            return {"degradation": flags, "sequence": self._sequence}

    def events_json(self) -> dict[str, Any]:
        """What GET /actuator/degradationevents answers, oldest first."""
        return {"degradationEvents": [change.shown() for change in self.changes()]}

    def update(self, flag: str, wish: Mapping[str, Any]) -> dict[str, Any]:
        """What POST /actuator/degradation/FLAG does, and its answer: the flag as it is now.

        `{"level": 1, "reason": "...", "ttl": "30s"}` sets by hand (level 1 where none is given, until cleared where
        there is no ttl), `{"clear": true}` takes it back. Raises KeyError for a flag unknown, ValueError for anything
        else that is wrong.
        """
        self._known(flag)
        order = read_wish(wish)
        if order is None:
            self.clear(flag)
        else:
            self.set(flag, order.level, reason=order.reason, ttl_s=order.ttl_s)
        with self._lock:
            return self._flags[flag].shown(flag)

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """Name, labels and value of the gauge `degradation_level` and the counter `degradation_changes_total`."""
        rows = [("degradation_level", {"flag": name}, float(level)) for name, level in sorted(self._levels.items())]
        return [*rows, ("degradation_changes_total", {}, float(self._sequence))] if rows else []

    # -- bookkeeping -------------------------------------------------------------------------------------------

    def _known(self, flag: str) -> Flag:
        try:
            return self._flags[flag]
        except KeyError:
            raise KeyError(f"there is no flag {flag!r}, must be one of {', '.join(sorted(self._flags))}") from None

    def _take_order(self, name: str, order: Order | None) -> None:
        with self._lock:
            flag = self._flags[name]
            if flag.timer is not None:
                flag.timer.cancel()
                flag.timer = None
            flag.order = order
            if order is not None and order.expires_wall_ns is not None:
                left_ns = max(0, order.expires_wall_ns - self.clock.wall_ns())
                flag.timer = self.clock.schedule(left_ns, lambda: self._expire(name, order))
            self._settle(name)

    def _take_kept(self, name: str) -> None:
        order = self._kept.get(name)
        if order is None:
            return
        if order.level > self._flags[name].max_level:
            self._warn(f"{self._file}: level of {name!r} is {order.level}, there are {self._flags[name].max_level} now")
            return
        self._take_order(name, order)

    def _expire(self, name: str, order: Order) -> None:
        with self._lock:
            if self._flags[name].order is not order:
                return  # it was set anew or cleared while the timer went off
            self._take_order(name, None)
            self._keep(name, None)
        self._deliver()

    def _settle(self, name: str) -> None:
        """Bring a flag to where its order and its rules want it, and tell of it."""
        with self._lock:
            flag, before = self._flags[name], self._levels[name]
            level, owner, reason = flag.wanted()
            if (level, owner) == (before, flag.owner):
                flag.reason = reason
                return
            self._levels[name] = flag.level = level
            flag.owner, flag.reason, flag.since_wall_ns = owner, reason, self.clock.wall_ns()
            self._sequence += 1
            change = Change(
                sequence=self._sequence,
                flag=name,
                before=before,
                level=level,
                owner=owner,
                reason=reason,
                monotonic_ns=self.clock.now_ns(),
                wall_ns=flag.since_wall_ns,
            )
            self._ring.append(change)
            self._outbox.append(change)

    def _deliver(self) -> None:
        """Tell the consumers. The caller holds no lock: they are other people's code."""
        while self._outbox:
            try:
                change = self._outbox.popleft()
            except IndexError:  # another thread took it
                return
            logger.info("degradation flag %s: %d -> %d (%s)", change.flag, change.before, change.level, change.owner)
            for consumer in self._consumers:
                try:
                    consumer(change)
                except Exception:
                    logger.exception("a consumer of degradation changes failed")

    def _on_tick(self) -> None:
        try:
            self.evaluate()
        finally:
            with self._lock:
                if self._tick is not None:
                    self._tick = self.clock.schedule(self._interval_ns, self._on_tick)

    def _is_over(self, kept: Mapping[str, Any]) -> bool:
        expires_ns = kept["expires_wall_ns"]
        return expires_ns is not None and expires_ns <= self.clock.wall_ns()

    def _keep(self, flag: str, order: Order | None) -> None:
        with self._lock:
            self._kept.pop(flag, None)
            if order is not None:
                self._kept[flag] = order
            if self._file is None:
                return
            try:
                degradation_file.write(self._file, self._kept)
            except OSError as problem:  # in an emergency a flag must go up though the disk is full
                self._warn(f"{self._file}: degradation flags could not be written: {problem}")

    def _warn(self, warning: str) -> None:
        self.warnings.append(warning)
        logger.warning(warning)
