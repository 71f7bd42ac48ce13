"""A Compose file read into services, links, profiles, objectives and ledgers."""

from __future__ import annotations

import json

import pytest
from compose_samples import COMPOSE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import EXIT_WRONG_INPUT, InputError
from harness.system.compose_file import read_system
from harness.system.interpolation import interpolate
from harness.system.layout import layout_of, rewrite, rewrite_health
from harness.system.model import FailoverObjective, System


def read(folder, text=COMPOSE, environment=None):
    path = folder / "compose.yaml"
    path.write_text(text)
    return read_system(path, environment)


def test_links_are_read_out_of_values_and_words(tmp_path):
    """A value or a word that names a service and a port is a link; the load's own come first."""
    expected = [
        ("load->order", 8080), ("load->user", 8082), ("order->payment", 8081), ("order->user", 8082),
        ("order->stock", 9000), ("order->db", 5432),
    ]  # fmt: skip

    assert expected == [(link.name, link.port) for link in read(tmp_path).links]


def test_a_link_knows_the_variable_it_was_read_from(tmp_path):
    """So that a person can be told where a link comes from."""
    system = read(tmp_path)

    assert ["PAYMENT_URL", None, "DB_HOST"] == [
        system.link(name).variable for name in ("order->payment", "order->stock", "order->db")
    ]
    assert system.link("order->db").protocol == "raw"


def test_a_service_is_what_compose_says(tmp_path):
    """Commands, environments, ports and health checks are read in each of Compose's forms."""
    system = read(tmp_path, environment={"FROM_OUTSIDE": "yes", "WHO": "somebody"})
    order, payment = system.services["order"], system.services["payment"]

    assert order.command == ("python", "-m", "order", "--listen", "0.0.0.0:8080", "--peer", "stock:9000")
    assert (order.environment["RATIO"], order.environment["FLAG"]) == ("1.10", "true")
    assert (order.environment["NAME"], order.environment["FROM_OUTSIDE"]) == ("somebody owes $5", "yes")
    assert (order.health.test, order.health.interval_s, order.health.timeout_s) == (
        ("curl", "-f", "http://localhost:8080/"), 90.0, 0.5,
    )  # fmt: skip
    assert (order.depends_on, order.stop_grace_s) == ({"payment": "service_healthy"}, 3.0)
    assert (order.actuator_path, order.ready_path, order.line) == ("/actuator", "/ready", 3)
    assert (payment.command, payment.environment) == (("python", "-m", "payment"), {"A": "1", "B": "x=y"})
    assert (payment.port, payment.working_dir) == (8081, tmp_path / "services")


def test_a_service_without_a_port_has_the_one_it_is_called_by(tmp_path):
    """A link tells the port when the service does not; a service of an unused Compose profile is left out."""
    system = read(tmp_path)

    assert (9000, 5432) == (system.services["stock"].port, system.services["db"].port)
    assert "debug" not in system.services


def test_an_objective_of_failover_is_read_beside_those_of_shares(tmp_path):
    """RTO and RPO, over the writes of a ledger."""
    written = COMPOSE.replace(
        "{latency: POST /orders}, objective: {op: lte, value: 500ms, target: 99%}",
        "{failover: orders}, objective: {rto: 3s, rpo_writes: 20}",
    )

    system = read(tmp_path, written)

    assert system.failovers == (FailoverObjective(name="orders-fast", ledger="orders", rto_s=3.0, rpo_writes=20),)
    assert system.objective_names == ["orders-available", "orders-fast"]


def test_the_extension_is_read_into_profiles_objectives_and_ledgers(tmp_path):
    """Method and path come from the name where it says them; the entry is where requests go unless told."""
    system = read(tmp_path)
    first, second = system.profiles["checkout"].requests

    assert (first.method, first.path, first.to, first.ok) == ("POST", "/orders", "order", (201, 202))
    assert (second.method, second.path, second.to, second.weight) == ("GET", "/users/{user}", "user", 1.0)
    assert system.profiles["checkout"].data == {"user": {"integer": [1, 100]}, "key": {"unique": "order"}}
    assert [(o.indicator, o.of, o.target, o.limit_s) for o in system.objectives] == [
        ("availability", "POST /orders", 0.99, None), ("latency", "POST /orders", 0.99, 0.5),
    ]  # fmt: skip
    assert (system.ledgers[0].key, system.ledgers[0].acknowledged) == ("key", (201, 202))


def test_a_system_survives_being_written_down(tmp_path):
    """A system stored as JSON reads back the same, so a journal can be judged with no file at hand."""
    system = read(tmp_path)

    assert system == System.from_json(json.loads(json.dumps(system.to_json())))


