"""`harness doctor`: what a run needs, what is there, and the command that puts right what is not."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.parser import Parser
from harness.cli.printing import print_json
from harness.errors import EXIT_PASS, EXIT_SET_UP_FAILED, HarnessError

if TYPE_CHECKING:
    from harness.engine.connect import Engine

DESCRIPTION = """\
Look whether everything a run needs is there: Python, packages, Toxiproxy, loopback addresses, a
folder for reports with room in it, nothing left by killed runs. Each finding that is not well comes
with the command that puts it right. Nothing is installed or changed."""
EXAMPLES = ("harness doctor", "harness doctor --backend compose", "harness doctor --reports /var/tmp/reports --json")

OLDEST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 500 * 10**6
ENGINE_LIMIT_S = 5.0
PACKAGES = {  # name on the package index -> what it is for
    "pydantic": "scenario files",
    "PyYAML": "scenario files",
    "psutil": "processes",
    "rich": "terminals",
    "toxiproxy-python": "network faults",
    "httptools": "the gate",
    "locust": "load",
    "geventhttpclient": "load",
}
WELL, WANTING, MISSING = "ok", "could be better", "MISSING"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at. `fix` is a command, empty when there is nothing to put right."""

    name: str
    state: str  # WELL, WANTING (a run works without it) or MISSING
    found: str
    fix: str = ""


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "--reports", metavar="DIR", type=Path, default=Path("reports"), help="where runs will be kept (default: %(default)s)"
    )  # fmt: skip
    from harness.run.options import BACKENDS

    parser.add_argument(
        "--backend", choices=BACKENDS, default=BACKENDS[0], help="what systems will run on (default: %(default)s)"
    )


def main(options: argparse.Namespace) -> int:
    findings = examine(options.reports, options.backend)
    missing = [finding for finding in findings if finding.state == MISSING]
    if options.json:
        print_json({"ok": not missing, "findings": [dataclasses.asdict(finding) for finding in findings]})
    else:
        _show(findings)
    return EXIT_SET_UP_FAILED if missing else EXIT_PASS


def examine(reports: Path, backend: str = "processes") -> list[Finding]:
    """Look at everything that a backend needs; a look that fails is a finding too."""
    looks: Sequence[Callable[[], Iterable[Finding]]] = (
        lambda: [python(sys.version_info[:3])],
        packages,
        lambda: [event_loop()],
        lambda: [toxiproxy()],
        lambda: [loopback()],
        lambda: [folder(reports)],
        lambda: [left_behind()],
        balancers,
        lambda: containers(needed=backend == "compose"),
    )
    return [finding for look in looks for finding in _looked(look)]


