"""A scenario file read: what is right becomes a scenario, what is wrong is told with file and line."""

from __future__ import annotations

import json

import pytest
from compose_samples import COMPOSE, SCENARIO
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import EXIT_WRONG_INPUT, InputError
from harness.faults import FAULTS
from harness.scenario.file import load_scenario, parse_scenario, peek
from harness.scenario.model import Scenario
from harness.scenario.promises import PROMISES


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    return tmp_path


def load(folder, text=SCENARIO, overrides=()):
    return parse_scenario(text, str(folder / "scenario.yaml"), overrides, environment={})


def mistakes_of(folder, text=SCENARIO, overrides=()):
    with pytest.raises(InputError) as caught:
        load(folder, text, overrides)
    assert caught.value.exit_code == EXIT_WRONG_INPUT
    return caught.value.mistakes


def test_a_scenario_is_read_with_its_system_and_its_lines(folder):
    """A loaded scenario has the text as written, the system it names, and the line of each of its parts."""
    loaded = load_scenario(folder / "scenario.yaml", environment={})

    assert (loaded.text, loaded.scenario.name, loaded.system.name) == (SCENARIO, "payment-slow", "shop")
    assert (loaded.line("expect", 0), loaded.line("timeline", 1, "fault", "link")) == (22, 12)


def test_a_scenario_survives_being_written_down(folder):
    """A scenario stored as JSON reads back the same."""
    scenario = load(folder).scenario

    assert scenario == Scenario.model_validate(
        json.loads(json.dumps(scenario.model_dump(mode="json", exclude_none=True)))
    )


