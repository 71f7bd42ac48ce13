"""
Data degradation for products: fresh cache, then the service, then the last known copy, then a default.

A level is asked only when the one before it had nothing. The clock is handed in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DEFAULT_PRICE_CENTS = 1000
_MOST_COPIES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    product: dict[str, Any]
    taken_s: float


class Catalogue:
    """Copies of products seen before; the oldest leave when there are too many."""

    def __init__(self, *, fresh_s: float, now_s: Callable[[], float]) -> None:
        self.fresh_s = fresh_s
        self._now_s = now_s
        self._copies: OrderedDict[int, _Copy] = OrderedDict()

    def fresh(self, number: int) -> dict[str, Any] | None:
        """The copy of a product when it is younger than fresh_s."""
        copy = self._copies.get(number)
        if copy is None or self._now_s() - copy.taken_s >= self.fresh_s:
            return None
        return {**copy.product, "source": "cache"}

    def keep(self, number: int, product: dict[str, Any]) -> dict[str, Any]:
        """Remember what the service answered."""
        self._copies[number] = _Copy(product=product, taken_s=self._now_s())
        self._copies.move_to_end(number)
        if len(self._copies) > _MOST_COPIES:
            self._copies.popitem(last=False)
        return {**product, "source": "service"}

    def stand_in(self, number: int) -> dict[str, Any]:
        """The last known copy with its age in seconds, or a default that knows nothing but the number."""
        copy = self._copies.get(number)
        if copy is None:
            return {
                "id": number, "name": f"product {number}", "price_cents": DEFAULT_PRICE_CENTS, "source": "default",
            }  # fmt: skip
        return {**copy.product, "source": "last-known", "age_s": round(self._now_s() - copy.taken_s, 3)}
