"""Concrete requests drawn from a profile and a seed."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter

import pytest

from harness.errors import InputError
from harness.load.requests import EARLIER, requests_of
from harness.system.model import Profile, RequestTemplate

DATA = {
    "user": {"integer": [1, 5]},
    "colour": {"choice": ["red", "dark green"]},
    "amount": {"choice": [10, 20.5]},
    "order": {"unique": "order"},
}


def template(**changes):
    values = {"name": "POST /orders", "weight": 1, "to": "order", "method": "POST", "path": "/orders"} | changes
    return RequestTemplate(**values)


def draw(*templates, count=50, seed=1, data=DATA):
    profile = Profile(name="mix", requests=templates, data=data)
    return list(itertools.islice(requests_of(profile, seed), count))


def test_the_same_seed_gives_the_same_requests():
    """Two streams of one seed are equal to the last byte; another seed gives others."""
    full = template(path="/orders/{order}", json={"user": "{user}"}, key="{order}")
    first, again, other = (draw(full, template(weight=2), seed=seed) for seed in (7, 7, 8))

    assert first == again
    assert first != other


def test_requests_are_mixed_by_weight():
    """A request of three times the weight comes three times as often."""
    counts = Counter(r.name for r in draw(template(name="a", weight=3), template(name="b", weight=1), count=4000))

    assert counts["a"] / counts["b"] == pytest.approx(3, rel=0.15)


def test_one_draw_serves_the_whole_request():
    """A name stands for the same value in path, header, body and key of one request."""
    full = template(path="/o/{order}", headers={"Idempotency-Key": "{order}"}, json={"id": "{order}"}, key="{order}")
    for request in draw(full):
        (key,) = {
            request.target[3:],
            dict(request.headers)["Idempotency-Key"],
            json.loads(request.body)["id"],
            request.key,
        }

        assert re.fullmatch(r"order-1-\d+", key)


def test_an_earlier_value_is_one_that_was_given_a_little_before():
    """Whoever looks something up asks for what was asked for before, the same again for the same seed."""
    posts = RequestTemplate(name="POST /a", weight=1, to="a", method="POST", path="/a", key="{key}")
    reads = RequestTemplate(name="GET /a", weight=1, to="a", method="GET", path="/a?key={before}", key="{before}")
    data = {"key": {"unique": "order"}, "before": {"earlier": "key"}}
    profile = Profile(name="look-up", requests=(posts, reads), data=data)

    sent = list(itertools.islice(requests_of(profile, 5), 400))

    given: list[str] = []
    for request in sent:
        if request.method == "POST":
            given.append(request.key)
        else:
            assert request.key in given[-EARLIER:] if given else request.key == "none-of-key-yet"
    assert sent == list(itertools.islice(requests_of(profile, 5), 400))


def test_unique_values_are_never_given_twice():
    """Every request of a stream has a unique value of its own."""
    keys = [request.key for request in draw(template(key="{order}"), count=500)]

    assert len(set(keys)) == 500


def test_a_name_alone_in_json_keeps_its_type():
    """A text that is nothing but a name becomes a number when the draw is one; inside a text it stays text."""
    body = {
        "user": "{user}",
        "note": "user {user}",
        "lines": [{"colour": "{colour}", "amount": "{amount}"}],
        "vip": True,
    }
    for request in draw(template(json=body)):
        sent = json.loads(request.body)

        assert sent["user"] in range(1, 6)
        assert sent["note"] == f"user {sent['user']}"
        assert sent["lines"][0]["colour"] in {"red", "dark green"}
        assert sent["lines"][0]["amount"] in {10, 20.5}
        assert sent["vip"] is True
        assert dict(request.headers)["Content-Type"] == "application/json"


def test_a_declared_content_type_is_kept():
    """What the profile says about its body is not overruled."""
    (request,) = draw(template(json={}, headers={"content-type": "application/merge-patch+json"}), count=1)

    assert [text for name, text in request.headers if name.lower() == "content-type"] == [
        "application/merge-patch+json"
    ]


def test_values_are_encoded_in_a_path():
    """A drawn value with a blank cannot break the request line."""
    targets = {request.target for request in draw(template(path="/paint/{colour}?n={user}"))}

    assert all(re.fullmatch(r"/paint/(red|dark%20green)\?n=[1-5]", target) for target in targets)


def test_every_request_carries_a_trace_of_its_own():
    """The trace id is W3C's: 32 hex digits, in traceparent too, and new each time."""
    requests = draw(template(), count=200)

    assert len({request.trace for request in requests}) == 200
    for request in requests:
        parent = dict(request.headers)["traceparent"]
        assert re.fullmatch(rf"00-{request.trace}-[0-9a-f]{{16}}-01", parent)
        assert re.fullmatch(r"[0-9a-f]{32}", request.trace)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"path": "/users/{usr}"}, "{usr}"),
        ({"json": {"deep": ["{nobody}"]}}, "{nobody}"),
        ({"path": "users"}, "'users'"),
        ({"path": "/a b"}, "'/a b'"),
        ({"headers": {"X-Two": "one\r\ntwo"}}, "X-Two"),
        ({"weight": 0}, "weight above 0"),
    ],
)
def test_a_template_that_cannot_be_sent_is_refused(changes, told):
    """An unknown name, a bad path, a header of two lines, a mix of nothing: the error shows the value."""
    with pytest.raises(InputError, match=re.escape(told)):
        draw(template(**changes), count=1)


def test_an_unknown_kind_of_data_is_refused():
    """Data of a kind that nobody knows is told by name."""
    with pytest.raises(InputError, match="'sequence'"):
        draw(template(key="{n}"), data={"n": {"sequence": 1}}, count=1)
