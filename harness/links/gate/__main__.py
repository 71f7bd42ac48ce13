"""
`python -m harness.links.gate CONFIG.json`

Says {"event": "ready"} on standard output when every listener is bound, or {"event": "error", ...} and exits 4. Ends on
SIGTERM, SIGINT, `stop` on the control, and, with `lifeline`, at the end of standard input: then the runner is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from harness.errors import EXIT_PASS, EXIT_WRONG_INPUT, HarnessError, SetUpError
from harness.links.gate.config import GateConfig, read_config
from harness.links.gate.server import Gate


def main(arguments: list[str]) -> int:
    """Run the gate; returns the exit code."""
    if len(arguments) != 1:
        print("usage: python -m harness.links.gate CONFIG.json", file=sys.stderr)
        return EXIT_WRONG_INPUT
    _raise_file_limit()
    try:
        config = read_config(Path(arguments[0]))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_run(config))
    except HarnessError as error:
        _say(event="error", error=str(error), hint=error.hint)
        return error.exit_code
    return EXIT_PASS


async def _run(config: GateConfig) -> None:
    loop = asyncio.get_running_loop()
    gate = Gate(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, gate.stop)
    try:
        await gate.start()
        if config.lifeline:
            _watch_lifeline(loop, gate)
        gc.freeze()  # what is here now stays: later collections need not look at it
        _say(event="ready")
        await gate.stopped.wait()
    finally:
        if config.lifeline:
            loop.remove_reader(0)
        await gate.finish()


def _watch_lifeline(loop: asyncio.AbstractEventLoop, gate: Gate) -> None:
    try:
        loop.add_reader(0, _read_lifeline, gate)
    except OSError as error:
        raise SetUpError(
            f"the gate cannot watch its standard input: {error}", hint="a lifeline needs a pipe as standard input"
        ) from error


def _read_lifeline(gate: Gate) -> None:
    """Standard input says nothing but its end."""
    try:
        ended = not os.read(0, 4096)
    except BlockingIOError:
        return
    except OSError:
        ended = True
    if ended:
        asyncio.get_running_loop().remove_reader(0)
        gate.stop()


def _loop_factory() -> Any:
    """uvloop where it is installed, asyncio's own loop elsewhere."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _raise_file_limit() -> None:
    """Two files a connection: take all the machine allows."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _say(**words: object) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        print(json.dumps(words), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
