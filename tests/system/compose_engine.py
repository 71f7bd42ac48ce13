"""What tests of the Compose backend share: the engine, what it holds of a run, and one command of the harness."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.engine.connect import compose_version, connect
from harness.engine.labels import RUN
from harness.engine.sources import fingerprint
from harness.errors import HarnessError

ROOT = Path(__file__).parents[2]
LIMIT_S = 240


def found_engine(*images):
    """An engine that has the proxy's image, made of this code, and these others; else no test, with the reason."""
    try:
        found = connect(limit_s=60)
        compose_version()
        with found.asking("find the images") as api:
            for image in images:
                api.inspect_image(image)
            labels = api.inspect_image("harness-proxy")["Config"]["Labels"]
    except HarnessError as error:
        pytest.skip(f"{error} ({error.hint})")
    if labels.get("io.harness.sources") != fingerprint():
        pytest.skip("the image harness-proxy is of other sources: make images")
    return found


def left(engine, run_id=None):
    """What of a run, or of any, the engine has."""
    filters = {"label": [RUN if run_id is None else f"{RUN}={run_id}"]}
    with engine.asking("look") as api:
        things = [*api.containers(all=True, filters=filters), *api.networks(filters=filters)]
        return things + list(api.volumes(filters=filters).get("Volumes") or ())


def run(scenario, reports, *words):
    """`harness run` of one scenario in containers, wholly."""
    command = [
        sys.executable, "-m", "harness", "run", scenario, "--backend", "compose", "--reports", reports, "--plain",
        *words,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=ROOT)


def run_ids(reports):
    """The runs that a folder of reports holds, by their leases."""
    return sorted(path.parent.name for path in Path(reports).glob("*/leases.jsonl"))
