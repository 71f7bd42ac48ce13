"""
A drill run from its first line to its report: system up, script led, people heard, system down, judged, compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from harness.clock import SystemClock
from harness.drill.compile import compile_run
from harness.drill.file import LoadedDrill
from harness.drill.leader import Leader
from harness.drill.model import Drill
from harness.drill.persons import Person
from harness.drill.replay import FILE_NAME, drill_facts
from harness.drill.screens import PlainScreen
from harness.errors import InputError, Mistake
from harness.live.run import Living, living_run
from harness.report import write_file


def run_drill(
    loaded: LoadedDrill, reports: Path, *, persons: Sequence[Person], screen: PlainScreen, people: Mapping[str, str],
    page: bool = True, backend: str = "processes",
) -> Path:  # fmt: skip
    """Lead a drill; gives its run's folder, with the compiled drill in it. Raises HarnessError."""
    if loaded.drill.recorded:
        message = "this drill is a recorded one, its steps are answered already"
        raise InputError.of([Mistake(loaded.path, 1, message, f"harness drill replay {loaded.path}")])
    _known(people, loaded.drill)
    clock = SystemClock()
    how = Living(
        header=loaded.header, reports=reports, floors=loaded.drill.abort, page=page, backend=backend,
        facts={"drill": drill_facts(loaded), "scenario_text": loaded.text},
    )  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(screen)
        desk, door = stack.enter_context(living_run(how, screen, clock))
        leader = Leader(loaded.drill, desk, persons, screen, clock=clock, people=people)
        try:
            leader.run()
        finally:
            leader.cut_short()
    return _compiled(Path(door.folder))


def record_drill(how: Living, longest_s: float, *, persons: Sequence[Person], screen: PlainScreen) -> Path:
    """Keep a system up, record what people do to it; gives the run's folder. Raises HarnessError."""
    with ExitStack() as stack:
        stack.enter_context(screen)
        desk, door = stack.enter_context(living_run(how, screen, SystemClock()))
        leader = Leader(None, desk, persons, screen, clock=SystemClock(), people={})
        leader.listen(longest_s)
    return _compiled(Path(door.folder))


def _compiled(run_dir: Path) -> Path:
    write_file(run_dir / FILE_NAME, compile_run(run_dir).text(run_dir), private=True)
    return run_dir


def _known(people: Mapping[str, str], drill: Drill) -> None:
    from harness.system.document import did_you_mean

    for role in people:
        if role not in drill.roles:
            raise InputError(
                f"--role names {role!r}, which is no role of this drill", hint=did_you_mean(role, list(drill.roles))
            )
