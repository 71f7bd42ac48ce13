"""The five services of the shop as processes on loopback, with nothing between them, hurt by signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException

import pytest

pytestmark = pytest.mark.system

SERVICES = ("user", "product", "recommendation", "payment", "order")
LONG_S = 20.0  # a bound on waits, not a promise


class Shop:
    """The processes of one shop, each on a port of its own."""

    def __init__(self, folder, **order_environment):
        self.folder = folder
        self.ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
        self.order_environment = order_environment
        self.processes = {}
        self.keys = iter(range(10**6))

    def start(self, service):
        environment = {"HOST": "127.0.0.1", "PORT": str(self.ports[service])}
        environment["LEDGER"] = str(self.folder / f"{service}.sqlite")
        if service == "order":
            environment |= {f"{n.upper()}_URL": f"http://127.0.0.1:{p}" for n, p in self.ports.items()}
            environment |= self.order_environment
        with (self.folder / f"{service}.log").open("ab") as log:
            self.processes[service] = subprocess.Popen(
                [sys.executable, "-m", f"services.shop.{service}"],
                env=os.environ | environment,
                stdout=log,
                stderr=log,
            )

    def stop(self, service, how=signal.SIGTERM):
        """End one service; its exit status."""
        process = self.processes.pop(service)
        process.send_signal(how)
        try:
            return process.wait(LONG_S)
        finally:
            process.kill()
            process.wait()

    def ready(self, service):
        until(lambda: self.ask("GET", "/actuator/health/readiness", of=service)[0] == 200)

    def ask(self, method, path, body=None, *, of="order", headers=None):
        """Status, headers and JSON of one request; status 0 when there is no answer."""
        connection = HTTPConnection("127.0.0.1", self.ports[of], timeout=LONG_S)
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers or {})
            response = connection.getresponse()
            content = response.read()
            kind = response.headers["content-type"] or ""
            return response.status, response.headers, json.loads(content) if "json" in kind else content.decode()
        except (OSError, HTTPException):
            return 0, {}, None
        finally:
            connection.close()

    def order(self, **body):
        key = f"key-{next(self.keys)}"
        wanted = {"user": 7, "product": 3, "quantity": 2, "key": key, **body}
        return self.ask("POST", "/orders", wanted)

    def breaker(self, name):
        return self.ask("GET", "/actuator/circuitbreakers")[2]["circuitBreakers"][name]["state"]

    def ledger(self, service):
        return self.ask("GET", "/ledger", of=service)[2]["entries"]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for taken in sockets:
            taken.bind(("127.0.0.1", 0))
        return [taken.getsockname()[1] for taken in sockets]
    finally:
        for taken in sockets:
            taken.close()


def until(true):
    """Wait for something to become true, for LONG_S at most."""
    end_s = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < end_s, "it never happened"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    shop = Shop(tmp_path_factory.mktemp("shop"))
    try:
        for service in SERVICES:
            shop.start(service)
        for service in SERVICES:
            shop.ready(service)
        yield shop
    finally:
        for service in list(shop.processes):
            shop.stop(service, signal.SIGKILL)


def test_an_order_is_paid_and_written_down(shop):
    """A healthy shop answers 201 without a fallback, and both ledgers hold the order's key once."""
    status, headers, order = shop.order()

    assert (status, order["status"], order["degraded"]) == (201, "PAID", [])
    assert "x-fallback" not in headers
    assert shop.ask("GET", f"/orders/{order['id']}")[2]["status"] == "PAID"
    for service in ("order", "payment"):
        assert [e["key"] for e in shop.ledger(service)].count(order["key"]) == 1


def test_the_front_door_passes_users_and_products_through(shop):
    """The order service answers for its neighbours, their refusals included."""
    assert shop.ask("GET", "/users/7")[2]["id"] == 7
    assert shop.ask("GET", "/products/7")[2]["source"] == "service"
    assert [shop.ask("GET", path)[0] for path in ("/users/99999", "/products/0", "/orders/none")] == [404, 400, 404]


def test_wrong_orders_are_refused_with_what_is_wrong(shop):
    """A body that cannot be an order is the customer's mistake, told with the value."""
    for wrong in ({"quantity": 0}, {"user": True}, {"product": None}, {"key": ""}):
        status, _, answer = shop.order(**wrong)
        assert status == 400, answer
        assert str(next(iter(wrong.values()))) in answer["error"] or wrong == {"key": ""}


