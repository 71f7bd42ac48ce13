"""
The user service: who a customer is. Users 1 to 10,000 exist.
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

LAST_USER = 10_000
_FIRST_NAMES = ("Ada", "Bela", "Chidi", "Dilnoza", "Emre", "Farah", "Goran", "Hanna")


def user_of(number: int) -> dict[str, Any]:
    """User `number`, always the same."""
    return {"id": number, "name": _FIRST_NAMES[number % len(_FIRST_NAMES)], "tier": ("basic", "plus")[number % 2]}


async def get_user(request: Request) -> Response:
    number = number_in_path(request, "user")
    if number > LAST_USER:
        raise Refused(404, f"there is no user {number}")
    return JSONResponse(user_of(number))


def build(values: Mapping[str, str]) -> tuple[Settings, ASGIApp]:
    settings = read_settings("user", values, port=18081)
    registry = Registry.from_environment(values)
    return settings, application(settings, [Route("/users/{user}", get_user)], protections=registry)


if __name__ == "__main__":
    run("user", build)
