"""What people see of a drill: a panel with the step that waits and the keys; plain lines where nobody looks."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from harness.drill.keys import KEYS, Typing
from harness.live.panel import faults_line, headline, panel, told
from harness.progress import View
from harness.report.escape import lines, one_line
from harness.report.terminal import console_on

LINE_EVERY_S = 3.0


class PlainScreen(View):
    """A line for each event, and one every few seconds. A view too, for what the rig says of itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._seen = 0
        self._next_s = 0.0

    def show(self, status: Mapping[str, Any]) -> None:
        for event in status["events"]:
            if event["number"] > self._seen:
                self._seen = event["number"]
                self.say(f"[{event['at_s']:.1f} s] {told(event)}")
        if status["elapsed_s"] >= self._next_s:
            self._next_s = status["elapsed_s"] + LINE_EVERY_S
            self.say(f"{headline(status)}; faults on: {faults_line(status)}")

    def progress(self, progress: object) -> None:
        """Told by show."""

    def say(self, text: str) -> None:
        try:
            self._stream.write(lines(text) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads any more; the drill goes on
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to leave."""


class PanelScreen(PlainScreen):
    """One panel, drawn over itself; what is said scrolls past above it."""

    def __init__(self, stream: TextIO, typing: Typing) -> None:
        super().__init__(stream)
        self._typing = typing
        self._live = Live(
            console=console_on(stream), auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._started = False

    def show(self, status: Mapping[str, Any]) -> None:
        if not self._started:
            self._live.start()
            self._started = True
        try:
            self._live.update(panel(status, self._below(status)), refresh=True)
        except (OSError, ValueError):
            pass

    def say(self, text: str) -> None:
        if self._started:
            self._live.console.print(Text(lines(text)))
        else:
            super().say(text)

    def _below(self, status: Mapping[str, Any]) -> list[RenderableType]:
        found: list[RenderableType] = []
        step = status["step"]
        if step is not None:
            found.append(Text(""))
            found.append(Text(one_line(f"{step['role']}: {step['prompt']}"), "bold"))
            found.append(Text(f"{step['name']}: {max(0.0, step['left_s']):.0f} s left"))
        note = self._typing.note
        found.append(Text(one_line(f"note: {note}_ (Enter writes it, Esc leaves it)") if note is not None else KEYS))
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started:
            self._live.stop()
