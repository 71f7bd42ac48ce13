"""The one address writers know: whom a change of target cuts, and whom it lets through."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress

import pytest

from services.postgres.settings import SwitchSettings
from services.postgres.switch import Switch

pytestmark = pytest.mark.system

HOST = f"127.{61 + os.getpid() % 2}.{os.getpid() % 199 + 1}.9"
LIMIT_S = 5.0


@asynccontextmanager
async def switched():
    """A switch before two servers that answer each line with their name."""

    def naming(name):
        async def answer(reader, writer):
            with suppress(ConnectionResetError):
                while await reader.readline():
                    writer.write(f"{name}\n".encode())
            writer.close()

        return answer

    servers = [await asyncio.start_server(naming(name), HOST, port) for name, port in (("pg0", 5500), ("pg1", 5501))]
    nodes = {"pg0": (HOST, 5500), "pg1": (HOST, 5501)}
    settings = SwitchSettings(host=HOST, port=5499, control_port=5498, nodes=nodes, hold_s=LIMIT_S)
    switch, ending = Switch(settings), asyncio.Event()
    running = asyncio.create_task(switch.run(ending))
    try:
        yield switch
    finally:
        ending.set()
        await running
        for server in servers:
            server.close()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)
        await asyncio.sleep(0.02)  # what was aborted is closed by callbacks


@asynccontextmanager
async def client():
    while True:
        try:
            reader, writer = await asyncio.open_connection(HOST, 5499)
            break
        except ConnectionRefusedError:
            await asyncio.sleep(0)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def asked(connection):
    """The name of who answers; empty when the connection was cut."""
    reader, writer = connection
    writer.write(b"who\n")
    try:
        return (await asyncio.wait_for(reader.readline(), LIMIT_S)).decode().strip()
    except ConnectionResetError:
        return ""


def test_who_waits_for_a_target_is_let_through_by_the_change_it_waits_for():
    """A client that came during a failover need not come again, and is not told that anything was wrong."""

    async def scenario():
        async with switched() as switch, client() as waiting:
            while not switch._sessions:  # noqa: ASYNC110  # it has no event to wait for
                await asyncio.sleep(0)
            cut = await switch._turn("pg1", cut=True)
            return cut, await asked(waiting)

    assert asyncio.run(scenario()) == (0, "pg1")


def test_a_change_of_target_ends_what_goes_to_another_node():
    """Nobody writes to the former one; who is with the new one stays."""

    async def scenario():
        async with switched() as switch, client() as old:
            await switch._turn("pg0", cut=True)
            before = await asked(old)
            cut = await switch._turn("pg1", cut=True)
            async with client() as new:
                answers = before, cut, await asked(old), await asked(new)
                return *answers, await switch._turn("pg1", cut=True), await asked(new)

    assert asyncio.run(scenario()) == ("pg0", 1, "", "pg1", 0, "pg1")