TABLE = [
    ("name: payment-slow", "name: Payment Slow", 2, "name is 'Payment Slow'"),
    ("name: payment-slow\n", "", 2, "key 'name' is missing"),
    ("system: compose.yaml", "system: compose.yml", 3, "no such file"),
    ("system: compose.yaml", "system: .", 3, "folder"),
    ("system: compose.yaml", "system: 7", 3, "system is 7, must be a text"),
    ("tags: [quick]", "tag: [quick]", 4, "unknown key 'tag'"),
    ("tags: [quick]", "tags: quick", 4, "must be a list"),
    ("  order: {retry", "  odrer: {retry", 6, "with names 'odrer'"),
    ("RETRIES: 3", "RETRIES: [3]", 6, "must be a text or a whole number or a number or true or false"),
    ("profile: checkout", "profile: chekout", 8, "profile is 'chekout'"),
    ("arrivals: 40/s", "arrivals: 40", 9, "40 is not a rate"),
    ("arrivals: 40/s", "arrivals: 40 Hz", 9, "'40 Hz' is not a rate"),
    ("arrivals: 40/s", "arrivals: [{rate: 4/s}, {rate: 9/s}]", 7, "only the last piece"),
    ("  arrivals: 40/s\n", "", 7, "either arrivals: 40/s (open model) or users: 20"),
    ("  arrivals: 40/s", "  users: 0", 9, "load.users is 0, must be at least 1"),
    ("  arrivals: 40/s", "  users: 2\n  locustfile: none.py", 10, "no such file"),
    ("- steady: 3s", "- stedy: 3s", 11, "unknown key 'stedy'"),
    ("- steady: 3s", "- steady: 3", 11, "3 is not a duration"),
    ("- steady: 3s", "- steady: 3 sec", 11, "'3 sec' is not a duration"),
    ("- steady: 3s", "- steady: 0s", 11, "longer than zero"),
    ("- steady: 3s", "- steady: 9999h", 11, "longer than 7 days"),
    ("- steady: 3s", "- {steady: 3s, wait: 1s}", 11, "a step says one thing"),
    ("- steady: 3s", "- steady", 11, "must be keys and values"),
    (
        "toxic: latency, link: order->payment, latency: 2s",
        "process: lose_region, region: east",
        12,
        "region is 'east', which is no group",
    ),
    (
        "process: kill, service: user",
        "process: rolling_restart, services: [user, usr]",
        15,
        "services names 'usr'",
    ),
    ("slo: {named: orders-fast}", "region: {group: east, moved_within: 2s}", 27, "group is 'east'"),
    (
        "slo: {named: orders-fast}",
        "instances: {behind: ordr, among: [payment], share_at_least: 9%}",
        27,
        "behind is 'ordr'",
    ),
    (
        "slo: {named: orders-fast}",
        "instances: {behind: order, among: [db, x], share_at_least: 9%}",
        27,
        "among names 'x'",
    ),
    (
        "slo: {named: orders-fast}",
        "instances: {behind: order, among: [db], ejected_within: 2s}",
        27,
        "does not tell the states",
    ),
    ("slo: {named: orders-fast}", "connections: {on: order->x, open_at_most: 2}", 27, "on is 'order->x'"),
    ("toxic: latency", "toxic: latancy", 12, "toxic is 'latancy'"),
    ("toxic: latency", "toxic: kill", 12, "toxic is 'kill'"),
    ("toxic: latency", "toxi: latency", 12, "does not say what kind of fault"),
    ("{toxic: latency, link: order->payment, latency: 2s}", "latency", 12, "must be keys and values"),
    ("latency: 2s", "latency: 2", 12, "2 is not a duration"),
    ("latency: 2s", "latency: -2s", 12, "'-2s' is not a duration"),
    ("latency: 2s", "latency: 2s, latency_ms: 3ms", 12, "unknown key 'latency_ms'"),
    ("latency: 2s", "latency: 2s, toxicity: 130%", 12, "between 0% and 100%"),
    ("latency: 2s", "latency: 2s, stream: sideways", 12, "stream is 'sideways', must be one of"),
    ("link: order->payment, l", "link: order-payment, l", 12, "'order-payment' is not a link"),
    ("link: order->payment, l", "link: order->paymnt, l", 12, "link is 'order->paymnt'"),
    ("toxic: latency, link: order->payment, latency: 2s", "http: status, link: order->db, status: 503", 12, "raw"),
    ("as: slow", "as: slow down", 13, "as is 'slow down'"),
    ("for: 6s", "fro: 6s", 14, "unknown key 'fro'"),
    ("service: user", "service: usr", 15, "service is 'usr'"),
    ("    as: gone\n", "    as: slow\n", 16, "two steps are called 'slow'"),
    ("    at: 4s\n", "    at: 40s\n", 17, "at is 40s, but the run ends at 15s"),
    ("    at: 4s\n", "    at: 4s\n    for: 60s\n", 18, "ends at 64s, after the run, which ends at 15s"),
    ("heal: gone", "heal: gon", 18, "heal names 'gon'"),
    ("  - heal: gone\n    at: 6s\n", "", 15, "nothing says until when"),
    ("process: kill, service: user", "process: restart, service: user", 18, "leaves nothing to heal"),
    ("at_least: 99%", "at_lest: 99%", 22, "unknown key 'at_lest'"),
    ("at_least: 99%", "at_least: 99", 22, "99 is not a share"),
    ("during: slow}", "during: slw}", 22, "during names 'slw'"),
    ("of: POST /orders, at", "of: POST /order, at", 22, "of is 'POST /order', which this load does not send"),
    ("- availability:", "- availabilty:", 22, "unknown check 'availabilty'"),
    ("{of: POST /orders, at_least: 99%, during: slow}", "99%", 22, "must be keys and values"),
    ("  - availability: {", "  - during: slow\n    availability: {", 22, "holds 2 keys"),
    ("p99: 500ms, ", "", 23, "promises nothing"),
    ("after: 3s", "after: 6s", 23, "after is 6s, but slow lasts only 6s"),
    ("except: gone", "except: [slow, goen]", 23, "except names 'goen'"),
    ("on: order->payment, goes", "on: user->payment, goes", 24, "declares no actuator"),
    ("on: order->payment, goes", "on: odrer->payment, goes", 24, "no service 'odrer'"),
    ("[closed, open]", "[closed, opened]", 24, "must be one of"),
    ("from: slow", "from: steady", 25, "from names 'steady', which is no fault"),
    ("ledger: orders", "ledger: order", 26, "ledger is 'order'"),
    ("named: orders-fast", "named: order-fast", 27, "named is 'order-fast'"),
    ("read_timeout]", "read_timout]", 28, "'read_timout', which is no kind of error"),
    ("outcome: fail", "outcome: failure", 29, "outcome is 'failure'"),
    ("outcome: fail\n", "", 29, "because needs an outcome other than pass"),
    ("because: latency", "because: latancy", 30, "neither a check promised here nor a receipt"),
    ("because: latency", "because: steady_state", 30, "never a fail"),
    ("because: latency", "because: latency\nseed: -1", 31, "seed is -1, must be at least 0"),
]


