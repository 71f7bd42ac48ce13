"""
The recommendation service: three products a user may like. The shop works without it.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from services.resilience import Registry
from services.shop.application import application, number_in_path, run
from services.shop.settings import Settings, read_settings

_PRODUCTS = 50


def recommended_to(user: int) -> list[int]:
    """Three different products for a user, always the same."""
    first = user * 7 % _PRODUCTS
    return [(first + step) % _PRODUCTS + 1 for step in (0, 11, 23)]


async def get_recommendations(request: Request) -> Response:
    user = number_in_path(request, "user")
    return JSONResponse({"user": user, "products": recommended_to(user)})


def build(values: Mapping[str, str]) -> tuple[Settings, ASGIApp]:
    settings = read_settings("recommendation", values, port=18085)
    registry = Registry.from_environment(values)
    routes = [Route("/recommendations/{user}", get_recommendations)]
    return settings, application(settings, routes, protections=registry)


if __name__ == "__main__":
    run("recommendation", build)
