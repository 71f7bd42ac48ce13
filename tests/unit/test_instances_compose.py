"""The Compose description of the shop with several instances."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.system.compose_file import read_system
from services.haproxy.settings import read_settings
from services.redis.settings import read_node
from services.shop import order, payment, product, recommendation, user

COMPOSE = Path(__file__).parents[2] / "compose"
SHOP = {"order": order, "user": user, "payment": payment, "product": product, "recommendation": recommendation}


@pytest.fixture(scope="module")
def system():
    return read_system(COMPOSE / "shop-instances.yaml", {"HARNESS_DATA": "/somewhere"})


def test_every_instance_is_reached_through_the_balancer(system):
    """Load and orders ask the balancer; the links to the instances, where faults act, are read out of its values."""
    links = {link.name for link in system.links}

    assert {f"haproxy->order-{n}" for n in (1, 2, 3)} | {"haproxy->user-1", "haproxy->user-2"} <= links
    assert {f"order-{n}->haproxy" for n in (1, 2, 3)} | {"load->haproxy"} <= links
    assert not [link for link in links if link.startswith("order") and "->user" in link]


def test_every_part_accepts_what_it_is_told(system):
    """Each launcher and service takes its environment, and listens where others reach it."""
    for name, service in system.services.items():
        kind = name.partition("-")[0]
        if kind in SHOP:
            settings, _ = SHOP[kind].build(service.environment)
            assert settings.port == service.port
    pools = read_settings(system.services["haproxy"].environment).pools
    assert [("order", 3), ("user", 2)] == [(pool.name, len(pool.servers)) for pool in pools]
    assert read_node(system.services["redis"].environment).port == system.services["redis"].port


def test_it_is_said_where_states_are_told(system):
    """An observer finds the balancer's view of its instances, and the role of the cache."""
    told = {
        name: (s.state.of, s.state.path, s.state.port) for name, s in system.services.items() if s.state is not None
    }

    assert told == {"haproxy": ("instances", "/haproxy/state", None), "redis": ("redis", "/state", 6380)}