def _looked(look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What a look found; it may need a package that is missing, and that is listed among the packages."""
    try:
        return list(look())
    except ImportError as error:
        fix = f"{sys.executable} -m pip install '{error.name or 'harness'}'"
        return [Finding(name="harness itself", state=MISSING, found=str(error), fix=fix)]


def python(version: tuple[int, ...]) -> Finding:
    found = ".".join(str(part) for part in version)
    if version[:2] >= OLDEST_PYTHON:
        return Finding(name="Python", state=WELL, found=found)
    fix = "install Python 3.11 or newer, then: python3.11 -m venv .venv && .venv/bin/pip install -e '.[dev]'"
    return Finding(name="Python", state=MISSING, found=f"{found}, 3.11 is the oldest that works", fix=fix)


def packages(version_of: Callable[[str], str] = metadata.version) -> list[Finding]:
    """The packages by their metadata alone: importing locust would rewrite this process's sockets."""
    findings = []
    for name, use in PACKAGES.items():
        try:
            findings.append(Finding(name=name, state=WELL, found=f"{version_of(name)}, for {use}"))
        except metadata.PackageNotFoundError:
            wanted = _requirement(name)
            fix = f"{sys.executable} -m pip install '{wanted}'"
            findings.append(Finding(name=name, state=MISSING, found=f"not installed, needed for {use}", fix=fix))
    return findings


def _requirement(name: str) -> str:
    """The package with the versions that harness asks for."""
    try:
        wanted = metadata.requires("harness") or []
    except metadata.PackageNotFoundError:
        return name
    plain = (line.split(";")[0].strip() for line in wanted)
    return next((line for line in plain if re.match(rf"{re.escape(name)}\b(?![-.])", line, re.IGNORECASE)), name)


def event_loop(version_of: Callable[[str], str] = metadata.version) -> Finding:
    try:
        return Finding(name="uvloop", state=WELL, found=f"{version_of('uvloop')}, for the gate")
    except metadata.PackageNotFoundError:
        fix = f"{sys.executable} -m pip install '{_requirement('uvloop')}'"
        return Finding(name="uvloop", state=WANTING, found="not installed: the gate is slower without", fix=fix)


def toxiproxy(environment: Mapping[str, str] = os.environ, find: Callable[..., Path | None] | None = None) -> Finding:
    """Whether the server is there, or can be got by the first run."""
    from harness.links.provision import OVERRIDE, SHA_256, cache_folder, find_toxiproxy, platform_name

    get = (
        f"{sys.executable} -c 'from harness.links.provision import provide_toxiproxy; print(provide_toxiproxy(print))'"
    )
    try:
        binary = (find or find_toxiproxy)(cache_folder(environment), environment)
    except HarnessError as error:
        return Finding(name="Toxiproxy", state=MISSING, found=str(error), fix=error.hint or get)
    if binary is not None:
        return Finding(name="Toxiproxy", state=WELL, found=str(binary))
    if shutil.which("go", path=environment.get("PATH")):
        return Finding(name="Toxiproxy", state=WANTING, found="not there yet; the first run builds it", fix=get)
    if platform_name() in SHA_256:
        found = "not there yet; the first run fetches its release archive"
        return Finding(name="Toxiproxy", state=WANTING, found=found, fix=get)
    fix = f"build version 2.12.0 elsewhere and name it: export {OVERRIDE}=/path/to/toxiproxy-server"
    return Finding(name="Toxiproxy", state=MISSING, found="not there, no go to build it, no release for here", fix=fix)


def loopback() -> Finding:
    """Whether a run could have loopback addresses of its own."""
    from harness.topology.addresses import claim_block

    try:
        with claim_block() as block:
            return Finding(name="loopback addresses", state=WELL, found=f"{block.prefix}.0.0/16 is free")
    except HarnessError as error:
        return Finding(name="loopback addresses", state=MISSING, found=str(error), fix=error.hint or "harness clean")


def folder(reports: Path, least_free_bytes: int = LEAST_FREE_BYTES) -> Finding:
    """Whether the folder of the reports, or the one it would be made in, can be written and has room."""
    name = "reports folder"
    there = reports.absolute()
    while not os.path.exists(there) and there != there.parent:  # noqa: PTH110  pathlib's raises for a name too long
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        fix = f"chmod u+wx '{there}', or choose another with --reports DIR"
        return Finding(name=name, state=MISSING, found=f"{there} cannot be written", fix=fix)
    free_bytes = shutil.disk_usage(there).free
    found = f"{there}, {free_bytes / 1e9:.1f} GB free"
    if free_bytes < least_free_bytes:
        fix = "remove old runs below it, or choose another with --reports DIR"
        return Finding(
            name=name, state=MISSING, found=f"{found}, a suite may need {least_free_bytes / 1e9:.1f}", fix=fix
        )
    return Finding(name=name, state=WELL, found=found)


def left_behind() -> Finding:
    """Runs whose runner was killed and that nobody has cleaned up after."""
    from harness.run import registry

    stale = []
    for path in registry.entry_paths():
        with registry.dead(path) as entry:
            if entry is not None:
                stale.append(entry.run_id)
    if not stale:
        return Finding(name="killed runs", state=WELL, found="none left anything behind")
    return Finding(name="killed runs", state=WANTING, found=", ".join(stale), fix="harness clean")


def containers(*, needed: bool) -> list[Finding]:
    """What the Compose backend needs: engine, plugin, the proxy's image, room. A run as processes needs none of it."""
    from harness.engine import connect as engines

    lack = MISSING if needed else WELL
    try:
        engine = engines.connect(limit_s=ENGINE_LIMIT_S)
    except HarnessError as error:
        found = str(error) if needed else f"{error}; not needed: systems run as processes"
        return [Finding(name="Docker", state=lack, found=found, fix=(error.hint or "") if needed else "")]
    findings = [Finding(name="Docker", state=WELL, found=f"engine {engine.version} at {engine.place}")]
    try:
        findings.append(Finding(name="Docker Compose", state=WELL, found=engines.compose_version()))
    except HarnessError as error:
        findings.append(Finding(name="Docker Compose", state=lack, found=str(error), fix=error.hint or ""))
    findings.append(proxy_image(engine, lack))
    findings += engine_room(engine, lack)
    engine.close()
    return findings


def proxy_image(engine: Engine, lack: str) -> Finding:
    """Whether the image of gate and Toxiproxy is there and holds this very code."""
    from harness.engine.labels import SOURCES
    from harness.engine.sources import fingerprint
    from harness.links.proxy_container import BUILD, IMAGE

    name = "proxy's image"
    try:
        with engine.asking(f"find the image {IMAGE}") as api:
            labels = api.inspect_image(IMAGE)["Config"].get("Labels") or {}
    except HarnessError:
        return Finding(name=name, state=lack, found=f"there is no {IMAGE}", fix=BUILD if lack == MISSING else "")
    if labels.get(SOURCES) != fingerprint():
        return Finding(name=name, state=lack, found=f"{IMAGE} holds another gate than this one", fix=BUILD)
    return Finding(name=name, state=WELL, found=f"{IMAGE} holds this version's gate")


def engine_room(engine: Engine, lack: str, least_free_bytes: int = LEAST_FREE_BYTES) -> list[Finding]:
    """Whether the engine has room for containers, where its folder is one of this machine."""
    with engine.asking("ask for its folder") as api:
        there = str(api.info().get("DockerRootDir") or "")
    if not os.path.isdir(there):  # noqa: PTH112  an engine in a virtual machine names a folder of that one
        return []
    free_bytes = shutil.disk_usage(there).free
    found = f"{there}, {free_bytes / 1e9:.1f} GB free"
    if free_bytes < least_free_bytes:
        return [Finding(name="engine's folder", state=lack, found=found, fix="docker system prune")]
    return [Finding(name="engine's folder", state=WELL, found=found)]


def balancers(which: Callable[[str], str | None] | None = None) -> list[Finding]:
    """HAProxy and Redis, which only scenarios of systems that hold them need."""
    folders = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    look = which or (lambda name: shutil.which(name, path=folders))
    findings = []
    for name, program in (("HAProxy", "haproxy"), ("Redis", "redis-server")):
        if (found := look(program)) is not None:
            findings.append(Finding(name=name, state=WELL, found=found))
            continue
        fix = f"apt-get install --no-install-recommends {program}"
        found = "not there; scenarios/redundancy needs it"
        findings.append(Finding(name=name, state=WANTING, found=found, fix=fix))
    return findings


def _show(findings: Sequence[Finding]) -> None:
    """Without rich: it may be what is missing."""
    name_width = max(len(one.name) for one in findings)
    state_width = max(len(one.state) for one in findings)
    for one in findings:
        found = " ".join(one.found.split())
        sys.stdout.write(f"{one.name:<{name_width}}  {one.state:<{state_width}}  {found}\n")
    for one in findings:
        if one.fix:
            sys.stdout.write(f"\n{one.name}:\n  {one.fix}\n")
