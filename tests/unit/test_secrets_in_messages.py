"""A mistake in a person's file is told without the secret it was made in; tables of a journal keep their names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import secrets
from harness.cli.printing import problem, problem_document
from harness.errors import HarnessError, InputError, SetUpError
from harness.journal.masking import masked_rows
from harness.journal.reader import JournalReader
from harness.journal.spool import SpoolReader, SpoolWriter
from harness.journal.writer import JournalWriter
from harness.scenario.file import parse_scenario
from harness.scenario.masking import as_journalled, masked_facts
from harness.secrets import MASK
from harness.system.compose_file import read_system
from harness.system.masking import masked_system, remember
from harness.system.model import System

ROOT = Path(__file__).parents[2]
PLANT = "plant-9f3bzq"


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    secrets.forget()
    yield
    secrets.forget()


@pytest.mark.parametrize(
    "line",
    [
        f"environment: {{DB_PASSWORD: [{PLANT}]}}",
        f'environment: {{DB_PASSWORD: "{PLANT}${{"}}',
        f'environment: {{DB_PASSWORD: "{PLANT}$1"}}',
        f"x-harness: {{token: {PLANT}}}",
    ],
)
def test_a_mistake_does_not_quote_the_secret(tmp_path: Path, line: str) -> None:
    """File and line are said, the value is not."""
    path = tmp_path / "system.yaml"
    path.write_text(f"services:\n  order:\n    command: [serve]\n    {line}\n")

    with pytest.raises(InputError) as refused:
        read_system(path, {})

    assert PLANT not in problem(refused.value)
    assert PLANT not in json.dumps(problem_document(refused.value))
    assert f"{path}:4" in problem(refused.value)


def test_errors_are_masked_where_they_are_shown() -> None:
    """By people's eyes and by machines."""
    error: HarnessError = SetUpError(f"cannot reach amqp://shop:{PLANT}@mq:1", hint=f"DB_PASSWORD={PLANT} is wrong")

    assert PLANT not in problem(error)
    assert PLANT not in json.dumps(problem_document(error))


@pytest.fixture
def system(tmp_path: Path) -> System:
    path = tmp_path / "system.yaml"
    path.write_text(f"""
services:
  auth: {{command: [serve, --token, {PLANT}a], environment: {{PORT: "80"}}, expose: ["80"]}}
  token-store:
    command: [serve]
    environment: {{AUTH: "auth:80", DSN: "x://u:{PLANT}b@h/", API_KEY: {PLANT}c}}
    expose: ["81"]
    depends_on: {{auth: {{condition: service_started}}}}
    healthcheck: {{test: [CMD, look, --password={PLANT}d]}}
x-harness:
  entry: token-store
  profiles:
    buy:
      requests: [{{name: "GET /x?token={PLANT}e", headers: {{X-Api-Key: {PLANT}f}}, json: {{secret: [{PLANT}g]}}}}]
""")
    return read_system(path, {})


def test_a_masked_system_is_still_the_system(system: System) -> None:
    """Services called after secrets, links, health checks and requests read back; no secret does."""
    written = json.dumps(masked_system(system))
    read = System.from_json(json.loads(written))

    assert PLANT not in written
    assert read.links == system.links
    assert read.services.keys() == system.services.keys()
    assert read.services["token-store"].depends_on == {"auth": "service_started"}
    assert read.services["auth"].environment == {"PORT": "80"}
    assert [r.name for r in read.profiles["buy"].requests] == [f"GET /x?token={MASK}"]


def test_the_secrets_of_a_system_are_remembered_and_its_names_are_not(system: System) -> None:
    """Wherever this process writes them from now on; `with` and health checks included."""
    remember(system, {"auth": {"OTHER_SECRET": f"{PLANT}h"}})

    for letter in "abcdfgh":
        assert PLANT not in secrets.text(f"so {PLANT}{letter} it was")
    assert (
        secrets.text("token-store->auth at auth:80 in load->token-store")
        == "token-store->auth at auth:80 in load->token-store"
    )


