"""
`python -m services.redis.node`: one Redis server in the foreground, and its role on STATE_PORT.

Exit codes: 0 when it was asked to end, 2 when the environment is wrong, 4 when Redis is not installed; else its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from services.launcher.child import EXIT_SET_UP_FAILED, Child, NotInstalled, fail, find_program
from services.launcher.environment import EnvironmentProblem
from services.launcher.publisher import Publisher, Watch
from services.redis.configuration import node_words
from services.redis.protocol import ask, sections
from services.redis.settings import NodeSettings, read_node

ROLES = {"master": "primary", "slave": "replica"}


def role_of(settings: NodeSettings) -> dict[str, dict[str, Any]]:
    """The node by its name: `state` is primary or replica. Raises OSError, ValueError, KeyError."""
    told = sections(ask(settings.own, "INFO", "replication"))
    state = ROLES[told["role"]]
    shown: dict[str, Any] = {"state": state, "replicas": int(told.get("connected_slaves", 0))}
    if state == "replica":
        shown |= {
            "primary": f"{told.get('master_host')}:{told.get('master_port')}",
            "link": told.get("master_link_status"),
            "silent_s": int(told.get("master_last_io_seconds_ago", -1)),
        }
    return {settings.name: shown}


def main(values: Mapping[str, str]) -> int:
    try:
        settings = read_node(values)
        program = find_program("redis-server", "redis-server")
        settings.folder.mkdir(parents=True, exist_ok=True)
        command = [program, *node_words(settings)]
        publisher = Publisher(Watch(lambda: role_of(settings)), settings.host, settings.state_port)
    except EnvironmentProblem as problem:
        return fail(problem, 2)
    except (NotInstalled, OSError) as problem:
        return fail(problem, EXIT_SET_UP_FAILED)
    child = Child(command)
    child.obey_signals()
    publisher.start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(os.environ))
