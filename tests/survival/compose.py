"""
Kill runners of containers anywhere and see that the engine keeps nothing: `python -m tests.survival.compose --kills 30`.

Only the runner is killed; its watchdog has to do the rest. Beside the runs stand a container, a network and a volume
that no run made, and some that bear the label of another run: they have to stay, and so has every image. Needs an
engine and the images (make images). Writes reports/survival-compose.json; ends with 0 when every host was clean.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from harness.engine.connect import Engine, connect
from harness.engine.labels import RUN
from harness.engine.removal import remove_run
from harness.run.interruption import terminated_like_interrupted

from .draws import PHASES, RUNNER, SCENARIOS, Kill, again
from .experiment import AFTER, CLEAN_LIMIT_S, END_LIMIT_S, LOOK_LIMIT_S, MOST_TRIES
from .leftovers import Place, look
from .running import ROOT, Running, kill_at_once

WORDS = ("--json", "--retry-busy", "0", "--backend", "compose")
STAYS_CLEAN_S = 1.0  # what the engine was about to make when the runner died would turn up within it
START_UP_LIMIT_S = 120.0
IMAGE = "harness-shop"
EXIT_INTERRUPTED = 130


@dataclass(slots=True, kw_only=True)
class Row:
    """What came of one kill; instants in seconds after the start of the command, problems empty when it survived."""

    number: int
    scenario: str
    drawn: str
    phase: str = ""
    at_s: float = 0.0
    containers: int = 0  # that the run had when its runner was killed
    clean_s: float | None = None
    problems: list[str] = field(default_factory=list)

    def line(self) -> str:
        """One kill for a terminal."""
        clean = "never" if self.clean_s is None else f"after {self.clean_s:.2f} s"
        text = (
            f"{'BAD' if self.problems else 'ok '} {self.number:3} {self.phase or self.drawn:10} at {self.at_s:6.2f} s "
            f"of {self.scenario:9} with {self.containers} containers; clean {clean}"
        )
        return "\n      ".join([text, *self.problems])


def main() -> int:
    """0 when nothing was left of any run and nothing else was touched."""
    parser = argparse.ArgumentParser(prog="python -m tests.survival.compose", description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reports", type=Path, default=ROOT / "reports")
    options = parser.parse_args()
    rows: list[Row] = []
    try:
        with terminated_like_interrupted():
            _all(draw(options.kills, options.seed), rows)
    except KeyboardInterrupt:
        print(f"interrupted after {len(rows)} of {options.kills} kills", flush=True)
    found = figures(rows, options.seed)
    options.reports.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"figures": found, "kills": [asdict(row) for row in rows]}, indent=1)
    (options.reports / "survival-compose.json").write_text(text + "\n", "utf-8")
    print(json.dumps(found))
    if len(rows) < options.kills:
        return EXIT_INTERRUPTED
    return int(found["clean"] != found["kills"])


def _all(kills: Sequence[Kill], rows: list[Row]) -> None:
    """Do them one after the other; what came of each is added to rows."""
    engine = connect()
    with tempfile.TemporaryDirectory(prefix="harness-survival-") as folder, bystanders(engine) as others:
        place = Place(folder=Path(folder).resolve(), mark=secrets.token_hex(8))
        start_up_s = whole_run_s(place)
        print(f"{len(kills)} kills; a run's load begins {start_up_s:.1f} s after its start", flush=True)
        for kill in kills:
            row = play(kill, place, engine, start_up_s)
            row.problems += harmed(engine, others)
            rows.append(row)
            print(row.line(), flush=True)


def draw(kills: int, seed: int) -> list[Kill]:
    """Every phase and every scenario in turn, in an order and at instants of the seed's own."""
    chance = random.Random(seed)
    phases = [PHASES[number % len(PHASES)] for number in range(kills)]
    scenarios = [SCENARIOS[number % len(SCENARIOS)] for number in range(kills)]
    chance.shuffle(phases)
    chance.shuffle(scenarios)
    return [
        Kill(number=number, victim=RUNNER, scenarios=(scenario,), phase=phase, fraction=chance.random())
        for number, (phase, scenario) in enumerate(zip(phases, scenarios, strict=True), 1)
    ]


def whole_run_s(place: Place) -> float:
    """One undisturbed run; seconds from its start to its first request. Raises RuntimeError when it does not start."""
    running = Running(place, (AFTER,), *WORDS)
    try:
        deadline_s = time.monotonic() + START_UP_LIMIT_S
        while (t0_ns := running.t0_ns()) is None:
            if running.over or time.monotonic() > deadline_s:
                raise RuntimeError(f"a run that nobody disturbed did not start: {running.said()}")
            time.sleep(0.05)
        running.wait_over(START_UP_LIMIT_S)
    finally:
        running.close()
    return (t0_ns - running.began_ns) / 1e9


