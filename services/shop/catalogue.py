"""
Data degradation for products: fresh cache, then the service, then the last known copy, then a default.

The cache is this process's own, or one that all instances share. A level is asked only when the one before it had nothing. Which levels there are is said here; the chain, the cache and
their clocks are the resilience library's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from services.resilience import (
    MISSING,
    Cache,
    CacheConfig,
    Cached,
    CallNotPermitted,
    CircuitBreaker,
    Clock,
    DataChain,
    Default,
    Source,
    SourcesExhausted,
)
from services.shop.application import Unavailable
from services.shop.copies import SharedCopies

DEFAULT_PRICE_CENTS = 1000
LAST_KNOWN = "last-known"
OWN_COPY = "own-copy"  # the last known one of this process, where the shared ones are out as well
_MOST_COPIES = 2000

Product = dict[str, Any]


class Catalogue:
    """Products, from the best source that has them. A copy is fresh for fresh_s; the least used leave when there are many.

    ask gives the product service's answer, or raises Unavailable. Without stand_ins there are neither last known copies
    nor defaults: what cannot be asked is unavailable.
    """

    def __init__(
        self,
        ask: Callable[[int], Awaitable[Product]],
        *,
        fresh_s: float,
        stand_ins: bool = True,
        clock: Clock | None = None,
        shared: SharedCopies | None = None,
        guard: CircuitBreaker | None = None,
    ) -> None:
        """shared: the cache is that one, and guard keeps it from being asked when it is out."""
        self.shared, self._guard = shared, guard
        config = CacheConfig(ttl_ms=round(fresh_s * 1000), max_size=_MOST_COPIES)
        self.copies: Cache[int, Product] = Cache("product", config, clock)
        fresh = self._fresh if shared is None else self._fresh_shared
        sources = [Source("cache", fresh, refill=self._keep, breaker=guard), Source("service", ask)]
        if stand_ins:
            if shared is not None:
                sources.append(Source(LAST_KNOWN, self._last_shared, breaker=guard))
            sources.append(Source(LAST_KNOWN if shared is None else OWN_COPY, self._last_known))
        default = Default[Product | None](None, default_product) if stand_ins else None
        self.chain = DataChain("product", sources, default, failures=(Unavailable, CallNotPermitted))
        self.tells = shared is not None or fresh_s > 0  # whether an answer's source is worth telling

    async def product(self, number: int) -> Product:
        """The product with `source`, `stale_age_s` and `degraded`. Raises Unavailable where nothing stands in.

        Raises what `ask` raises besides: that there is no such product is an answer.
        """
        try:
            told = await self.chain.call(number)
        except SourcesExhausted as problem:
            raise Unavailable("product is unavailable") from problem.__cause__
        found = {"source": told.source, "stale_age_s": round(told.stale_age_s, 3), "degraded": told.degraded}
        return {**told.value, **found}

    def _fresh(self, number: int) -> Cached[Product] | object:
        return self.copies.fresh(number) or MISSING

    async def _fresh_shared(self, number: int) -> Cached[Product] | object:
        assert self.shared is not None
        return await self.shared.fresh(number) or MISSING

    async def _last_shared(self, number: int) -> Cached[Product] | object:
        assert self.shared is not None
        return await self.shared.stale(number) or MISSING

    def _last_known(self, number: int) -> Cached[Product] | object:
        return self.copies.stale(number) or MISSING

    def _keep(self, product: Product, number: int) -> None:
        self.copies.put(number, product)
        if self.shared is not None:
            self.shared.keep(number, product)


def default_product(number: int) -> Product:
    """What is sold when nobody knows the product: nothing but its number is right."""
    return {"id": number, "name": f"product {number}", "price_cents": DEFAULT_PRICE_CENTS}
