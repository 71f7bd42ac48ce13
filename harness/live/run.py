"""
A living run: a session under load, a desk on it, a socket and a page for people; taken down and judged in the end.

Used by `harness up`, by `harness drill record` and by `harness drill run`: they differ in who leads.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.clock import Clock, SystemClock
from harness.live.control import Control
from harness.live.desk import Desk
from harness.live.door import FILE_NAME, Door
from harness.live.floors import Floor
from harness.live.header import Header, scenario_of
from harness.live.page import Page
from harness.progress import View
from harness.run.facts import run_id_of
from harness.run.session import PlannedLoad, Session, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Living:
    """How a system is kept up."""

    header: Header
    reports: Path
    floors: tuple[Floor, ...] = ()
    page: bool = True
    backend: str = "processes"
    facts: Mapping[str, Any] = field(default_factory=dict)  # more for the journal's run table


@contextmanager
def living_run(how: Living, view: View, clock: Clock | None = None) -> Iterator[tuple[Desk, Door]]:
    """
    Start a system under load and keep it up for as long as the block lasts. Left without an error, or by Ctrl-C, the
    run is finished in order: faults healed, load ended, ledgers read. Raises HarnessError.
    """
    clock = clock or SystemClock()
    header = how.header
    run_id = run_id_of(header.name)
    setting = Setting(
        name=header.name, system=header.system, environment=header.environment, seed=header.seed,
        run_id=run_id, run_dir=(how.reports / run_id).resolve(), backend=how.backend,
    )  # fmt: skip
    desk = Desk(header, how.floors, clock)
    planned = PlannedLoad(load=header.load, profile=header.profile, duration_s=None)
    sources = frozenset({"bulkhead"})
    with Session(
        setting, view=view, clock=clock, sources=sources, planned=planned, watch=desk.figures.watch
    ) as session:
        session.put({"scenario": scenario_of(header, [], 1.0), "scenario_text": "", **how.facts})
        view.say("waiting for the load generator")
        session.begin_load()
        desk.begin(session)
        with ExitStack() as doors:
            door = _open(doors, how, desk, setting)
            view.say(f"up: {run_id}" + (f"; for a screen on the wall: {door.page}" if door.page else ""))
            try:
                yield desk, door
            except KeyboardInterrupt:  # the usual end of a system that is kept up
                desk.end("interrupted")
        view.say("ending the load, reading the ledgers")
        desk.close()
        session.finish()


def _open(doors: ExitStack, how: Living, desk: Desk, setting: Setting) -> Door:
    token = secrets.token_urlsafe(24)
    control = doors.enter_context(Control(desk, token))
    page = doors.enter_context(Page(desk.status, token)).url if how.page else None
    host, port = control.address
    door = Door(
        run=setting.run_id, name=setting.name, host=host, port=port, token=token, page=page, pid=os.getpid(),
        folder=str(setting.run_dir),
    )  # fmt: skip
    doors.callback((setting.run_dir / FILE_NAME).unlink, missing_ok=True)
    door.write(setting.run_dir)
    return door