def play(kill: Kill, place: Place, engine: Engine, start_up_s: float) -> Row:
    """Do one kill, at an earlier instant when the run was over before."""
    row = Row(number=kill.number, scenario=kill.scenarios[0], drawn=kill.phase)
    for late in range(MOST_TRIES):
        running = Running(place, kill.scenarios, *WORDS)
        try:
            victims = running.wait_for(again(kill, late), start_up_s)
            if victims and not running.over:
                row.containers = sum(text.startswith("container") for text in of_runs(engine, running.runs()))
                at_ns = kill_at_once(victims)
                running.wait_over(END_LIMIT_S)
                row.phase = running.phase_at(at_ns)
                row.at_s = round((at_ns - running.began_ns) / 1e9, 2)
                _look_after(row, place, engine, running.runs(), at_ns / 1e9)
                return row
            running.wait_over(END_LIMIT_S)
        except RuntimeError as error:
            row.problems.append(str(error))
            return row
        finally:
            running.close()
    row.problems.append(f"{MOST_TRIES} runs were over before the instant of their kill")
    return row


def _look_after(row: Row, place: Place, engine: Engine, runs: Sequence[Path], killed_s: float) -> None:
    """Wait until nothing is left of the runs, on this machine and in the engine; write down when that was."""
    left: list[str] = []
    while time.monotonic() - killed_s < LOOK_LIMIT_S:
        found = [*of_runs(engine, runs), *([str(here)] if (here := look(place, runs)) else [])]
        if not found:
            row.clean_s = round(time.monotonic() - killed_s, 2)
            break
        left = found
        time.sleep(0.05)
    if row.clean_s is None:
        row.problems.append(f"left behind after {LOOK_LIMIT_S:.0f} s: {', '.join(left)}")
        return
    if row.clean_s > CLEAN_LIMIT_S:
        row.problems.append(f"clean only after {row.clean_s:.1f} s; before that there was {', '.join(left)}")
    time.sleep(STAYS_CLEAN_S)
    if again_there := of_runs(engine, runs):
        row.problems.append(f"came back after it was clean: {', '.join(again_there)}")


def of_runs(engine: Engine, runs: Sequence[Path]) -> list[str]:
    """What the engine holds of these runs: `container harness-1-order-1`."""
    return [text for run in runs for text in held(engine, {"label": [f"{RUN}={run.name}"]})]


def held(engine: Engine, filters: Mapping[str, Any]) -> list[str]:
    """Containers, networks and volumes that pass the filters."""
    with engine.asking("look at what it holds") as api:
        return [
            *(f"container {one['Names'][0].lstrip('/')}" for one in api.containers(all=True, filters=dict(filters))),
            *(f"network {one['Name']}" for one in api.networks(filters=dict(filters))),
            *(f"volume {one['Name']}" for one in api.volumes(filters=dict(filters)).get("Volumes") or ()),
        ]


# -- what must stay ----------------------------------------------------------------------------------------------------


@contextmanager
def bystanders(engine: Engine) -> Iterator[set[str]]:
    """Things like a run's, without a label and with another run's; yields what there is of them, and every image."""
    name, other = f"bystander-{os.getpid()}", f"nobodys-{os.getpid()}"
    try:
        for label in ({}, {RUN: other}):
            mine = f"{name}-labelled" if label else name
            with engine.asking("make a bystander") as api:
                api.create_network(mine, driver="bridge", labels=label)
                api.create_volume(mine, labels=label)
                host = api.create_host_config(binds=[f"{mine}:/kept"], network_mode=mine)
                made = api.create_container(IMAGE, ["sleep", "infinity"], name=mine, labels=label, host_config=host)
                api.start(made["Id"])
        yield _others(engine, name)
    finally:
        remove_run(engine, other, limit_s=LOOK_LIMIT_S)
        with engine.asking("remove the bystander") as api:
            api.remove_container(name, force=True, v=True)
            api.remove_network(name)
            api.remove_volume(name, force=True)


def harmed(engine: Engine, before: set[str]) -> list[str]:
    """What of the bystanders and images is no longer there."""
    name = f"bystander-{os.getpid()}"
    return [f"{gone} is gone, and no run made it" for gone in sorted(before - _others(engine, name))]


def _others(engine: Engine, name: str) -> set[str]:
    found = {f"running {text}" for text in held(engine, {"name": [name]})}
    with engine.asking("look at the bystanders") as api:
        running = {one["Names"][0].lstrip("/") for one in api.containers(filters={"name": [name]})}
        images = {f"image {image['Id']}" for image in api.images()}
    return {text for text in found if "container" not in text or text.rpartition(" ")[2] in running} | images


def figures(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """Numbers that say how it went; seconds are of wall time."""
    times = [row.clean_s for row in rows if row.clean_s is not None]
    return {
        "backend": "compose",
        "kills": len(rows),
        "clean": sum(not row.problems for row in rows),
        "seed": seed,
        "containers_killed_with": sum(row.containers for row in rows),
        "clean_s_median": round(median(times), 2) if times else None,
        "clean_s_worst": max(times, default=None),
    }


if __name__ == "__main__":
    sys.exit(main())
