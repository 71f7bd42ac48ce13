"""
`python -m services.redis.sentinel`: one Sentinel in the foreground, and the primary it believes in on STATE_PORT.

Exit codes as of `services.redis.node`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from services.launcher.child import EXIT_SET_UP_FAILED, Child, NotInstalled, fail, find_program
from services.launcher.environment import EnvironmentProblem
from services.launcher.publisher import Publisher, Watch
from services.redis.configuration import PRIMARY, sentinel_file
from services.redis.protocol import ask
from services.redis.settings import SentinelSettings, read_sentinel


def belief_of(settings: SentinelSettings) -> dict[str, dict[str, Any]]:
    """The Sentinel by its name: `state` is the primary's address as it believes. Raises OSError, ValueError."""
    host, port = ask(settings.own, "SENTINEL", "get-master-addr-by-name", PRIMARY)
    return {settings.name: {"state": f"{host}:{port}"}}


def main(values: Mapping[str, str]) -> int:
    try:
        settings = read_sentinel(values)
        program = find_program("redis-server", "redis-server")
        settings.folder.mkdir(parents=True, exist_ok=True)
        file = settings.folder / "sentinel.conf"
        if not file.exists():  # a Sentinel that comes back goes on with what it knew
            file.write_text(sentinel_file(settings), "utf-8")
        publisher = Publisher(Watch(lambda: belief_of(settings)), settings.host, settings.state_port)
    except EnvironmentProblem as problem:
        return fail(problem, 2)
    except (NotInstalled, OSError) as problem:
        return fail(problem, EXIT_SET_UP_FAILED)
    child = Child([program, str(file), "--sentinel"])
    child.obey_signals()
    publisher.start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(os.environ))