@pytest.mark.parametrize(("old", "new", "line", "said"), TABLE)
def test_a_mistake_is_told_with_its_line(folder, old, new, line, said):
    """Each mistake: the file, the line of the very value, what it is."""
    assert old in SCENARIO

    told = mistakes_of(folder, SCENARIO.replace(old, new, 1))

    assert any(m.line == line and said in m.message for m in told), [str(m) for m in told]
    assert all(m.file == folder / "scenario.yaml" for m in told)


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("toxic: latency", "toxic: latancy", "did you mean `toxic: latency`?"),
        ("toxic: latency", "toxic: kill", "did you mean `process: kill`?"),
        ("at_least: 99%", "at_lest: 99%", "did you mean 'at_least'?"),
        ("- availability:", "- availabilty:", "did you mean 'availability'?"),
        ("link: order->payment, l", "link: order->paymnt, l", "did you mean 'order->payment'?"),
        ("of: POST /orders, at", "of: POST /order, at", "did you mean 'POST /orders'?"),
        ("during: slow}", "during: slw}", "did you mean 'slow'?"),
        ("[closed, open]", "[closd, open]", "did you mean 'closed'?"),
    ],
)
def test_a_slip_is_answered_by_the_word_that_was_meant(folder, old, new, hint):
    """A hint names what would have been right."""
    assert hint in [m.hint for m in mistakes_of(folder, SCENARIO.replace(old, new, 1))]


def test_mistakes_of_both_files_are_told_at_once_in_order(folder):
    """A wrong unit and an unknown name beside a mistake of the Compose file: three mistakes, no more."""
    (folder / "compose.yaml").write_text(COMPOSE.replace("interval: 1m30s", "interval: 90"))
    text = SCENARIO.replace("steady: 3s", "steady: 3")
    text = text.replace("because: latency", "because: luck")

    told = mistakes_of(folder, text)

    assert [("compose.yaml", 16), ("scenario.yaml", 11), ("scenario.yaml", 30)] == [(m.file.name, m.line) for m in told]


def test_one_bad_line_does_not_hide_the_names_that_are_wrong_elsewhere(folder):
    """What can be checked is checked although another line cannot be read."""
    text = SCENARIO.replace("at_least: 99%", "at_least: 99").replace("service: user", "service: usr")

    assert [15, 22] == [m.line for m in mistakes_of(folder, text)]


def test_overlapping_faults_that_undo_each_other_are_told(folder):
    """Two faults that put one service out of action at once cannot both be healed rightly."""
    text = SCENARIO.replace(
        "  - heal: gone", "  - {fault: {process: pause, service: user}, at: 5s, for: 2s}\n  - heal: gone"
    )

    assert any("while gone holds user" in m.message for m in mistakes_of(folder, text))


def test_two_requests_to_one_switch_undo_each_other(folder):
    """An operator can throw two switches of a service at once, but not one switch twice."""

    def two(path):
        request = "{operator: request, service: user, json: {}, undo: {}, path: %s}"
        steps = f"  - {{fault: {request % '/flags/a'}, as: a, for: 2s}}\n"
        steps += f"  - {{fault: {request % path}, at: 10s, for: 2s}}\n"
        return SCENARIO.replace("  - recovery: 6s", f"{steps}  - recovery: 6s")

    assert any("while a holds user" in m.message for m in mistakes_of(folder, two("/flags/a")))
    assert load(folder, two("/flags/b"))


REDUNDANT = """\
  haproxy: {command: haproxy order-1:1 order-2:2 order-3:3, x-harness: {state: {of: instances}}}
  order-1: {command: order}
  order-2: {command: order}
  order-3: {command: order}
"""


@pytest.fixture
def redundant(folder):
    """The same system with instances behind a balancer, and a group."""
    text = COMPOSE.replace("  debug: {", REDUNDANT + "  debug: {") + "  groups: {east: {services: [order-1]}}\n"
    (folder / "compose.yaml").write_text(text)
    return folder


@pytest.mark.parametrize("check", PROMISES)
def test_an_example_of_a_promise_is_one(redundant, check):
    """What `explain` shows of a check can be pasted into a scenario."""
    promise = PROMISES[check].example
    for fault in ("primary-killed", "killed", "east-lost"):
        promise = promise.replace(f"from: {fault}", "from: slow-payment").replace(
            f"during: {fault}", "during: slow-payment"
        )
    text = SCENARIO[: SCENARIO.index("expect:")] + f"expect:\n  - {promise}\n"
    text = (
        text.replace("as: slow", "as: slow-payment").replace("as: gone", "as: outage").replace("l: gone", "l: outage")
    )

    if check == "failover":
        nodes = "  pg1:\n    command: [node]\n    x-harness: {replication: /replication}\n"
        (redundant / "compose.yaml").write_text(COMPOSE.replace("services:\n", f"services:\n{nodes}", 1))

    loaded = load(redundant, text)

    assert [check] == [e.promise.check for e in loaded.scenario.expect]


