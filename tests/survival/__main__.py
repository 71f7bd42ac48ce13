"""
Kill real runs anywhere and see that nothing is left: `python -m tests.survival --kills 100 --seed 1`.

Writes reports/survival.md and .json. Ends with 0 when every kill left nothing behind, every journal opened, every
bystander lived and every run after a kill passed.
"""

from __future__ import annotations

import argparse
import math
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from harness.run.interruption import terminated_like_interrupted
from tests.turns import Turns

from .bystanders import Bystanders, bystanders
from .draws import Kill, draw
from .experiment import AFTER, Row, play, run_after
from .leftovers import Place
from .results import document, figures, line, page, summary, table
from .running import ROOT, Running

NEXT_RUN_EVERY = 10
TURN_S = 120.0  # and then the kills that are under way
BESIDE = 0.25  # by how much each run beside it lengthens the start of another
START_UP_LIMIT_S = 90.0
EXIT_INTERRUPTED = 130
WHOLE = 40  # kills; fewer are a short form, whose figures stand beside


def main() -> int:
    """0 when nothing was left and nobody else was hurt."""
    parser = argparse.ArgumentParser(prog="python -m tests.survival", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="N", help="do the kill of this number alone")
    parser.add_argument("--victim", help="only the kills of this victim")
    parser.add_argument("--reports", type=Path, default=ROOT / "reports")
    parser.add_argument("--keep", type=Path, help="keep the folders of all runs here, instead of nowhere")
    parser.add_argument("--turns", type=Path, help="hold a lock on this file, to take turns with others who measure")
    parser.add_argument("--side-by-side", type=int, default=1, metavar="N", help="so many kills at a time")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="begin no kill after so long; the figures tell how many"
    )
    options = parser.parse_args()
    drawn = draw(options.kills, options.seed)
    chosen = [k for k in drawn if options.only in {None, k.number} and options.victim in {None, k.victim}]
    began_s = time.monotonic()
    rows: list[Row] = []
    interrupted = False
    try:
        with terminated_like_interrupted(), _folder(options.keep) as folder, bystanders() as others:
            end_s = began_s + 60 * options.minutes
            _all(chosen, rows, folder, others, Pace(options.turns, options.side_by_side, end_s))
    except KeyboardInterrupt:
        interrupted = True
        print(f"interrupted after {len(rows)} of {len(chosen)} kills", flush=True)
    rows.sort(key=lambda row: row.number)
    found = figures(rows, seed=options.seed, seconds=time.monotonic() - began_s)
    _write(rows, found, options.reports, whole=len(chosen) == len(drawn) and len(rows) >= WHOLE and not interrupted)
    print(f"\n{table(rows)}\n\n{summary(found)}")
    if interrupted:
        return EXIT_INTERRUPTED
    return int(found["survived"] != found["kills"] or not found["next_runs_passed"])


@dataclass(frozen=True, slots=True)
class Pace:
    """The lock to take turns by, how many kills at a time, and the instant after which none is begun (monotonic)."""

    turns: Path | None
    side_by_side: int
    end_s: float

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.end_s


def _all(kills: list[Kill], rows: list[Row], folder: Path, others: Bystanders, pace: Pace) -> None:
    """Do them, some at a time, with a run by itself after every tenth. What came of each is added to rows."""
    places: SimpleQueue[Place] = SimpleQueue()
    for number in range(pace.side_by_side):
        places.put(Place(folder=folder / str(number), mark=secrets.token_hex(8)))

    def do(kill: Kill) -> None:
        place = places.get()
        try:
            row = play(kill, place, start_up_s * (1 + BESIDE * (pace.side_by_side - 1)))
        finally:
            places.put(place)
        row.problems += others.harmed()
        rows.append(row)
        print(line(row), flush=True)

    with Turns(pace.turns, TURN_S) as mine, ThreadPoolExecutor(pace.side_by_side) as pool:
        last = Place(folder=folder / "after", mark=secrets.token_hex(8))
        start_up_s = _start_up_s(last)
        print(f"{len(kills)} kills; a run's load begins {start_up_s:.1f} s after its start", flush=True)
        pending, since = list(kills), 0
        while True:
            batch, pending = pending[:NEXT_RUN_EVERY], pending[NEXT_RUN_EVERY:]
            mine.next()
            before = len(rows)
            list(pool.map(lambda kill: None if mine.over or pace.over else do(kill), batch))
            numbers = {row.number for row in rows}
            pending = [kill for kill in batch if kill.number not in numbers] + pending
            since += len(rows) - before
            ended = pace.over or not pending
            if since and (since >= NEXT_RUN_EVERY or ended):
                since = 0
                run_after(last, rows[-1])
                print(f"the run after kill {rows[-1].number}: {rows[-1].next_run}", flush=True)
            if ended:
                return


def _start_up_s(place: Place) -> float:
    """How long a run takes from its start to its first request, here and now."""
    running = Running(place, (AFTER,), "--json", "--retry-busy", "0")
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


def _write(rows: list[Row], found: dict[str, object], reports: Path, *, whole: bool) -> None:
    """The whole row of kills where the README finds it; some of them beside."""
    reports.mkdir(parents=True, exist_ok=True)
    name = "survival" if whole else "survival-part"
    (reports / f"{name}.md").write_text(page(rows, found), "utf-8")
    (reports / f"{name}.json").write_text(document(rows, found), "utf-8")


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="harness-survival-") as name:
        yield Path(name).resolve()


if __name__ == "__main__":
    sys.exit(main())
