"""
The one address writers know: a TCP relay to whichever node is the primary now.

It is told by the supervisor and decides nothing. A change of target cuts every connection to another node, the ones to
a frozen server too, so nobody hangs on it and nobody writes to it when it thaws. A new connection waits for a target,
for a while, and is not cut by the change it waits for.

    GET /ready     200 once a target is set and accepts      PUT /target    {"node": "pg1" or null, "cut": true}
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from services.postgres.http_json import Answer, Server
from services.postgres.problems import StartError, run
from services.postgres.settings import SwitchSettings, read_switch

_CHUNK = 64 * 1024
_CONNECT_LIMIT_S = 1.0
_TRY_AGAIN_S = 0.02


class Switch:
    """Relays connections; `target` may be called from any thread."""

    def __init__(self, settings: SwitchSettings) -> None:
        self.settings = settings
        self.target: str | None = None
        self._loop = asyncio.get_running_loop()
        self._sessions: dict[asyncio.Task[None], str | None] = {}  # to which node; None: it waits for one

    async def run(self, ending: asyncio.Event) -> None:
        try:
            server = await asyncio.start_server(self._accept, self.settings.host, self.settings.port, limit=_CHUNK)
        except OSError as error:
            raise StartError(f"cannot listen on {self.settings.host}:{self.settings.port}: {error}") from error
        async with server:
            await ending.wait()
            self.target = None
            self._cut()

    def routes(self) -> dict[tuple[str, str], Any]:
        return {("GET", "/ready"): self._ready, ("PUT", "/target"): self._set, ("GET", "/target"): self._get}

    def _get(self, _: Mapping[str, Any]) -> Answer:
        return 200, {"node": self.target, "sessions": len(self._sessions)}

    def _ready(self, _: Mapping[str, Any]) -> Answer:
        if self.target is None:
            return 503, {"error": "no target yet"}
        try:
            socket.create_connection(self.settings.nodes[self.target], timeout=_CONNECT_LIMIT_S).close()
        except OSError as error:
            return 503, {"error": f"{self.target}: {error}"}
        return 200, {"node": self.target}

    def _set(self, body: Mapping[str, Any]) -> Answer:
        node, cut = body.get("node"), bool(body.get("cut", True))
        if node is not None and node not in self.settings.nodes:
            return 400, {"error": f"node is {node!r}, which is none of {', '.join(self.settings.nodes)}"}
        done = asyncio.run_coroutine_threadsafe(self._turn(node, cut=cut), self._loop)
        return 200, {"node": node, "cut": done.result(2.0)}

    async def _turn(self, node: str | None, *, cut: bool) -> int:
        changed, self.target = node != self.target, node
        if changed:
            print(f"{time.monotonic():.3f} switch target {node}", file=sys.stderr, flush=True)
        return self._cut() if changed and cut else 0

    def _cut(self) -> int:
        """End every session with a node that is not the target; the number of those."""
        ended = [session for session, node in self._sessions.items() if node not in (None, self.target)]
        for session in ended:
            session.cancel()
        return len(ended)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.current_task()
        assert session is not None
        self._sessions[session] = None
        upstream: asyncio.StreamWriter | None = None
        try:
            found = await self._connect(session)
            if found is not None:
                back, upstream = found
                await _first_end(_pump(reader, upstream), _pump(back, writer))
        except (OSError, asyncio.CancelledError):
            pass  # cut on purpose, or broken on one side: the other side is closed below
        finally:
            del self._sessions[session]
            for one in (writer, upstream):
                if one is not None:
                    one.transport.abort()

    async def _connect(self, session: asyncio.Task[None]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """To the target as it is by then; None when there was none to reach in time."""
        ends_s = self._loop.time() + self.settings.hold_s
        while self._loop.time() < ends_s:
            node = self.target
            if node is not None:
                try:
                    async with asyncio.timeout(_CONNECT_LIMIT_S):
                        found = await asyncio.open_connection(*self.settings.nodes[node], limit=_CHUNK)
                except OSError:
                    pass
                else:
                    if node == self.target:
                        self._sessions[session] = node
                        return found
                    found[1].transport.abort()  # it changed in the meantime
                    continue
            await asyncio.sleep(_TRY_AGAIN_S)
        return None


async def _first_end(*pumps: Any) -> None:
    tasks = [asyncio.ensure_future(pump) for pump in pumps]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_CHUNK):
        writer.write(piece)
        await writer.drain()


async def _serve(settings: SwitchSettings) -> None:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    switch = Switch(settings)
    control = Server(settings.host, settings.control_port, switch.routes())
    control.start()
    await switch.run(ending)


def main() -> None:
    asyncio.run(_serve(read_switch(os.environ)))


if __name__ == "__main__":
    run("switch", main)
