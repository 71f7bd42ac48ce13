"""Names and comparisons of the Toxiproxy code that need no server."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.links.provision import SHA_256, platform_name
from harness.links.toxiproxy_client import _same, proxy_name


def test_a_link_reads_well_as_the_name_of_a_proxy():
    """The plain case stays readable in Toxiproxy's own output."""
    assert proxy_name("order->payment") == "order~payment"


@given(st.text(), st.text())
def test_different_names_stay_different_and_need_no_quoting(one, other):
    """Whatever a link or fault is called, its name stands in a URL as it is and belongs to nothing else."""
    assert (proxy_name(one) == proxy_name(other)) is (one == other)
    assert quote(proxy_name(one), safe="~=") == proxy_name(one)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"toxicity": 0.20000000298}, True),
        ({"toxicity": 0.21}, False),
        ({"stream": "upstream"}, False),
        ({"attributes": {"latency": 0, "jitter": 0}}, False),
        ({"attributes": {}}, False),
    ],
)
def test_a_toxic_is_compared_in_all_that_was_asked_for(change, expected):
    """A toxic read back is the one asked for when all that was asked is there; what was not asked may differ."""
    asked = {"name": "a", "type": "latency", "stream": "downstream", "toxicity": 0.2, "attributes": {"latency": 5}}
    found = {**asked, "attributes": {"latency": 5, "jitter": 0}, **change}

    assert _same(asked, found) is expected


def test_each_archive_has_a_checksum_of_the_right_form():
    """Every platform's pinned checksum is a SHA-256, and platforms are named as the archives are."""
    assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in SHA_256.values())
    assert len(set(SHA_256.values())) == len(SHA_256)
    assert re.fullmatch(r"[a-z0-9]+_[a-z0-9_]+", platform_name())
