"""`harness down`: end a living system and wait until nothing of it runs."""

from __future__ import annotations

import argparse
import time

from harness.cli.asking import add_run
from harness.cli.parser import Parser
from harness.cli.printing import print_json
from harness.errors import EXIT_PASS, SetUpError

LIMIT_S = 90.0
DESCRIPTION = "End a living system: heal what is on, end the load, take everything down, judge what was recorded."
EXAMPLES = ("harness down", "harness down --run live-shop")


def arguments(parser: Parser) -> None:
    add_run(parser, by=True)


def main(options: argparse.Namespace) -> int:
    import psutil

    from harness.live.client import Client, whoami
    from harness.live.door import find_door

    door = find_door(options.run)
    try:
        process = psutil.Process(door.pid)
    except psutil.NoSuchProcess:
        raise SetUpError(f"{door.run} is gone") from None
    with Client(door) as client:
        client.ask("end", by=options.by or whoami())
    deadline_s = time.monotonic() + LIMIT_S
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline_s:
            raise SetUpError(f"{door.run} was still at it after {LIMIT_S:.0f} s", hint="harness clean")
        time.sleep(0.05)
    if options.json:
        print_json({"run": door.run, "run_dir": door.folder})
    else:
        print(f"down: {door.folder}")
    return EXIT_PASS
