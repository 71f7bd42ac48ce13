"""
Everything that bears a run's label, removed: containers (paused ones too), networks, volumes. Nothing else is touched.

Images stay. What the engine was just about to make when its caller died turns up a moment later, so the look is
repeated until nothing has been found for a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from harness.engine.connect import Engine, EngineError
from harness.engine.labels import RUN, of_run

SIDE_BY_SIDE = 8
_PACE_S = 0.05


def remove_run(
    engine: Engine,
    run_id: str,
    *,
    limit_s: float,
    quiet_s: float = 0.0,
    now_s: Callable[[], float] = time.monotonic,
    sleep_s: Callable[[float], None] = time.sleep,
) -> tuple[list[str], list[str]]:
    """Remove until nothing is found for quiet_s. Returns what was removed and what is left after limit_s, by name."""
    removed: dict[str, None] = {}
    deadline_s = now_s() + limit_s
    empty_since_s: float | None = None
    while True:
        found = _round(engine, run_id)
        at_s = now_s()
        if not found:
            empty_since_s = at_s if empty_since_s is None else empty_since_s
            if at_s - empty_since_s >= quiet_s:
                return list(removed), []
        else:
            empty_since_s = None
            removed.update(dict.fromkeys(found))
        if at_s >= deadline_s:
            left = _left(engine, run_id)
            return [name for name in removed if name not in left], left
        if found:
            continue
        sleep_s(_PACE_S)


def runs_with_labels(engine: Engine) -> set[str]:
    """The ids of all runs of which the engine still has something."""
    runs = set()
    with engine.asking("look for what runs left") as api:
        filters = {"label": [RUN]}
        for thing in (*api.containers(all=True, filters=filters), *api.networks(filters=filters)):
            runs.add((thing.get("Labels") or {}).get(RUN))
        for volume in api.volumes(filters=filters).get("Volumes") or ():
            runs.add((volume.get("Labels") or {}).get(RUN))
    return {run for run in runs if run}


def _round(engine: Engine, run_id: str) -> list[str]:
    """One attempt at everything there is now; returns the names of what was found."""
    containers = _containers(engine, run_id)
    _each(containers, lambda one: engine.api.remove_container(one["Id"], force=True, v=True))
    networks = _networks(engine, run_id)
    _each(networks, lambda one: engine.api.remove_network(one["Id"]))
    volumes = _volumes(engine, run_id)
    _each(volumes, lambda one: engine.api.remove_volume(one["Name"], force=True))
    return [_name(one) for one in (*containers, *networks, *volumes)]


def _each(things: list[Any], remove: Callable[[Any], object]) -> None:
    def one(thing: Any) -> None:
        with suppress(Exception):  # gone meanwhile, or still in use: the next round looks again
            remove(thing)

    if things:
        with ThreadPoolExecutor(max_workers=min(SIDE_BY_SIDE, len(things))) as pool:
            list(pool.map(one, things))


def _containers(engine: Engine, run_id: str) -> list[Any]:
    with engine.asking("list containers") as api:
        return list(api.containers(all=True, filters=of_run(run_id)))


def _networks(engine: Engine, run_id: str) -> list[Any]:
    with engine.asking("list networks") as api:
        return list(api.networks(filters=of_run(run_id)))


def _volumes(engine: Engine, run_id: str) -> list[Any]:
    with engine.asking("list volumes") as api:
        return list(api.volumes(filters=of_run(run_id)).get("Volumes") or ())


def _left(engine: Engine, run_id: str) -> list[str]:
    try:
        things: Iterable[Any] = (*_containers(engine, run_id), *_networks(engine, run_id), *_volumes(engine, run_id))
    except EngineError as error:
        return [str(error)]
    return [_name(one) for one in things]


def _name(thing: Any) -> str:
    """container harness-1-order-1, network harness-1-s0, volume harness-1-orders."""
    if "Names" in thing:
        return f"container {(thing['Names'] or ['?'])[0].lstrip('/')}"
    return f"volume {thing['Name']}" if "Mountpoint" in thing else f"network {thing['Name']}"