def test_a_masked_scenario_is_still_a_scenario() -> None:
    """It is read by the same model, with names as its journal has them."""
    text = json.dumps({
        "name": "x", "system": "compose/shop.yaml", "load": {"profile": "checkout", "arrivals": "10/s"},
        "with": {"order": {"DB_PASSWORD": 12345678, "PORT_X": 1}},
        "timeline": [
            {"steady": "3s"},
            {"fault": {"http": "status", "link": "order->payment", "status": 503, "headers": {"Set-Cookie": PLANT}},
             "for": "1s"},
            {"recovery": "1s"},
        ],
        "expect": [{"availability": {"at_least": "9%"}}],
    })  # fmt: skip
    scenario = parse_scenario(text, str(ROOT / "x.yaml"), ["with.order.API_TOKEN=" + PLANT]).scenario

    masked = as_journalled(scenario)
    facts = masked_facts({"scenario": scenario.model_dump(mode="json"), "overrides": [f"with.order.TOKEN={PLANT}"]})

    assert masked.with_ == {"order": {"DB_PASSWORD": MASK, "PORT_X": 1, "API_TOKEN": MASK}}
    assert masked.timeline[1].fault.target == "order->payment"
    assert PLANT not in json.dumps(facts)
    assert "12345678" not in json.dumps(facts)


def test_rows_keep_what_judging_compares(tmp_path: Path) -> None:
    """Links, services, kinds and business keys stay; paths, errors and what services said are masked."""
    secrets.remember([PLANT])
    wire = ("a->b", 1, 1, "GET", f"/x?token={PLANT}&y=1", "t", 1, 1, 1, 1, 200, 1, 1, "answered", "", 1)
    request = ("GET /x", 1, 1, 1, 500, 0, f"other:{PLANT}", 1, "t", "order-1", f"from http://u:{PLANT}@h")
    app_event = (
        1,
        1,
        "auth",
        "circuitbreaker",
        "token",
        "ERROR",
        json.dumps({"password": "pw", "errorMessage": PLANT}),
    )
    probe = (1, "actuator", "auth", 1, json.dumps({"breakers": {"auth": "CLOSED", "secret": "OPEN"}}))
    event = (1, "fault.failed", "token", json.dumps({"error": f"Authorization: Bearer {PLANT}", "t": 5}))
    ledger = ("orders", "order-1", json.dumps({"key": "order-1", "card_token": "4242"}))

    spool = SpoolWriter(tmp_path / "s.jsonl")
    for table, row in (("wire", wire), ("requests", request)):
        spool.append(table, row)
    spool.close()
    batches = {table: [row] for table, row in SpoolReader(tmp_path / "s.jsonl").rows()}
    batches |= {"app_events": [app_event], "probes": [probe], "events": [event], "ledger": [ledger]}
    writer = JournalWriter(tmp_path / "journal.db")
    writer.put({"scenario_text": f"x: http://u:{PLANT}@h"})
    writer.append(batches)
    writer.close()

    assert PLANT.encode() not in (tmp_path / "s.jsonl").read_bytes() + (tmp_path / "journal.db").read_bytes()
    with JournalReader(tmp_path) as reader:
        assert list(reader.rows("SELECT link, path FROM wire")) == [("a->b", f"/x?token={MASK}&y=1")]
        assert list(reader.rows("SELECT name, business_key FROM requests")) == [("GET /x", "order-1")]
        assert [json.loads(d) for (d,) in reader.rows("SELECT data FROM probes")] == [json.loads(probe[4])]
        assert [json.loads(d) for (d,) in reader.rows("SELECT data FROM ledger")] == [
            {"key": "order-1", "card_token": MASK}
        ]
        assert reader.events("fault.failed")[0][2:] == ("token", {"error": f"Authorization: {MASK}", "t": 5})


def test_rows_without_a_secret_are_passed_on_as_they_are() -> None:
    """Most rows hold none, and are not copied."""
    row = (1, "actuator", "order", 1, '{"breakers":  {"payment": "CLOSED"}}')

    [kept] = masked_rows("probes", [row])

    assert kept is row
