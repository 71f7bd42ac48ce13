"""The shop's orders in a real cluster: written again as soon as somebody leads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, suppress

import pytest
from postgres_rig import Cluster

from services.shop.ledger import LedgerUnavailable
from services.shop.orders import Orders, Wish
from services.shop.postgres_ledger import PostgresLedger

pytestmark = [pytest.mark.system, pytest.mark.slow]

BACK_WITHIN_S = 0.7


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        running.ready(120)
        yield running


@asynccontextmanager
async def opened(cluster: Cluster):
    url = f"postgresql://shop@{cluster.hosts['database']}:5432/shop"
    book = Orders(PostgresLedger(url, "order", wait_s=5.0), idempotency=True)
    await book.open()
    try:
        yield book
    finally:
        await book.ledger.close()


async def place(book: Orders, key: str) -> None:
    await book.place(Wish(key=key, user=1, product=2, quantity=3), 600)


def promoted_ns(cluster: Cluster) -> int:
    events = cluster.ask("supervisor", "/cluster")["events"]
    return max(int(event["t_ns"]) for event in events if event["kind"] == "promoted")


def test_orders_are_written_again_as_soon_as_somebody_leads(cluster: Cluster) -> None:
    """No wait of the client's own after a connection that failed: the failover is what takes the time."""

    async def placed_while_it_is_killed() -> list[int]:
        instants = []
        async with opened(cluster) as book:
            await asyncio.gather(*[place(book, f"before-{number}") for number in range(20)])
            killing = asyncio.create_task(asyncio.to_thread(cluster.kill, old))
            while not killing.done() or await asyncio.to_thread(lambda: cluster.primary) == old:
                with suppress(LedgerUnavailable):
                    await place(book, f"order-{len(instants)}")
                    instants.append(time.monotonic_ns())
            await place(book, "last")
        return [*instants, time.monotonic_ns()]

    old = cluster.primary
    instants = asyncio.run(placed_while_it_is_killed())
    led_ns = promoted_ns(cluster)
    waited_s = (next(t_ns for t_ns in instants if t_ns > led_ns) - led_ns) / 1e9
    cluster.start(old)

    assert waited_s < BACK_WITHIN_S
    cluster.ready(90)