def test_every_link_and_service_has_an_address_of_its_own(tmp_path):
    """Gates and proxies listen on the upstream's port; nothing shares an address."""
    system = read(tmp_path)
    layout = layout_of(system, "127.77")

    assert layout.service("order") == ("127.77.1.1", 8080)
    assert layout.gate("order->payment") == ("127.77.2.3", 8081)
    assert layout.proxy("order->payment") == ("127.77.3.3", 8081)
    everything = [*layout.services.values(), *layout.gates.values(), *layout.proxies.values()]
    everything += [layout.toxiproxy_api, layout.gate_control]
    assert len({host for host, _ in everything}) == len(everything)


def test_a_thousand_services_have_addresses_too(tmp_path):
    """Beyond one net of addresses the next ones are used."""
    text = "services:\n" + "".join(f"  s{n}: {{expose: [80]}}\n" for n in range(1000))
    layout = layout_of(read(tmp_path, text), "127.77")

    hosts = {host for host, _ in layout.services.values()}
    assert len(hosts) == 1000
    assert all(0 < int(part) < 255 for host in hosts for part in host.split(".")[2:])


def test_names_of_services_become_addresses(tmp_path):
    """A neighbour is reached through the link's gate, the service itself listens on its own address."""
    system = read(tmp_path)
    layout = layout_of(system, "127.77")

    argv, environment = rewrite(system.services["order"], system, layout, data="/run/data")

    assert argv == ("python", "-m", "order", "--listen", "127.77.1.1:8080", "--peer", "127.77.2.5:9000")
    assert environment["PAYMENT_URL"] == "http://127.77.2.3:8081"
    assert environment["PAIR"] == "127.77.2.4:8082,127.77.2.3:8081"
    assert environment["OWN"] == "http://127.77.1.1:8080/self"
    assert environment["DB_HOST"] == "127.77.2.6"
    assert environment["DATA"] == "/run/data/orders"


def test_values_of_a_scenario_are_rewritten_like_the_file_s_own(tmp_path):
    """`with` cannot lead a client past its gate by accident."""
    system = read(tmp_path)
    layout = layout_of(system, "127.77")

    _, environment = rewrite(system.services["order"], system, layout, {"PAYMENT_URL": "tcp://payment:8081/x"})

    assert environment["PAYMENT_URL"] == "tcp://127.77.2.3:8081/x"


