"""
The order service's four neighbours, each asked behind its own protections, with the stand-in for each.

A stand-in serves only failures of the call (no answer, refused by a protection, too late): a bug of ours is
no reason to serve a guest.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from services.resilience import DegradationManager, Registry
from services.resilience.hystrix import HystrixCommand
from services.shop import styles
from services.shop.application import Refused, Unavailable
from services.shop.blocking import BlockingClient
from services.shop.catalogue import LAST_KNOWN, OWN_COPY, Catalogue
from services.shop.client import Answer
from services.shop.copies import SharedCopies
from services.shop.degradable import degradable
from services.shop.protections import CACHE, SHARED_POOL
from services.shop.scope import current
from services.shop.settings import DEGRADABLE, OrderSettings
from services.shop.styles import FAILURES

USER_GUEST = "user-guest"
PRODUCT_DEFAULT = "product-default"
PRODUCT_STALE = "product-stale"
RECOMMENDATION_EMPTY = "recommendation-empty"
RECOMMENDATION_DEGRADED = "recommendation-degraded"
PAYMENT_DEFERRED = "payment-deferred"


class Asks(Protocol):
    """The HTTP client, as far as this module needs it."""

    async def ask(
        self, method: str, url: str, *, attempt: int = 1, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer: ...


class _Neighbour:
    """One neighbour: its URL and its protections, with a stand-in among them or without.

    With a blocking client each request is made in a thread, which the protections have a pool for.
    """

    def __init__(self, name: str, url: str, client: Asks | BlockingClient, protected: styles.Protected) -> None:
        self.name = name
        self._url = url
        self._client = client
        self._protected = protected

    async def ask(self, read: Callable[[Answer], Any], method: str, path: str, *, about: Any, **request: Any) -> Any:
        """
        Ask, and read the answer. about is what the stand-in is told of the call.
        Raises Unavailable when the neighbour cannot be asked and nothing stands in.
        """
        attempts = itertools.count(1)

        def attempt(_about: Any) -> Any:
            return self._client.ask(method, self._url + path, attempt=next(attempts), **request)

        async def attempt_async(about: Any) -> Answer:
            answer: Answer = await attempt(about)
            return answer

        try:
            blocking = isinstance(self._client, BlockingClient)
            result = await self._protected.call(attempt if blocking else attempt_async, about)
        except FAILURES as problem:
            raise Unavailable(f"{self.name} is unavailable") from problem
        # Read outside of the pipeline: "there is no such user" is an answer, neither failure nor reason to repeat.
        return read(result) if isinstance(result, Answer) else result


class Neighbours:
    """
    Users, products, recommendations and charges as the order service sees them.

    While the flag "recommendation" is up nobody asks for recommendations: an order does without them.
    """

    def __init__(
        self,
        settings: OrderSettings,
        client: Asks,
        registry: Registry,
        flags: DegradationManager | None = None,
        *,
        command: HystrixCommand | None = None,
        copies: SharedCopies | None = None,
    ) -> None:
        """command: what protects payment where its style is hystrix. copies: products that other instances know too."""
        self.flags = flags or degradable()
        self.catalogue = Catalogue(
            self._ask_product,
            fresh_s=settings.product_cache_s,
            stand_ins=settings.fallbacks["product"],
            shared=copies,
            guard=registry.circuit_breaker(CACHE) if copies is not None else None,
        )

        blocking = BlockingClient(tells=settings.deadline_travels)

        def neighbour(name: str, stand_in: Callable[..., Awaitable[Any]] | None) -> _Neighbour:
            allowed = stand_in if settings.fallbacks[name] else None
            asks = blocking if name in settings.blocking else client
            return _Neighbour(name, settings.urls[name], asks, protected(name, allowed))

        def protected(name: str, stand_in: Callable[..., Awaitable[Any]] | None) -> styles.Protected:
            style = settings.payment_style if name == "payment" else "resilience4j"
            if style == "hystrix" and command is not None:
                return styles.hystrix(command, stand_in)
            if style == "feign":
                return styles.feign(name, registry, stand_in)
            if style == "retryable":
                return styles.spring_retry(name, registry, stand_in)
            shared = settings.shared_pool and name in settings.blocking
            return styles.resilience4j(name, registry, stand_in, pool=SHARED_POOL if shared else None)

        self._user = neighbour("user", None)
        self._user_or_guest = neighbour("user", self._guest)
        self._product = neighbour("product", None)
        self._recommendation = neighbour("recommendation", self._no_recommendations)
        self._payment = neighbour("payment", None)
        self._payment_or_later = neighbour("payment", self._later)

    async def user(self, number: int) -> dict[str, Any]:
        """The user. Raises Refused when there is none, Unavailable when nobody can tell."""
        return await self._ask_user(self._user, number)

    async def user_or_guest(self, number: int) -> dict[str, Any]:
        """The user, or a guest when nobody can tell. Raises Refused, Unavailable."""
        return await self._ask_user(self._user_or_guest, number)

    async def product(self, number: int) -> dict[str, Any]:
        """The product: fresh copy, service, last known copy or default, in this order. Raises Refused, Unavailable."""
        product = await self.catalogue.product(number)
        if product["degraded"]:
            current().served_by(PRODUCT_DEFAULT)
            if product["source"] in (LAST_KNOWN, OWN_COPY):
                current().served_by(PRODUCT_STALE)
        if self.catalogue.tells:
            current().told_by("product", product["source"], product["stale_age_s"])
        return product

    async def recommendations(self, user: int) -> list[int]:
        """Products the user may like; an empty list when nobody can tell or is to be asked. Raises Unavailable."""
        if self.flags.is_degraded(DEGRADABLE):
            current().served_by(RECOMMENDATION_DEGRADED)
            return []

        def read(answer: Answer) -> list[int]:
            return list(found(answer, f"there are no recommendations for {user}")["products"])

        products: list[int] = await self._recommendation.ask(read, "GET", f"/recommendations/{user}", about=user)
        return products

    async def charge(self, *, key: str, amount_cents: int) -> dict[str, Any]:
        """Charge once for a key. Raises Refused when it is declined, Unavailable."""
        payment = await self._charge(self._payment, key, amount_cents)
        assert payment is not None, "nothing stands in for this charge"
        return payment

    async def charge_or_later(self, *, key: str, amount_cents: int) -> dict[str, Any] | None:
        """Charge once for a key; None when it has to be done later. Raises Refused, Unavailable."""
        return await self._charge(self._payment_or_later, key, amount_cents)

    async def _ask_user(self, neighbour: _Neighbour, number: int) -> dict[str, Any]:
        def read(answer: Answer) -> dict[str, Any]:
            return found(answer, f"there is no user {number}")

        user: dict[str, Any] = await neighbour.ask(read, "GET", f"/users/{number}", about=number)
        return user

    async def _ask_product(self, number: int) -> dict[str, Any]:
        def read(answer: Answer) -> dict[str, Any]:
            return found(answer, f"there is no product {number}")

        product: dict[str, Any] = await self._product.ask(read, "GET", f"/products/{number}", about=number)
        return product

    async def _charge(self, neighbour: _Neighbour, key: str, amount_cents: int) -> dict[str, Any] | None:
        def read(answer: Answer) -> dict[str, Any]:
            return found(answer, f"the charge for {key!r} was declined")

        payment: dict[str, Any] | None = await neighbour.ask(
            read,
            "POST",
            "/payments",
            about=key,
            body={"order": key, "amount_cents": amount_cents},
            headers={"Idempotency-Key": key},
        )
        return payment

    async def _guest(self, _: Exception, number: int) -> dict[str, Any]:
        current().served_by(USER_GUEST)
        return {"id": number, "name": "guest", "tier": "guest"}

    async def _no_recommendations(self, _: Exception, __: int) -> list[int]:
        current().served_by(RECOMMENDATION_EMPTY)
        return []

    async def _later(self, _: Exception, __: str) -> None:
        current().served_by(PAYMENT_DEFERRED)


def found(answer: Answer, otherwise: str) -> dict[str, Any]:
    """The body of a good answer. Raises Refused, with otherwise, for a status of 400 or above."""
    if answer.status >= 400:
        raise Refused(404 if answer.status == 404 else 422, otherwise)
    body: dict[str, Any] = answer.body
    return body
