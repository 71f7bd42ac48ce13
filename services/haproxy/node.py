"""
`python -m services.haproxy.node`: one HAProxy in the foreground, and its servers' states on STATE_PORT.

Exit codes: 0 when it was asked to end, 2 when the environment or HAProxy's own check of the configuration says no,
4 when HAProxy is not installed; else HAProxy's own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping

from services.haproxy.configuration import render
from services.haproxy.runtime import servers
from services.haproxy.settings import Settings, read_settings
from services.launcher.child import EXIT_SET_UP_FAILED, Child, NotInstalled, fail, find_program
from services.launcher.environment import EnvironmentProblem, loopback
from services.launcher.publisher import Publisher, Watch


def main(values: Mapping[str, str]) -> int:
    try:
        settings = read_settings(values)
        program = find_program("haproxy", "haproxy")
        _write(program, settings)
        api = (loopback(settings.host), settings.api_port)
        ours = {server.name for pool in settings.pools for server in pool.servers}
        watch = Watch(lambda: {name: state for name, state in servers(api).items() if name in ours})
        publisher = Publisher(watch, loopback(settings.host), settings.state_port)
    except EnvironmentProblem as problem:
        return fail(problem, 2)
    except (NotInstalled, OSError) as problem:
        return fail(problem, EXIT_SET_UP_FAILED)
    # SIGUSR1 lets it finish what it has begun; hard-stop-after bounds that.
    child = Child([program, "-db", "-f", str(settings.file)], stop_signal=signal.SIGUSR1)
    child.obey_signals()
    publisher.start()
    return child.wait()


def _write(program: str, settings: Settings) -> None:
    """Write the configuration and let HAProxy look at it. Raises EnvironmentProblem with its own words, OSError."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    settings.file.write_text(render(settings), "utf-8")
    looked = subprocess.run(
        [program, "-c", "-f", str(settings.file)], capture_output=True, text=True, timeout=10, check=False
    )
    if looked.returncode != 0:
        raise EnvironmentProblem(f"HAProxy does not take {settings.file}:\n{looked.stderr.strip()}")


if __name__ == "__main__":
    sys.exit(main(os.environ))
