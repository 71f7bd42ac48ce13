"""
The product service: what is for sale. Products 1 to 500 exist; prices are in cents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from services.resilience import Registry
from services.shop.application import Refused, application, number_in_path, run
from services.shop.settings import Settings, read_settings

LAST_PRODUCT = 500
_ON_FIRST_PAGE = 50


def product_of(number: int) -> dict[str, Any]:
    """Product `number`, always the same."""
    return {"id": number, "name": f"product {number}", "price_cents": 500 + 37 * number % 9500}


async def get_product(request: Request) -> Response:
    number = number_in_path(request, "product")
    if number > LAST_PRODUCT:
        raise Refused(404, f"there is no product {number}")
    return JSONResponse(product_of(number))


async def list_products(_: Request) -> Response:
    page = [product_of(number) for number in range(1, _ON_FIRST_PAGE + 1)]
    return JSONResponse({"products": page, "count": LAST_PRODUCT})


def build(values: Mapping[str, str]) -> tuple[Settings, ASGIApp]:
    settings = read_settings("product", values, port=18084)
    registry = Registry.from_environment(values)
    routes = [Route("/products", list_products), Route("/products/{product}", get_product)]
    return settings, application(settings, routes, protections=registry)


if __name__ == "__main__":
    run("product", build)
