"""
The labels by which everything of a run is known to the engine, and the names made of a run's id.
"""

from __future__ import annotations

import hashlib

RUN = "io.harness.run"  # on every container, network and volume of a run: the run's id
PART = "io.harness.part"  # what it is for: proxy, service, network, volume
SERVICE = "io.harness.service"  # on a service's container: the service
SOURCES = "io.harness.sources"  # on the proxy's image: a fingerprint of the code inside
COMPOSE_SERVICE = "com.docker.compose.service"


def project_name(run_id: str) -> str:
    """A run's project: short, because networks and host names are made of it, and one run's alone."""
    return f"harness-{hashlib.sha256(run_id.encode()).hexdigest()[:10]}"


def of_run(run_id: str) -> dict[str, list[str]]:
    """The filter that finds what bears a run's label and nothing else."""
    return {"label": [f"{RUN}={run_id}"]}