@pytest.mark.parametrize("kind", FAULTS)
def test_an_example_of_a_fault_stands_in_a_scenario(redundant, kind):
    """What `explain` shows of a fault can be pasted into a timeline."""
    until = "" if not FAULTS[kind].undoable else "\n    for: 1s"
    text = SCENARIO.replace("  - recovery: 6s", f"  - {FAULTS[kind].example}{until}\n  - recovery: 6s").replace(
        "pg1->pg0", "order->payment"
    )

    assert load(redundant, text).scenario.timeline[4].fault.kind == kind


@pytest.mark.parametrize(
    ("override", "get", "expected"),
    [
        ("timeline[1].fault.latency=800ms", lambda s: s.timeline[1].fault.latency_ms, 800),
        ("timeline[slow].fault.latency=800ms", lambda s: s.timeline[1].fault.latency_ms, 800),
        ("timeline[1].fault.jitter=5ms", lambda s: s.timeline[1].fault.jitter_ms, 5),
        ("load.arrivals=10/s", lambda s: s.load.arrivals[0].rate_per_s, 10),
        ("seed=9", lambda s: s.seed, 9),
        ("expect[1].latency.p99.9=1s", lambda s: s.expect[1].promise.p999_s, 1.0),
        ("with.order.retry.enabled=true", lambda s: s.with_["order"]["retry.enabled"], True),
        ("with.user.a.b.c=1", lambda s: s.with_["user"]["a.b.c"], 1),
        ("tags=[a, b]", lambda s: s.tags, ("a", "b")),
        ('with."order".X="1"', lambda s: s.with_["order"]["X"], "1"),
    ],
)
def test_a_value_can_be_set_by_its_path(folder, override, get, expected):
    """Every value of a scenario can be changed without changing the file."""
    text = SCENARIO.replace("p99: 500ms", "p99.9: 500ms")
    loaded = load(folder, text, [override])

    assert expected == get(loaded.scenario)
    assert loaded.text == text


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("timeline[9].fault=1", "no '9'"),
        ("timeline[slw].fault.latency=1s", "did you mean 'slow'?"),
        ("timeline[1].falt.latency=1s", "no 'falt'"),
        ("load.arrivals", "not PATH=VALUE"),
        ("=1", "not PATH=VALUE"),
        ("a..b=1", "not a path"),
        ("name.x=1", "single value"),
        ("seed=[", "not a value"),
        ("timeline[1].fault.latency=8", "8 is not a duration"),
        ("timeline[1].fault.latencyy=8s", "unknown key 'latencyy'"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_by_its_own_words(folder, override, said):
    """A mistake of an override is blamed on the override, not on a line of the file."""
    told = mistakes_of(folder, SCENARIO, [override])

    assert said in str(told[0])
    assert str(told[0].file) == f"--set {override}"


def test_a_scenario_can_be_read_for_a_system_in_hand(folder):
    """New promises can be read for an old journal, whose system is stored, with no Compose file left."""
    system = load(folder).system
    (folder / "compose.yaml").unlink()

    assert load_scenario(folder / "scenario.yaml", system=system).system is system


def test_a_glance_tells_name_and_tags_of_any_file(folder):
    """Choosing among files needs no file to be right."""
    (folder / "broken.yaml").write_text("a: [")

    assert peek(folder / "scenario.yaml") == ("payment-slow", ("quick",))
    assert peek(folder / "broken.yaml") == ("broken", ())


LINES = SCENARIO.splitlines()
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["order->payment", "3s", "99%", "slow", "latency", "toxic", "kill", "POST /orders"]),
)  # fmt: skip
VALUES = st.recursive(
    JUNK,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["fault", "toxic", "http", "process", "link", "as", "for", "at", "heal", "steady", "during", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["name", "load", "timeline", "expect", "with", "because", "tags"]), VALUES))
def test_no_value_makes_the_reader_stumble(folder, data):
    """Whatever stands in the place of a value: a scenario, or mistakes a person can act on."""
    whole = {"name": "x", "system": "compose.yaml", "timeline": [{"steady": "1s"}], **data}
    try:
        load(folder, json.dumps(whole, allow_nan=True))
    except InputError as error:
        assert error.mistakes  # noqa: PT017  # either way is right


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(LINES) - 1), st.text(alphabet="ab:-[]{}&*!|>'\" \t1s%/,", max_size=20))
def test_no_spoilt_line_makes_the_reader_stumble(folder, number, line):
    """A line replaced by anything: a scenario, or mistakes a person can act on."""
    try:
        load(folder, "\n".join([*LINES[:number], line, *LINES[number + 1 :]]))
    except InputError as error:
        assert error.mistakes  # noqa: PT017  # either way is right
