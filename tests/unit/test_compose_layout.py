"""Where the proxy stands in the networks of a run, and what the overlay makes of a person's project."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.engine.labels import RUN, project_name
from harness.errors import InputError
from harness.system.compose_file import read_system
from harness.system.container_layout import CONTROL, container_layout
from harness.topology.overlay import check_project, known_names, overlay

COMPOSE = """
services:
  web:
    image: web
    expose: ["80"]
    environment: {A: "http://a:8080", B: "http://b:8080", CACHE: "cache:6379"}
  a: {image: app, expose: ["8080"]}
  b: {image: app, expose: ["8080"]}
  cache: {image: redis, expose: ["6379"]}
x-harness: {entry: web}
"""


class Loader(yaml.SafeLoader):
    """Reads Compose's own tags as what they hold, with the tag's name beside it."""


Loader.add_constructor("!override", lambda loader, node: {"!override": loader.construct_mapping(node, deep=True)})
Loader.add_constructor("!reset", lambda _loader, _node: "!reset")


@pytest.fixture
def layout(tmp_path):
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE)
    return container_layout(read_system(file), {"cache": ["store"]})


def test_no_two_services_share_a_network(layout):
    """Each network belongs to one service and the proxy, so nobody can be reached but through the proxy."""
    names = [segment.name for segment in layout.segments]

    assert len(set(names)) == len(names)
    assert all(len({s.service for s in layout.segments if s.name == name}) == 1 for name in names)
    assert CONTROL not in names


def test_links_of_one_client_are_told_apart_by_address_and_port(layout):
    """Two upstreams with one port get networks of their own; those with other ports share one."""
    assert len(set(layout.listens.values())) == len(layout.listens)
    assert layout.listens["web->a"][0] != layout.listens["web->b"][0]
    assert layout.listens["web->a"][0] == layout.listens["web->cache"][0]


def test_the_proxy_answers_to_every_name_of_an_upstream(layout):
    """A client that knows its upstream by an alias or a container's name meets the proxy all the same."""
    [first, *_] = [segment for segment in layout.segments if segment.service == "web"]

    assert {"a", "cache", "store"} <= set(first.aliases)


def test_a_service_is_reached_in_its_first_network_alone(layout):
    """Only the proxy knows the name by which the service itself is found, and it stands in one network."""
    project = {"services": {name: {} for name in ("web", "a", "b", "cache")}}
    networks = {segment.name: f"run-{segment.name}" for segment in layout.segments}
    text = overlay(project, layout, run_id="r", project_name="p", networks=networks, environment={})
    web = yaml.load(text, Loader)["services"]["web"]["networks"]["!override"]

    assert [bool(entry) for entry in web.values()] == [True, False]


def test_the_overlay_takes_ports_names_and_foreign_volumes_away(layout):
    """No port of the host is published, no name is taken twice, and volumes are the run's own, with its label."""
    project = {
        "services": {
            "web": {"ports": [{"target": 80, "published": "80"}], "container_name": "web", "links": ["a"]},
            **{name: {} for name in ("a", "b", "cache")},
        },
        "volumes": {"data": {"name": "precious", "external": True}},
    }
    networks = {segment.name: f"run-{segment.name}" for segment in layout.segments}
    text = overlay(
        project, layout, run_id="r", project_name="p", networks=networks, environment={"web": {"PRICE": "5$"}}
    )
    found = yaml.load(text, Loader)
    web = found["services"]["web"]

    assert ("!reset", "!reset", "!reset") == (web["ports"], web["container_name"], web["links"])
    assert {"PRICE": "5$$"} == web["environment"]
    assert {"name": "p-data", "labels": {RUN: "r", "io.harness.part": "volume"}} == found["volumes"]["data"][
        "!override"
    ]
    assert all("r" == service["labels"][RUN] for service in found["services"].values())
    assert all(network["external"] for network in found["networks"].values())


def test_health_checks_come_seldom_where_the_harness_asks_and_nobody_waits_for_them(layout):
    """One that another service waits for keeps its pace, and so does one whose readiness only the engine knows."""
    checked = {"healthcheck": {"test": ["CMD", "true"], "interval": "1s"}}
    project = {
        "services": {
            "web": checked | {"depends_on": {"a": {"condition": "service_healthy"}, "b": {"condition": "service_started"}}},
            "a": checked, "b": checked, "cache": checked,
        }
    }  # fmt: skip
    networks = {segment.name: f"run-{segment.name}" for segment in layout.segments}
    text = overlay(
        project, layout, run_id="r", project_name="p", networks=networks, environment={}, asked=["web", "a", "b"]
    )
    services = yaml.load(text, Loader)["services"]

    assert ["b", "web"] == sorted(name for name, service in services.items() if "healthcheck" in service)
    assert {"interval": "10s"} == services["b"]["healthcheck"]


def test_a_service_on_the_hosts_network_is_refused():
    """It could be reached past every link, so no verdict on it would be worth anything."""
    with pytest.raises(InputError, match="web has network_mode 'host'"):
        check_project({"services": {"web": {"network_mode": "host"}}}, Path("compose.yaml"))


def test_further_names_of_a_service_are_found_wherever_they_stand():
    """container_name, hostname and the aliases of every network."""
    project = {"services": {"a": {"container_name": "x", "hostname": "a", "networks": {"n": {"aliases": ["y", "x"]}}}}}

    assert {"a": ["x", "y"]} == known_names(project)


def test_a_project_belongs_to_one_run():
    """Its name is short enough for a host's name, and another run has another one."""
    assert project_name("one") == project_name("one") != project_name("two")
    assert len(project_name("x" * 500)) < 30
