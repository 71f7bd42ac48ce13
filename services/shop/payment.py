"""
The payment service: charges, once per Idempotency-Key, and never for somebody who has stopped waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from services.resilience import Registry
from services.shop.application import Refused, application, json_body, run
from services.shop.indicators import database
from services.shop.middleware import TOO_LATE
from services.shop.payments import KeyReused, Payments
from services.shop.scope import current
from services.shop.settings import Settings, read_charge_s, read_settings
from services.shop.storage import storage

_LONGEST_KEY = 200
_MOST_CENTS = 10**12


class PaymentService:
    """The routes of the payment service.

    charge_s is what a charge takes: the bank's time. answer_s is what the answer to one may take: nothing is charged for a
    caller who will have given up by then, as its charge would be made up for later, and be the second.
    """

    def __init__(self, payments: Payments, *, charge_s: float = 0.0, answer_s: float = 0.0) -> None:
        self.payments = payments
        self.charge_s = charge_s
        self.answer_s = answer_s

    def routes(self) -> list[Route]:
        return [
            Route("/payments", self.charge, methods=["POST"]),
            Route("/payments/{payment}", self.show),
            Route("/ledger", self.ledger),
        ]

    async def charge(self, request: Request) -> Response:
        key = request.headers.get("idempotency-key", "")
        if not 1 <= len(key) <= _LONGEST_KEY:
            raise Refused(400, f"Idempotency-Key must have 1 to {_LONGEST_KEY} characters")
        order, amount_cents = _wanted(await json_body(request))
        self._refuse_if_given_up(key)
        if self.charge_s:
            await asyncio.sleep(self.charge_s)
            self._refuse_if_given_up(key)  # the last moment at which nothing has happened yet
        try:
            payment, replayed = await self.payments.charge(key=key, order=order, amount_cents=amount_cents)
        except KeyReused as problem:
            raise Refused(422, str(problem)) from None
        return JSONResponse(payment, 201, headers={"idempotency-replayed": "true"} if replayed else None)

    def _refuse_if_given_up(self, key: str) -> None:
        if current().gives_up_within(self.answer_s):
            raise Refused(TOO_LATE, f"nothing was charged for {key!r}: who asked does not wait any longer")

    async def show(self, request: Request) -> Response:
        payment = await self.payments.find(request.path_params["payment"])
        if payment is None:
            raise Refused(404, f"there is no payment {request.path_params['payment']!r}")
        return JSONResponse(payment)

    async def ledger(self, _: Request) -> Response:
        return Response(await self.payments.as_json(), media_type="application/json")


def _wanted(body: dict[str, Any]) -> tuple[str, int]:
    order, amount_cents = body.get("order"), body.get("amount_cents")
    if not isinstance(order, str) or not order:
        raise Refused(400, f"order is {order!r}, it must be the key of an order")
    if not isinstance(amount_cents, int) or isinstance(amount_cents, bool) or not 1 <= amount_cents <= _MOST_CENTS:
        raise Refused(400, f"amount_cents is {amount_cents!r}, it must be a whole number from 1 to {_MOST_CENTS}")
    return order, amount_cents


def build(values: Mapping[str, str]) -> tuple[Settings, ASGIApp]:
    settings = read_settings("payment", values, port=18083, keeps_ledger=True)
    payments = Payments(storage(settings), idempotency=settings.idempotency)
    charge_s, answer_s = read_charge_s(values)
    app = application(
        settings,
        PaymentService(payments, charge_s=charge_s, answer_s=answer_s).routes(),
        protections=Registry.from_environment(values),
        parts=[(payments.ledger.open, payments.ledger.close)],
        indicators=[database(payments.ledger)],
    )
    return settings, app


if __name__ == "__main__":
    run("payment", build)
