"""
The order service: takes orders, and is the front door to users and products.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from services.resilience import Registry
from services.shop.application import Refused, application, json_body, number_in_path, run
from services.shop.checkout import Checkout
from services.shop.client import HttpClient
from services.shop.copies import SharedCopies
from services.shop.degradable import Looking, degradable
from services.shop.indicators import database
from services.shop.neighbours import Neighbours
from services.shop.orders import PAID, Orders, Wish
from services.shop.protections import order_defaults
from services.shop.scope import current
from services.shop.settings import Settings, read_order_settings, read_settings
from services.shop.settlement import Settlement
from services.shop.storage import reading, storage
from services.shop.styles import payment_command

_LONGEST_KEY = 200
_MOST_AT_ONCE = 1000


class OrderService:
    """The routes of the order service."""

    def __init__(self, checkout: Checkout, neighbours: Neighbours, orders: Orders) -> None:
        self.checkout = checkout
        self.neighbours = neighbours
        self.orders = orders

    def routes(self) -> list[Route]:
        return [
            Route("/orders", self.place, methods=["POST"]),
            Route("/orders", self.look_up),
            Route("/orders/{order}", self.show),
            Route("/users/{user}", self.user),
            Route("/products/{product}", self.product),
            Route("/ledger", self.ledger),
        ]

    async def place(self, request: Request) -> Response:
        wish = wish_of(await json_body(request), request.headers.get("idempotency-key"))
        order = await self.checkout.place(wish)
        return _degradable(order, 201 if order["status"] == PAID else 202)

    async def show(self, request: Request) -> Response:
        order = await self.orders.find(request.path_params["order"])
        if order is None:
            raise Refused(404, f"there is no order {request.path_params['order']!r}")
        return JSONResponse({**order, "deferred": bool(order["deferred"])})

    async def look_up(self, request: Request) -> Response:
        key = request.query_params.get("key", "")
        order = await self.orders.with_key(key)
        if order is None:
            raise Refused(404, f"there is no order of the key {key!r}")
        return JSONResponse({**order, "deferred": bool(order["deferred"])})

    async def user(self, request: Request) -> Response:
        return JSONResponse(await self.neighbours.user(number_in_path(request, "user")))

    async def product(self, request: Request) -> Response:
        return _degradable(await self.neighbours.product(number_in_path(request, "product")))

    async def ledger(self, _: Request) -> Response:
        return Response(await self.orders.as_json(), media_type="application/json")


def wish_of(body: dict[str, Any], header_key: str | None) -> Wish:
    """What a request for an order asks for; the key may stand in the body or the header. Raises Refused."""
    key = body.get("key", header_key)
    if not isinstance(key, str) or not 1 <= len(key) <= _LONGEST_KEY:
        raise Refused(400, f"key is {key!r}, it must be a text of 1 to {_LONGEST_KEY} characters")
    return Wish(
        key=key,
        user=_whole(body, "user", 10**12),
        product=_whole(body, "product", 10**12),
        quantity=_whole(body, "quantity", _MOST_AT_ONCE),
    )


def _whole(body: dict[str, Any], name: str, most: int) -> int:
    value = body.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise Refused(400, f"{name} is {value!r}, it must be a whole number from 1 to {most}")
    return value


async def _nothing() -> None:
    """There is nothing to open: what is read was made by who writes."""


def _degradable(body: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse({**body, "degraded": list(current().fallbacks)}, status)


def build(values: Mapping[str, str]) -> tuple[Settings, ASGIApp]:
    settings = read_settings("order", values, port=18082, keeps_ledger=True)
    own = read_order_settings(values)
    registry = Registry.from_environment(values, defaults=order_defaults(own))
    command = payment_command(values, registry) if own.payment_style == "hystrix" else None
    client = HttpClient(tells=settings.deadline_travels)
    flags = degradable(own, registry)
    looking = Looking(flags)
    copies = SharedCopies(own.cache_urls, fresh_s=own.product_cache_s) if own.cache_urls else None
    neighbours = Neighbours(own, client, registry, flags, command=command, copies=copies)
    reads = reading(settings)
    orders = Orders(storage(settings), idempotency=settings.idempotency, reads=reads)
    settlement = Settlement(neighbours, orders, interval_s=own.settle_interval_s, batch=own.settle_batch)
    checkout = Checkout(neighbours, orders, settlement, lookup_s=own.lookup_s)
    app = application(
        settings,
        OrderService(checkout, neighbours, orders).routes(),
        protections=registry,
        parts=[
            (client.open, client.close),
            *([(copies.open, copies.close)] if copies is not None else []),
            (orders.open, orders.ledger.close),
            *([(_nothing, reads.close)] if reads is not None else []),
            (settlement.start, settlement.stop),
            (looking.start, looking.stop),
        ],
        indicators=[database(orders.ledger)],
        flags=flags,
        own_metrics=neighbours.catalogue.chain.metrics,
    )
    return settings, app


if __name__ == "__main__":
    run("order", build)
