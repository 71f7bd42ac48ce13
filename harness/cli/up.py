"""`harness up`: keep a system running under load until somebody ends it; people hurt and heal it from any terminal."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.parser import Parser
from harness.cli.printing import print_json
from harness.errors import EXIT_PASS, InputError, SetUpError
from harness.secrets import private_opener

if TYPE_CHECKING:
    from harness.live.desk import Desk
    from harness.live.door import Door
    from harness.live.run import Living
    from harness.scenario.model import Load
    from harness.system.model import System

READY_LIMIT_S = 180.0
DESCRIPTION = """\
Start the system of a Compose file with proxies on its links, and keep it under load until `harness down`, Ctrl-C or
the end of --for. From any terminal of yours: harness inject, heal, note, status, watch. Everything is recorded;
in the end it is judged by the system's objectives, and `harness drill compile` makes a drill of it."""
EXAMPLES = (
    "harness up compose/shop.yaml",
    "harness up compose/shop.yaml --arrivals 40/s --detach",
    'harness up compose/shop.yaml --abort "orders-available < 80% over 5s"',
)


def arguments(parser: Parser) -> None:
    living_arguments(parser)
    parser.add_argument("--detach", action="store_true", help="come back once it is up, and leave it running")


def living_arguments(parser: Parser) -> None:
    """What `harness drill record` takes as well: it keeps a system up too."""
    from harness.run.options import BACKENDS

    parser.add_argument(
        "--backend", choices=BACKENDS, default=BACKENDS[0], help="what runs the system (default: %(default)s)"
    )
    parser.add_argument("system", metavar="SYSTEM", type=Path, help="the system's Compose file")
    parser.add_argument("--profile", metavar="NAME", help="mix of requests; absent: the system's first")
    parser.add_argument("--arrivals", metavar="RATE", default="20/s", help="load, open model (default: %(default)s)")
    parser.add_argument("--name", metavar="NAME", help="what the run is called (default: live-SYSTEM)")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="draws come from it (default: %(default)s)")
    parser.add_argument(
        "--abort", metavar="CONDITION", action="append", default=[],
        help="heal everything when an objective falls below a floor; may be repeated",
    )  # fmt: skip
    parser.add_argument("--for", dest="longest", metavar="SPAN", default="8h", help="end after (default: %(default)s)")
    parser.add_argument("--no-page", dest="page", action="store_false", help="no page for a screen on the wall")
    parser.add_argument(
        "--reports",
        metavar="DIR",
        type=Path,
        default=Path("reports"),
        help="where runs are kept (default: %(default)s)",
    )
    parser.add_argument("--plain", action="store_true", help="plain lines instead of a live panel")


def main(options: argparse.Namespace) -> int:
    from harness.cli.asking import span_s
    from harness.live.run import living_run
    from harness.progress import Silent
    from harness.report.live import open_view
    from harness.run.interruption import terminated_like_interrupted
    from harness.suite import judge_and_report

    longest_s = span_s(options.longest, "--for")
    how = living_of(options)
    if options.detach:
        return _detached(options)
    with terminated_like_interrupted():
        if options.json:
            with living_run(how, Silent()) as (desk, door):
                _keep_up(desk, longest_s)
        else:
            with open_view(plain=options.plain) as view, living_run(how, view) as (desk, door):
                _keep_up(desk, longest_s)
    run_dir = Path(door.folder)
    verdict = judge_and_report(run_dir, options.reports)
    if options.json:
        print_json({"run": door.run, "run_dir": str(run_dir), "verdict": verdict.verdict.value})
    else:
        print(f"down: {run_dir}\njudged by the system's objectives: {verdict.verdict.value}: {verdict.reason}")
    return EXIT_PASS


def _keep_up(desk: Desk, longest_s: float) -> None:
    desk.phase_started("live", "wait")
    desk.run(longest_s)


def living_of(options: argparse.Namespace, name: str | None = None) -> Living:
    """What the options ask for. Raises InputError."""
    from harness.live.floors import floor_of
    from harness.live.header import Header
    from harness.live.run import Living
    from harness.system.compose_file import read_system

    system = read_system(options.system)
    load, profile = _load(options, system)
    header = Header(
        name=_name(options.name or name or f"live-{system.name}"), system=system, load=load, profile=profile,
        seed=options.seed,
    )  # fmt: skip
    floors = tuple(floor_of(text, system.objectives) for text in options.abort)
    return Living(header=header, reports=options.reports, floors=floors, page=options.page, backend=options.backend)


def _load(options: argparse.Namespace, system: System) -> tuple[Load, str]:
    from pydantic import ValidationError

    from harness.cli.parser import did_you_mean
    from harness.scenario.model import Load

    known = list(system.profiles)
    if not known:
        raise InputError(f"{system.file}: the system declares no profile to load it with")
    profile = options.profile or known[0]
    if profile not in known:
        hint = did_you_mean(profile, known, f"known: {', '.join(known)}")
        raise InputError(f"--profile is {profile!r}, which the system does not declare", hint=hint)
    try:
        return Load.model_validate({"profile": profile, "arrivals": options.arrivals}), profile
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(f"--arrivals: {said}", hint="--arrivals 20/s") from None


def _name(text: str) -> str:
    import re

    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,79}", text):
        raise InputError(f"--name is {text!r}", hint="lower case, digits and hyphens: rehearsal-1")
    return text


def _detached(options: argparse.Namespace) -> int:
    """Start the same in a session of its own, wait until it takes orders, say where it is."""
    options.reports.mkdir(parents=True, exist_ok=True)
    log = options.reports / f"up-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.log"
    command = [sys.executable, "-m", "harness", *(word for word in sys.argv[1:] if word not in {"--detach", "--json"})]
    with open(log, "ab", opener=private_opener) as file:  # the address of the page in it holds the token
        child = subprocess.Popen(
            [*command, "--plain"], stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    print(f"starting, see {log}", file=sys.stderr)
    door = _wait_until_up(child, log)
    if options.json:
        print_json(document(door))
    else:
        print(f"up: {door.run} (pid {door.pid})" + (f"\nfor a screen on the wall: {door.page}" if door.page else ""))
    return EXIT_PASS


def _wait_until_up(child: subprocess.Popen[bytes], log: Path) -> Door:
    from harness.live.door import living

    deadline_s = time.monotonic() + READY_LIMIT_S
    while time.monotonic() < deadline_s:
        for door in living():
            if door.pid == child.pid:
                return door
        if child.poll() is not None:
            lines = log.read_text("utf-8", "replace").splitlines()[-12:]
            raise SetUpError("the system did not come up:\n" + "\n".join(lines), hint=f"see {log}")
        time.sleep(0.1)
    child.terminate()
    raise SetUpError(f"the system was not up after {READY_LIMIT_S:.0f} s", hint=f"see {log}")


def document(door: Door) -> dict[str, Any]:
    """A living system for machines; the token stays in its file."""
    return {"run": door.run, "name": door.name, "pid": door.pid, "run_dir": door.folder, "page": door.page}
