"""
Locks that survive a fork.

A fork copies the forking thread alone: a lock that another thread held would stay locked in the child for ever, and
what it guards might be half written. So every lock made here is taken before a fork and let go in both processes
after it. A lock that cannot be had in time is let go in the child all the same: whoever held it is not there.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Protocol

LONGEST_WAIT_S = 1.0
"""How long all locks together may hold up a fork."""


class Renewable(Protocol):
    """What has to begin anew in a forked child, because it counts what other threads are doing."""

    def renew_in_child(self) -> None:
        """The forking thread is the only one now; all locks are free."""


_renewable: weakref.WeakSet[Renewable] = weakref.WeakSet()
_inner: weakref.WeakSet[threading.Lock] = weakref.WeakSet()
_outer: weakref.WeakSet[threading.Lock] = weakref.WeakSet()
_taken: list[threading.Lock] = []
_making = threading.Lock()
"""Held while a lock is made and for the length of a fork: the sets stand still then, and forks come one by one."""


def fork_safe_lock(*, inner: bool = False) -> threading.Lock:
    """A lock that is free in a forked child. `inner` for one that is taken while another of these is held."""
    lock = threading.Lock()
    with _making:
        (_inner if inner else _outer).add(lock)
    return lock


def renewed_in_child(owner: Renewable) -> None:
    """Have owner.renew_in_child() called in every forked child, for as long as the owner lives."""
    with _making:
        _renewable.add(owner)


def _all() -> list[threading.Lock]:
    """Outer locks first: the order in which everybody takes them, so that a fork cannot lock anybody out."""
    return [_making, *_outer, *_inner]


def _before_fork() -> None:
    until_s = time.monotonic() + LONGEST_WAIT_S
    _taken[:] = [lock for lock in _all() if lock.acquire(timeout=max(until_s - time.monotonic(), 0))]


def _after_in_parent() -> None:
    for lock in _taken:
        lock.release()
    _taken.clear()


def _after_in_child() -> None:
    _taken.clear()
    for lock in _all():
        if lock.locked():
            lock.release()
    for owner in list(_renewable):
        owner.renew_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
