"""The JSON Schema says what the model says."""

from __future__ import annotations

import jsonschema
import pytest
from compose_samples import SCENARIO

from harness.faults import FAULTS
from harness.scenario.promises import PROMISES
from harness.scenario.schema import scenario_schema
from harness.system.document import read_document, read_value


@pytest.fixture(scope="module")
def validator():
    schema = scenario_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def scenario():
    return read_document(SCENARIO, "scenario.yaml")[0].data


def test_a_right_scenario_fits(validator):
    """What the model takes, the schema takes."""
    assert list(validator.iter_errors(scenario())) == []


@pytest.mark.parametrize("kind", FAULTS)
def test_every_example_of_a_fault_fits(validator, kind):
    """Each fault's example is right for an editor too, and without its kind it is not."""
    data = scenario()
    data["timeline"][1] = read_value(FAULTS[kind].example)
    assert list(validator.iter_errors(data)) == []

    del data["timeline"][1]["fault"][FAULTS[kind].family]
    assert list(validator.iter_errors(data))


@pytest.mark.parametrize("check", PROMISES)
def test_every_example_of_a_promise_fits(validator, check):
    """Each check's example is right for an editor too."""
    data = scenario() | {"expect": [read_value(PROMISES[check].example)]}

    assert list(validator.iter_errors(data)) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("name",), "Payment Slow"),
        (("load", "arrivals"), 40),
        (("load", "arivals"), "40/s"),
        (("timeline", 0), {"steady": "3s", "wait": "1s"}),
        (("timeline", 0), {"stedy": "3s"}),
        (("timeline", 1, "fault", "latency"), 2),
        (("timeline", 1, "fault", "toxic"), "latancy"),
        (("timeline", 1, "fault", "link"), "order"),
        (("expect", 0), {"availabilty": {"at_least": "99%"}}),
        (("expect", 0, "availability", "at_least"), "much"),
        (("outcome",), "failure"),
    ],
)
def test_what_the_model_refuses_does_not_fit(validator, place, value):
    """An editor underlines what `harness validate` would refuse."""
    data = scenario()
    part = data
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value

    assert list(validator.iter_errors(data))


@pytest.mark.parametrize("arrivals", ["40/s", {"rate": "40/s"}, [{"from": "1/s", "to": "9/s", "for": "3s"}]])
def test_every_way_to_write_arrivals_fits(validator, arrivals):
    """A rate, one piece, or a list of pieces."""
    data = scenario()
    data["load"]["arrivals"] = arrivals

    assert list(validator.iter_errors(data)) == []
