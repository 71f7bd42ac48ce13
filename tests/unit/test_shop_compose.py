"""The Compose description of the shop against the shop itself."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from harness.system.compose_file import read_system

FILE = Path(__file__).parents[2] / "compose" / "shop.yaml"


@pytest.fixture(scope="module")
def system():
    return read_system(FILE, {"HARNESS_DATA": "/somewhere"})


def test_the_links_are_those_of_an_order(system):
    """The load enters by the order service, which asks the other four."""
    assert {link.name for link in system.links} == {
        "load->order",
        "order->user",
        "order->product",
        "order->recommendation",
        "order->payment",
    }


def test_each_service_runs_with_what_it_is_told(system):
    """Every service's own module accepts its environment, on the port that others reach it by."""
    for service in system.services.values():
        module = importlib.import_module(service.command[-1])
        settings, _ = module.build(service.environment)
        assert settings.service == service.name
        assert settings.port == service.port


def test_ledgers_are_kept_where_the_run_wants_them(system):
    """The data folder of a run replaces the container's."""
    told = {service.environment.get("LEDGER") for service in system.services.values()} - {None}

    assert told == {"/somewhere/orders.sqlite", "/somewhere/payments.sqlite"}


def test_what_is_promised_is_asked_for(system):
    """Every objective and every ledger speaks of a request that the main profile sends."""
    sent = {request.name for request in system.profiles["checkout"].requests}

    assert {objective.of for objective in system.objectives} <= sent
    assert {ledger.asked_by for ledger in system.ledgers} <= sent
