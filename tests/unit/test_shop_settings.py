"""What a shop service reads from its environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.shop.settings import SettingsError, read_order_settings, read_settings

URLS = {
    "USER_URL": "http://user:18081",
    "PRODUCT_URL": "http://product:18084/",
    "RECOMMENDATION_URL": "http://recommendation:18085",
    "PAYMENT_URL": "http://payment:18083",
}


def test_only_the_ledger_has_to_be_named():
    """A service that keeps a ledger must be told where; all else has a default."""
    settings = read_settings("payment", {"LEDGER": "/data/p.sqlite"}, port=18083, keeps_ledger=True)

    assert (18083, Path("/data/p.sqlite"), True) == (settings.port, settings.ledger, settings.idempotency)


def test_every_mistake_is_told_at_once():
    """One start of a service tells everything that is wrong with its environment."""
    wrong = {"PORT": "high", "SHOP_WORKERS": "0", "SHOP_DEADLINE": "5", "SHOP_IDEMPOTENCY": "perhaps"}

    with pytest.raises(SettingsError) as caught:
        read_settings("payment", wrong, port=18083, keeps_ledger=True)

    for name in (*wrong, "LEDGER"):
        assert name in str(caught.value)


@pytest.mark.parametrize("word", ["off", "OFF", "false", "False", "no", "0"])
def test_a_fallback_is_switched_off_by_any_usual_word(word):
    """YAML turns off into false on its way into an environment; both mean the same."""
    settings = read_order_settings({**URLS, "SHOP_FALLBACK_PAYMENT": word})

    assert settings.fallbacks == {"user": True, "product": True, "recommendation": True, "payment": False}


def test_neighbours_have_to_be_named():
    """An order service without its neighbours' addresses does not start."""
    with pytest.raises(SettingsError, match="PAYMENT_URL is not set"):
        read_order_settings({**URLS, "PAYMENT_URL": ""})
