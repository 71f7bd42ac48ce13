"""`harness doctor` and `harness clean`: what is missing is said with the command that gets it."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from harness.cli import doctor
from harness.cli.doctor import MISSING, WANTING, WELL, Finding
from harness.cli.main import main
from harness.errors import SetUpError
from harness.run import clean


def _not_installed(name: str) -> str:
    raise metadata.PackageNotFoundError(name)


@pytest.mark.parametrize(
    ("finding", "state"),
    [
        (doctor.python((3, 11, 2)), WELL),
        (doctor.python((3, 10, 9)), MISSING),
        (doctor.event_loop(_not_installed), WANTING),
        (doctor.packages(_not_installed)[0], MISSING),
        (doctor.packages(lambda name: "1.0")[0], WELL),
        (doctor.balancers(lambda _: None)[0], WANTING),
        (doctor.balancers(lambda name: f"/usr/sbin/{name}")[1], WELL),
        (doctor.containers(needed=False)[0], WELL),
    ],
)
def test_what_is_not_well_comes_with_a_command(finding: Finding, state: str) -> None:
    """Everything that is missing or could be better says how to get it; what is well says nothing more."""
    assert state == finding.state
    assert bool(finding.fix) is (state != WELL)


def test_a_missing_package_is_asked_for_in_a_version_that_works() -> None:
    """The command names the versions the project itself asks for."""
    fixes = {finding.name: finding.fix for finding in doctor.packages(_not_installed)}

    assert "'locust<3,>=2" in fixes["locust"] or "'locust>=2" in fixes["locust"]


@pytest.mark.parametrize(
    ("found", "environment", "state"),
    [
        (Path("/opt/toxiproxy-server"), {}, WELL),
        (SetUpError("wrong version", hint="unset it"), {}, MISSING),
    ],
)
def test_toxiproxy_is_looked_for_and_not_made(found: Any, environment: dict[str, str], state: str) -> None:
    """It is there, or what stands in its way is told; looking builds and fetches nothing."""

    def find(*_: object) -> Path:
        if isinstance(found, SetUpError):
            raise found
        return found

    assert doctor.toxiproxy(environment, find).state == state


def test_toxiproxy_that_the_first_run_will_get_is_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a machine for which there is no way at all misses something."""
    monkeypatch.setattr(doctor.shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr("harness.links.provision.platform_name", lambda: "plan9_mips")

    assert doctor.toxiproxy({}, lambda *_: None).state == MISSING
    monkeypatch.setattr(doctor.shutil, "which", lambda *_, **__: "/usr/bin/go")
    assert doctor.toxiproxy({}, lambda *_: None).state == WANTING


def test_the_folder_of_reports_need_not_be_there_yet(tmp_path: Path) -> None:
    """What counts is whether it could be made, and whether there is room."""
    assert doctor.folder(tmp_path / "not" / "yet").state == WELL
    assert doctor.folder(tmp_path, least_free_bytes=10**18).state == MISSING


def test_a_file_in_the_place_of_the_folder_is_a_finding(tmp_path: Path) -> None:
    """Where a file stands no run can be kept."""
    (tmp_path / "reports").write_text("")

    assert doctor.folder(tmp_path / "reports").state == MISSING


def test_something_missing_is_a_failed_set_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4 when a run could not work, 0 when it only could be better; machines get the findings."""
    findings = [Finding(name="a", state=WELL, found="1.0"), Finding(name="b", state=MISSING, found="no", fix="get b")]
    monkeypatch.setattr(doctor, "examine", lambda *_: findings)
    assert main(["doctor"]) == 4
    assert "b:\n  get b" in capsys.readouterr().out

    findings.pop()
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_a_look_that_needs_a_missing_package_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Half an installation can still be examined."""

    def broken() -> Finding:
        raise ModuleNotFoundError("No module named 'psutil'", name="psutil")

    monkeypatch.setattr(doctor, "loopback", broken)
    missing = [finding for finding in doctor.examine(tmp_path) if finding.name == "harness itself"]

    assert [finding.fix.split()[-1] for finding in missing] == ["'psutil'"]


def test_clean_tells_what_it_undid(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each run that was cleaned up after is a line; nothing to do is said as well."""
    monkeypatch.setattr(clean, "sweep", lambda say: say("run 7 was killed: ended gate"))
    assert main(["clean"]) == 0
    assert capsys.readouterr().out == "run 7 was killed: ended gate\n"

    monkeypatch.setattr(clean, "sweep", lambda say: None)
    main(["clean"])
    assert capsys.readouterr().out == "nothing was left behind\n"
    main(["clean", "--json"])
    assert json.loads(capsys.readouterr().out) == {"undone": []}
