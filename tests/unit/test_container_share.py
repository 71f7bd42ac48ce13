"""Containers of a run weigh what its processes weigh, where those may go first, and a person's own word counts more."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml

from harness.engine.connect import Engine
from harness.run import container_share
from harness.run.container_share import WEIGHT, share
from harness.system.compose_file import read_system
from harness.system.container_layout import container_layout
from harness.topology.overlay import overlay


def engine(driver):
    return Engine(SimpleNamespace(info=lambda: {"CgroupDriver": driver}), "unix:///nowhere", "20.10.24")


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        ("cgroupfs", {"cpu_shares": 2 * WEIGHT, "cgroup_parent": "/"}),
        ("systemd", {"cpu_shares": 2 * WEIGHT}),
        ("none", {}),
    ],
)
def test_each_program_of_a_container_weighs_as_a_process_of_a_run(monkeypatch, driver, expected):
    """In a group beside everybody else's where the engine would put all containers into one, else where it puts them."""
    monkeypatch.setattr(container_share, "may_go_first", lambda: True)

    assert expected == share(engine(driver), 2)


def test_containers_get_no_priority_where_processes_get_none(monkeypatch):
    """Else the services would go before the load that asks them, and its lateness would say nothing of them."""
    monkeypatch.setattr(container_share, "may_go_first", lambda: False)

    assert {} == share(engine("cgroupfs"))


def test_what_a_file_says_of_the_processor_stands(tmp_path):
    """A service that names its own shares keeps them; the others get the run's."""
    file = tmp_path / "compose.yaml"
    file.write_text(
        "services:\n  web: {image: web, expose: ['80'], cpu_shares: 512}\n  other: {image: other, expose: ['80']}\n"
        "x-harness: {entry: web}\n"
    )
    layout = container_layout(read_system(file))
    project = {"services": {"web": {"cpu_shares": 512}, "other": {}}}
    networks = {segment.name: segment.name for segment in layout.segments}
    text = overlay(
        project, layout, run_id="r", project_name="p", networks=networks, environment={}, share={"cpu_shares": 9}
    )
    services = yaml.load(text.replace("!override", "").replace("!reset", ""), yaml.SafeLoader)["services"]

    assert ("cpu_shares" in services["web"], services["other"]["cpu_shares"]) == (False, 9)
