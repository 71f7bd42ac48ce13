"""
Placing an order: look up what it needs at once, write it down, charge it, answer.

Three outcomes for a customer: PAID; PENDING_PAYMENT, accepted and charged later; or an exception, and then
nothing is kept.
"""

from __future__ import annotations

import asyncio
from typing import Any

from services.shop.neighbours import Neighbours
from services.shop.orders import PAID, PENDING_PAYMENT, Orders, Wish
from services.shop.scope import within
from services.shop.settlement import Settlement


class Checkout:
    """Places orders. lookup_s bounds the look-ups together, so that the charge has time left."""

    def __init__(self, neighbours: Neighbours, orders: Orders, settlement: Settlement, *, lookup_s: float) -> None:
        self.neighbours = neighbours
        self.orders = orders
        self.settlement = settlement
        self.lookup_s = lookup_s

    async def place(self, wish: Wish) -> dict[str, Any]:
        """The order as it stands when the customer is answered. Raises Refused, Unavailable."""
        user, product, recommendations = await self._look_up(wish)
        row, repeated = await self.orders.place(wish, product["price_cents"] * wish.quantity)
        status = row["status"] if repeated else await self._pay(row)
        return {
            "id": row["id"],
            "key": wish.key,
            "status": status,
            "amount_cents": row["amount_cents"],
            "user": user,
            "product": product,
            "quantity": wish.quantity,
            "recommendations": recommendations,
        }

    async def _look_up(self, wish: Wish) -> tuple[dict[str, Any], dict[str, Any], list[int]]:
        ask = self.neighbours
        user = asyncio.create_task(within(self.lookup_s, lambda: ask.user_or_guest(wish.user)))
        product = asyncio.create_task(within(self.lookup_s, lambda: ask.product(wish.product)))
        recommendations = asyncio.create_task(within(self.lookup_s, lambda: ask.recommendations(wish.user)))
        lookups: tuple[asyncio.Task[Any], ...] = (user, product, recommendations)
        try:
            await asyncio.gather(*lookups)
        finally:  # the first refusal ends the other look-ups
            for lookup in lookups:
                lookup.cancel()
            await asyncio.gather(*lookups, return_exceptions=True)
        return user.result(), product.result(), recommendations.result()

    async def _pay(self, row: dict[str, Any]) -> str:
        try:
            payment = await self.neighbours.charge_or_later(key=row["key"], amount_cents=row["amount_cents"])
        except Exception:
            await self.orders.withdraw(row["id"])
            raise
        if payment is None:
            await self.orders.put_off(row["id"])
            self.settlement.wake()
            return PENDING_PAYMENT
        await self.orders.paid(row["id"], payment["id"])
        return PAID
