"""A timeline worked out to instants."""

from __future__ import annotations

import pytest
from compose_samples import COMPOSE, SCENARIO

from harness.errors import InputError
from harness.faults import build
from harness.plan import make_plan
from harness.scenario.file import load_scenario
from harness.scenario.model import Step
from harness.scenario.timeline import lay_out


def steps(*written):
    return tuple(Step.model_validate(one) for one in written)


SLOW = build.latency("order->payment", "2s")


def spans(timeline):
    return [(placed.name, placed.start_s, placed.end_s) for placed in timeline.placed]


def test_steps_follow_each_other():
    """A step without `at` starts where the one before it ended."""
    timeline = lay_out(steps({"steady": "3s"}, {"fault": SLOW, "for": "6s"}, {"recovery": "500ms"}))

    assert [("steady", 0, 3), ("latency", 3, 9), ("recovery", 9, 9.5)] == spans(timeline)
    assert timeline.duration_s == 9.5


def test_a_step_at_an_instant_stands_beside_the_others():
    """A step with `at` starts there and does not move the steps after it."""
    timeline = lay_out(steps({"steady": "3s"}, {"fault": SLOW, "at": "1s", "for": "1s"}, {"recovery": "2s"}))

    assert [("steady", 0, 3), ("latency", 1, 2), ("recovery", 3, 5)] == spans(timeline)


def test_a_fault_without_a_length_lasts_until_it_is_healed_or_the_run_ends():
    """It takes no time of its own: the steps after it happen while it is on."""
    timeline = lay_out(
        steps(
            {"steady": "1s"}, {"fault": SLOW, "as": "one"}, {"fault": SLOW, "as": "two"}, {"wait": "2s"},
            {"heal": "one"}, {"recovery": "3s"},
        )
    )  # fmt: skip

    assert [("steady", 0, 1), ("one", 1, 3), ("two", 1, 6), ("wait", 1, 3), ("recovery", 3, 6)] == spans(timeline)
    assert [False] == [placed.healed for placed in timeline.placed if placed.name == "two"]


def test_what_has_no_name_is_called_by_its_kind():
    """Repeated kinds are numbered, and never take a name a person gave."""
    timeline = lay_out(
        steps({"steady": "1s"}, {"steady": "1s", "as": "steady-2"}, {"steady": "1s"}, {"fault": SLOW}, {"fault": SLOW})
    )

    assert ["steady", "steady-2", "steady-3", "latency", "latency-2"] == [name for name, _, _ in spans(timeline)]


def test_lengths_add_up_without_dust():
    """A tenth and two tenths of a second are three tenths."""
    timeline = lay_out(steps({"wait": "100ms"}, {"wait": "200ms"}, {"fault": SLOW, "for": "100ms"}))

    assert timeline.duration_s == 0.4


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (({"steady": "1s", "as": "x"}, {"fault": SLOW, "as": "x"}), "two steps are called 'x'"),
        (({"steady": "1s"}, {"heal": "slow"}), "no fault of this timeline"),
        (({"fault": SLOW, "for": "1s"}, {"heal": "latency"}), "ends by its own"),
        (({"fault": SLOW}, {"wait": "1s"}, {"heal": "latency"}, {"heal": "latency"}), "healed already"),
        (({"fault": SLOW, "at": "5s"}, {"wait": "9s"}, {"heal": "latency", "at": "4s"}), "not after its start"),
        (({"fault": build.restart("user")}, {"wait": "1s"}, {"heal": "restart"}), "nothing to heal"),
        (({"fault": SLOW},), "no length"),
    ],
)
def test_a_timeline_that_cannot_be_walked_is_refused(written, said):
    """Names that mean nothing and times that run backwards make no plan."""
    assert said in " ".join(finding.message for finding in lay_out(steps(*written)).broken)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (({"steady": "3s"}, {"fault": SLOW, "at": "1s", "for": "1m"}), "after the run, which ends at 3s"),
        (({"steady": "3s"}, {"fault": SLOW, "at": "3s"}), "but the run ends at 3s"),
    ],
)
def test_what_lies_beyond_the_run_is_told(written, said):
    """A fault longer than the run is not what was meant."""
    assert said in " ".join(finding.message for finding in lay_out(steps(*written)).doubtful)


@pytest.fixture
def loaded(tmp_path):
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    return load_scenario(tmp_path / "scenario.yaml", environment={})


def test_a_plan_holds_all_a_run_needs(loaded):
    """Phases, faults, load, profile and the values set for the services, with their instants."""
    plan = make_plan(loaded.scenario, loaded.system)

    assert plan == make_plan(loaded, loaded.system)
    assert [("slow", 3.0, 9.0), ("gone", 4.0, 6.0)] == [(f.name, f.start_s, f.end_s) for f in plan.faults]
    assert [p.name for p in plan.phases] == ["steady", "slow", "gone", "recovery"]
    assert (plan.duration_s, plan.profile, plan.seed) == (15.0, "checkout", 1)
    assert plan.environment == {"order": {"retry.enabled": "false", "RETRIES": "3"}}


def test_a_restart_takes_no_time_and_makes_no_phase(loaded):
    """It ends in the instant it begins; what it takes in truth only the run can tell."""
    timeline = steps({"steady": "1s"}, {"fault": build.restart("user")}, {"recovery": "1s"})
    plan = make_plan(loaded.scenario.model_copy(update={"timeline": timeline}), loaded.system)

    assert [(f.start_s, f.end_s) for f in plan.faults] == [(1.0, 1.0)]
    assert [p.name for p in plan.phases] == ["steady", "recovery"]


def test_a_plan_of_names_that_mean_nothing_is_refused(loaded):
    """A scenario made in Python has not been through the file reader."""
    broken = loaded.scenario.model_copy(update={"timeline": steps({"steady": "1s"}, {"heal": "nothing"})})

    with pytest.raises(InputError, match="nothing"):
        make_plan(broken, loaded.system)
