"""
A run while it goes on: a panel on a terminal, a plain line every few seconds elsewhere.

Both are a `View` of `harness/progress.py`. A view that cannot be drawn any more (the pipe was
closed, the terminal is gone) falls silent: watching must never harm a run.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness import units
from harness.progress import Progress, Silent, View
from harness.report import escape
from harness.report.terminal import console_on, is_plain

LINE_EVERY_S = 3.0
REDRAW_EVERY_S = 0.1

__all__ = ["LiveView", "PanelView", "PlainView", "Silent", "open_view"]


class LiveView(View):
    """A view that takes the screen for a while: use it in a `with`."""

    def __init__(self, stream: TextIO, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._now_s = now_s
        self._lock = threading.Lock()
        self._broken = False

    def progress(self, progress: Progress) -> None:
        self._try(lambda: self._progress(progress))

    def say(self, text: str) -> None:
        self._try(lambda: self._say(text))

    def close(self) -> None:
        """Leave the screen as it is; may be called twice."""
        self._try(self._close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _try(self, draw: Callable[[], None]) -> None:
        with self._lock:
            if self._broken:
                return
            try:
                draw()
            except (OSError, ValueError):  # a closed pipe or file
                self._broken = True

    def _progress(self, progress: Progress) -> None:
        raise NotImplementedError

    def _say(self, text: str) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        """Nothing to leave."""


class PlainView(LiveView):
    """A line when something changed that matters, and else every LINE_EVERY_S seconds."""

    def __init__(self, stream: TextIO, *, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream, now_s=now_s)
        self._last_s: float | None = None
        self._last_state: object = None

    def _progress(self, progress: Progress) -> None:
        state = (progress.scenario, progress.phase, progress.faults_on, tuple(sorted(progress.breakers.items())))
        due = self._last_s is None or self._now_s() - self._last_s >= LINE_EVERY_S
        if due or state != self._last_state:
            self._last_s, self._last_state = self._now_s(), state
            self._say(plain_line(progress))

    def _say(self, text: str) -> None:
        self._stream.write("\n".join(escape.one_line(line) for line in text.splitlines()) + "\n")
        self._stream.flush()


class PanelView(LiveView):
    """One panel that is drawn over itself; said lines scroll past above it."""

    def __init__(
        self, stream: TextIO, *, now_s: Callable[[], float] = time.monotonic, console: Console | None = None
    ) -> None:
        super().__init__(stream, now_s=now_s)
        self._console = console or console_on(stream)
        self._live: Live | None = None
        self._drawn_s: float | None = None

    def _progress(self, progress: Progress) -> None:
        if self._drawn_s is not None and self._now_s() - self._drawn_s < REDRAW_EVERY_S:
            return
        self._drawn_s = self._now_s()
        if self._live is None:
            # redirecting would swallow what others print to standard output
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._live.update(panel(progress), refresh=True)

    def _say(self, text: str) -> None:
        self._console.print(Text(escape.lines(text)))

    def _close(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()


def open_view(*, plain: bool = False, stream: TextIO | None = None) -> LiveView:
    """The view that fits the stream (standard error: standard output is for results)."""
    target = stream or sys.stderr
    return PlainView(target) if plain or is_plain(target) else PanelView(target)


def plain_line(progress: Progress) -> str:
    """One line for a log: `[4.0 of 15.0 s] payment-slow: slow, 5.0 s left; served 39/s of 40/s; ...`."""
    return (
        f"[{progress.elapsed_s:.1f} of {progress.total_s:.1f} s] "
        f"{progress.scenario}: {progress.phase}{_left(progress)}; {'; '.join(_numbers(progress))}"
    )


def panel(progress: Progress) -> Panel:
    """The same for a terminal."""
    grid = Table.grid(padding=(0, 2))
    grid.add_row("phase", Text(escape.one_line(f"{progress.phase}{_left(progress)}")))
    grid.add_row("load", Text(f"{_rates(progress)}, {_errors(progress)}"))
    grid.add_row("faults", Text(_faults(progress), style="red" if progress.faults_on else ""))
    if progress.breakers:
        grid.add_row("breakers", Text(_breakers(progress)))
    done = ProgressBar(total=max(progress.total_s, 0.001), completed=min(progress.elapsed_s, progress.total_s))
    clock = Text(f"{progress.elapsed_s:.0f} of {progress.total_s:.0f} s")
    return Panel(Group(grid, clock, done), title=Text(escape.one_line(progress.scenario)), title_align="left")


def _numbers(progress: Progress) -> list[str]:
    parts = [_rates(progress), _errors(progress), f"faults {_faults(progress)}"]
    return [*parts, f"breakers {_breakers(progress)}"] if progress.breakers else parts


def _left(progress: Progress) -> str:
    return "" if progress.seconds_left is None else f", {progress.seconds_left:.1f} s left"


def _rates(progress: Progress) -> str:
    return f"served {_rate(progress.served_per_s)} of {_rate(progress.offered_per_s)}"


def _rate(per_s: float | None) -> str:
    return "?/s" if per_s is None else units.show_rate(per_s)


def _errors(progress: Progress) -> str:
    return "errors " + ("?" if progress.error_ratio is None else units.show_share(progress.error_ratio))


def _faults(progress: Progress) -> str:
    return escape.one_line(", ".join(progress.faults_on) or "none")


def _breakers(progress: Progress) -> str:
    return escape.one_line(", ".join(f"{name} {state}" for name, state in sorted(progress.breakers.items())))
