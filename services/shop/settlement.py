"""
Charges that were put off are made up for: again and again with the order's own key, until they succeed.

What is owed stands in the orders' file, so nothing is kept in memory and a restart loses nothing. It asks
through the same protections as customers do: one charge at a time while payment is out, and a few more with
every round that succeeds.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from services.shop import logs
from services.shop.application import Refused, Unavailable
from services.shop.neighbours import Neighbours
from services.shop.orders import Orders
from services.shop.scope import Scope, enter
from services.shop.trace import Trace

_CHARGE_S = 2.0
_BREATH_S = 0.02  # between two rounds, so that making up for an outage does not crowd customers out


class Settlement:
    """A background task of the order service; one round every interval_s while something is owed."""

    def __init__(self, neighbours: Neighbours, orders: Orders, *, interval_s: float, batch: int) -> None:
        self.neighbours = neighbours
        self.orders = orders
        self.interval_s = interval_s
        self.batch = batch
        self._at_once = 1
        self._owed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.wake()  # a former process may have left something
        self._task = asyncio.create_task(self._run(), name="settlement")

    async def stop(self) -> None:
        """End it where it is; what is owed stays written down. Safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def wake(self) -> None:
        """Something is owed."""
        self._owed.set()

    async def round(self) -> bool:
        """Try the oldest owed charges; False when payment cannot be reached now, so that it is left alone."""
        self._owed.clear()  # before looking, so that what is put off meanwhile wakes the next round
        rows = await self.orders.unsettled(self._at_once)
        reachable = all(await asyncio.gather(*(self._settle(row) for row in rows)))
        self._at_once = min(self.batch, self._at_once * 2) if reachable else 1
        if rows:
            self._owed.set()
        return reachable

    async def _run(self) -> None:
        while True:
            await self._owed.wait()
            try:
                reachable = await self.round()
            except Exception as problem:  # a full disk must not end the task: what is owed stays owed
                logs.LOG.exception("settlement failed", extra={"fields": {"problem": repr(problem)}})
                reachable = False
                self.wake()
            await asyncio.sleep(_BREATH_S if reachable else self.interval_s)

    async def _settle(self, row: dict[str, Any]) -> bool:
        # A trace of its own: this is no further attempt of the customer's request.
        enter(Scope(trace=Trace.start(), deadline_s=time.monotonic() + _CHARGE_S))
        try:
            payment = await self.neighbours.charge(key=row["key"], amount_cents=row["amount_cents"])
        except Unavailable:
            return False
        except Refused as problem:
            logs.LOG.error("owed charge refused", extra={"fields": {"order": row["id"], "problem": str(problem)}})
            await self.orders.refused(row["id"])
            return True
        await self.orders.paid(row["id"], payment["id"])
        return True