def test_a_health_check_asks_the_service_s_own_address(tmp_path):
    """The localhost of a container is the address the service was given."""
    system = read(tmp_path)

    words = rewrite_health(system.services["order"], system, layout_of(system, "127.77"))

    assert words == ("curl", "-f", "http://127.77.1.1:8080/")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A-${A}", "1-1"), ("${B:-x}${E:-y}${E-z}", "xy"), ("${B-x}", "x"), ("$$A", "$A"), ("${B}", ""),
        ("${B:-${C:-${A}}}", "1"), ("${A:+set}${B:+set}", "set"), ("${A:?no}", "1"), ("a}b", "a}b"),
    ],
)  # fmt: skip
def test_variables_are_filled_in_as_compose_does(text, expected):
    """Each of Compose's forms, defaults inside defaults included."""
    assert expected == interpolate(text, {"A": "1", "E": ""})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${B:?is needed}", "B has no value: is needed"), ("${A", "never closes"), ("${}", "names no variable"),
        ("5 $ each", "names no variable"), ("${A!x}", "not understood"), ("${B:-" * 20 + "}" * 20, "deeper"),
    ],
)  # fmt: skip
def test_a_variable_that_cannot_be_filled_in_is_refused(text, said):
    """What Compose would not take is not taken."""
    with pytest.raises(ValueError, match="(?s)" + said.replace("$", r"\$")):
        interpolate(text, {"A": "1"})


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("services:\n", "service:\n", 1, "services is missing"),
        ("    command: python -m order --listen", "    command: {a: b} #", 4, "not a command"),
        ("--listen 0", "--listen '0", 4, "cannot be cut into words"),
        ("      RATIO: 1.10", "      RATIO: [1]", 5, "RATIO is ['1'], must be a single value"),
        ("${WHO:-nobody}", "${WHO:?who is it}", 13, "who is it"),
        ('expose: ["8080"]', 'expose: ["http"]', 15, "'http' is not a port"),
        ("interval: 1m30s", "interval: 90", 16, "is not a duration"),
        ("retries: 5", "retries: none", 16, "must be a whole number"),
        ("[CMD, curl", "[curl", 16, "must begin with CMD"),
        ("{payment: {condition: service_healthy}}", "[paymant]", 17, "'paymant', which is no service"),
        ("service_healthy", "service_fine", 17, "must be one of"),
        ("actuator: /actuator", "actuater: /actuator", 19, "unknown key 'actuater'"),
        ("ready: /ready", "ready: ready", 19, "x-harness.ready is 'ready'"),
        ("    image: payment\n", "    extends: other\n", 21, "extends is not read"),
        ("ports: [", "ports: 8 #[", 25, "not a list of ports"),
        ("entry: order", "entry: ordr", 33, "entry is 'ordr', which is no service"),
        ("entry: order", "entri: order", 33, "unknown key 'entri'"),
        ("from: order, to: db", "from: order, to: dbx", 35, "to is 'dbx', which is no service"),
        ("port: 5432", "port: 99999", 35, "at most 65535"),
        ("protocol: raw", "protocol: udp", 35, "must be one of"),
        ("variable: DB_HOST", "variable: DB", 35, "no value 'db' of that name"),
        ("weight: 5", "weight: much", 39, "must be a number"),
        ('json: {user: "{user}"}', 'json: {user: "{usr}"}', 39, "{usr}"),
        ("name: GET user, method: GET", "name: GET user", 40, "does not read METHOD /path"),
        ("to: user}", "to: usr}", 40, "to is 'usr'"),
        ("integer: [1, 100]", "integer: [100, 1]", 41, "must be [smallest, largest]"),
        ("unique: order", "uniqe: order", 41, "unknown key 'uniqe'"),
        ("user: {integer: [1, 100]}", "user: {earlier: kye}", 41, "'kye', which is no unique name of this profile"),
        (
            "asked_by: POST /orders,",
            "asked_by: POST /orders, read_by: GET user,",
            46,
            "which no profile sends with a key",
        ),
        ("availability: POST /orders", "availability: POST /order", 43, "which no profile sends"),
        ("value: 500ms, ", "", 44, "needs the time an answer may take"),
        ("value: 500ms", "value: 500", 44, "500 is not a duration"),
        (
            "{op: lte, value: 500ms, target: 99%}",
            "{rto: 3s}",
            44,
            "rto and rpo belong to indicator: {failover: orders}",
        ),
        ("{latency: POST /orders}", "{failover: orders}", 44, "is made of rto: 3s, rpo: 500ms, rpo_writes: 0"),
        (
            "{latency: POST /orders}, objective: {op: lte, value: 500ms, target: 99%}",
            "{failover: order}, objective: {rto: 3s}",
            44,
            "'order', which is no ledger",
        ),
        ("service: order, path", "service: odrer, path", 46, "'odrer', which is no service"),
        ("asked_by: POST /orders", "asked_by: GET user", 46, "has no key"),
        ("PAIR: user:8082", "PAIR: payment:99,user:8082", 7, "named with two ports, 8081 and 99"),
        ("  user: {command", "  load: {command", 28, "cannot be called 'load'"),
    ],
)
def test_a_mistake_in_a_compose_file_is_told_with_its_line(tmp_path, old, new, line, said):
    """Each mistake: file, line, value; the exit code is that of wrong input."""
    assert COMPOSE.count(old) >= 1

    with pytest.raises(InputError) as caught:
        read(tmp_path, COMPOSE.replace(old, new, 1))

    told = {(mistake.line, mistake.message) for mistake in caught.value.mistakes}
    assert any(at == line and said in message for at, message in told), caught.value
    assert caught.value.exit_code == EXIT_WRONG_INPUT


def test_services_that_wait_for_each_other_are_told(tmp_path):
    """A ring of dependencies could never start."""
    text = "services:\n  a: {depends_on: [b]}\n  b: {depends_on: [c]}\n  c: {depends_on: [b]}\n"

    with pytest.raises(InputError, match="wait for each other: b -> c -> b"):
        read(tmp_path, text)


def test_all_mistakes_of_a_compose_file_are_told_at_once(tmp_path):
    """Two mistakes are one message with two lines, in the file's order."""
    text = COMPOSE.replace("interval: 1m30s", "interval: 90").replace("weight: 5", "weigth: 5")

    with pytest.raises(InputError) as caught:
        read(tmp_path, text)

    assert [16, 39] == [mistake.line for mistake in caught.value.mistakes]


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6),
    st.sampled_from(["a", "b:80", "${X:-1}", "$", "8080:80/tcp", "1s", "GET /x", "{k}", "/p"]),
)  # fmt: skip
VALUES = st.recursive(
    JUNK,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "test", "name"]), inner),
    max_leaves=5,
)
SERVICE_KEYS = st.sampled_from([
    "command", "entrypoint", "environment", "ports", "expose", "working_dir", "healthcheck", "depends_on",
    "stop_grace_period", "profiles", "x-harness", "image",
])  # fmt: skip
SYSTEM_KEYS = st.sampled_from(["entry", "links", "profiles", "slos", "ledgers", "other"])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(SERVICE_KEYS, VALUES), VALUES, st.dictionaries(SYSTEM_KEYS, VALUES))
def test_no_value_makes_the_reader_stumble(tmp_path, one, other, extension):
    """Whatever stands in the place of a value: a system, or mistakes a person can act on."""
    whole = {"services": {"a": one, "b": other}, "x-harness": extension}
    try:
        read(tmp_path, json.dumps(whole))
    except InputError as error:
        assert error.mistakes  # noqa: PT017  # either way is right