def test_payment_killed_and_started_again(shop):
    """Orders go on, the breaker opens and closes again, and what was put off is charged exactly once."""
    shop.stop("payment", signal.SIGKILL)
    answers = [shop.order() for _ in range(20)]
    opened = shop.breaker("payment")
    shop.start("payment")
    until(lambda: shop.breaker("payment") == "CLOSED")
    until(lambda: all(e["status"] == "PAID" for e in shop.ledger("order")))
    events = shop.ask("GET", "/actuator/circuitbreakerevents/payment/STATE_TRANSITION")[2]["circuitBreakerEvents"]
    transitions = [event["stateTransition"] for event in events]

    assert {(202, "payment-deferred")} == {(status, headers["x-fallback"]) for status, headers, _ in answers}
    assert {("PENDING_PAYMENT", "payment-deferred")} == {(o["status"], *o["degraded"]) for _, _, o in answers}
    assert opened in ("OPEN", "HALF_OPEN")
    assert (transitions[0], transitions[-1]) == ("CLOSED_TO_OPEN", "HALF_OPEN_TO_CLOSED")
    assert sorted(e["key"] for e in shop.ledger("order")) == sorted(e["key"] for e in shop.ledger("payment"))


def test_every_neighbour_gone_still_makes_an_order(shop):
    """With nobody to ask, one of them hanging, an order is accepted, and says what stood in for whom."""
    for service in ("user", "product", "recommendation"):
        shop.stop(service)
    shop.processes["payment"].send_signal(signal.SIGSTOP)
    try:
        status, headers, order = shop.order(user=50, product=40)
    finally:
        shop.processes["payment"].send_signal(signal.SIGCONT)
        for service in ("user", "product", "recommendation"):
            shop.start(service)
            shop.ready(service)

    assert status == 202
    assert {"user-guest", "product-default", "recommendation-empty", "payment-deferred"} == set(order["degraded"])
    assert order["degraded"] == headers["x-fallback"].split(",")
    assert (order["user"]["name"], order["product"]["source"], order["recommendations"]) == ("guest", "default", [])


def test_the_actuator_tells_what_the_shop_is(shop):
    """Each service answers for its health; the order service for its four protections besides."""
    for service in SERVICES:
        assert shop.ask("GET", "/actuator/health", of=service)[2]["status"] == "UP"
        assert shop.ask("GET", "/actuator/health/liveness", of=service)[0] == 200
        assert shop.ask("GET", "/actuator/nothing", of=service)[0] == 404
    for listed in ("retries", "bulkheads"):
        assert set(shop.ask("GET", f"/actuator/{listed}")[2][listed]) == set(SERVICES) - {"order"}
    metrics = shop.ask("GET", "/actuator/prometheus")[2]
    assert 'resilience4j_circuitbreaker_state{name="payment",state="closed"}' in metrics
    assert "shop_workers_max 64.0" in metrics


def test_a_person_switches_recommendations_off(shop):
    """While the flag is up orders do without them and say so; afterwards all is as before."""

    def wish(**body):
        path = "/actuator/degradation/recommendation"
        return shop.ask("POST", path, body, headers={"content-type": "application/json"})

    posted = wish(level=1, reason="sale")
    _, headers, without = shop.order()
    wish(clear=True)
    order = shop.order()[2]

    assert (posted[0], posted[2]["level"], posted[2]["owner"]) == (200, 1, "manual")
    assert "recommendation-degraded" in headers["x-fallback"].split(",")
    assert (without["recommendations"], len(order["recommendations"])) == ([], 3)
    assert shop.ask("GET", "/actuator/degradation")[2]["degradation"]["recommendation"]["level"] == 0


def test_a_service_ends_in_order(shop):
    """SIGTERM is an orderly end: exit status 0, with start and stop in the JSON log."""
    status = shop.stop("recommendation")
    shop.start("recommendation")
    log = [json.loads(line) for line in (shop.folder / "recommendation.log").read_text().splitlines()]
    shop.ready("recommendation")

    assert status == 0
    assert {"started", "stopped"} <= {line["message"] for line in log}


def test_a_wrong_environment_is_told_and_nothing_starts(tmp_path):
    """A service that cannot know what to do says so in its log and exits with 2."""
    environment = os.environ | {"PORT": "none", "LEDGER": str(tmp_path / "o.sqlite")}
    done = subprocess.run(
        [sys.executable, "-m", "services.shop.order"], env=environment, capture_output=True, timeout=LONG_S, check=False
    )

    assert done.returncode == 2
    assert "PORT is 'none'" in json.loads(done.stdout.splitlines()[0])["message"]
