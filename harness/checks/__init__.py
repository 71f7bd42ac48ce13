"""Checks: one question to a run, each in a file of its own; the table below is all the registration there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.checks import (
    availability,
    breaker,
    bulkhead,
    connections,
    consistency,
    crossings,
    degradation,
    effects,
    errors,
    failover,
    fallback,
    instances,
    latency,
    recovery,
    region,
    retries,
    slo,
    slowdown,
    throughput,
)
from harness.checks.base import Evidence
from harness.verdict import CheckResult

CHECKS: dict[str, Callable[[Any, Evidence], CheckResult]] = {
    "availability": availability.judge,
    "latency": latency.judge,
    "slowdown": slowdown.judge,
    "errors": errors.judge,
    "throughput": throughput.judge,
    "breaker": breaker.judge,
    "fallback": fallback.judge,
    "retries": retries.judge,
    "crossings": crossings.judge,
    "bulkhead": bulkhead.judge,
    "recovery": recovery.judge,
    "instances": instances.judge,
    "region": region.judge,
    "degradation": degradation.judge,
    "connections": connections.judge,
    "effects": effects.judge,
    "consistency": consistency.judge,
    "failover": failover.judge,
    "slo": slo.judge,
}
