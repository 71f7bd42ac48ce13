"""
Service level objectives as a Compose file writes them under `x-harness: {slos: [...]}`, and what is made of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field, model_validator

from harness.system.model import FailoverObjective, Objective
from harness.words import PositiveSeconds, Seconds, Share, Words


class IndicatorWords(Words):
    """What an objective measures: one of the three."""

    availability: str | None = Field(None, description="share of good answers to this request")
    latency: str | None = Field(None, description="share of answers to this request that came in time")

    failover: str | None = Field(None, description="writes of this ledger when something fails: RTO and RPO")

    @model_validator(mode="after")
    def _one_indicator(self) -> IndicatorWords:
        if len(self.model_fields_set) != 1:
            raise ValueError("say one of availability: POST /orders, latency: POST /orders, failover: orders")
        return self


class TargetWords(Words):
    """OpenSLO's words for the bound."""

    op: Literal["lte", "lt"] | None = Field(None, description="how a latency compares with value")
    value: PositiveSeconds | None = Field(None, description="latency within which an answer is good: 500ms")
    target: Share | None = Field(None, description="least share of good requests: 99%")
    rto: PositiveSeconds | None = Field(None, description="failover: longest time without an acknowledged write: 3s")
    rpo: Seconds | None = Field(None, description="failover: how far back the oldest lost write may lie: 500ms")
    rpo_writes: int | None = Field(None, ge=0, description="failover: most acknowledged writes that may be lost")


class ObjectiveWords(Words):
    """One service level objective."""

    name: str = Field(min_length=1, description="how promises and reports call it")
    indicator: IndicatorWords = Field(description="what is measured")
    objective: TargetWords = Field(description="the bound")

    @model_validator(mode="after")
    def _bounds_of_its_kind(self) -> ObjectiveWords:
        shares = {"target", "op", "value"} & self.objective.model_fields_set
        failovers = {"rto", "rpo", "rpo_writes"} & self.objective.model_fields_set
        if self.indicator.failover is not None and (shares or not failovers):
            raise ValueError("a failover objective is made of rto: 3s, rpo: 500ms, rpo_writes: 0, one of them at least")
        if self.indicator.failover is None and (failovers or self.objective.target is None):
            raise ValueError("an objective needs its target: 99%; rto and rpo belong to indicator: {failover: orders}")
        return self

    @model_validator(mode="after")
    def _value_for_latency(self) -> ObjectiveWords:
        if self.indicator.latency is not None and self.objective.value is None:
            raise ValueError("a latency objective needs the time an answer may take: value: 500ms")
        if self.indicator.latency is None and self.objective.value is not None:
            raise ValueError("value belongs to a latency objective; availability has only a target")
        return self


def failovers_of(slos: Iterable[ObjectiveWords]) -> Iterator[FailoverObjective]:
    """Those made of RTO and RPO."""
    for written in slos:
        if written.indicator.failover is not None:
            yield FailoverObjective(
                name=written.name,
                ledger=written.indicator.failover,
                rto_s=written.objective.rto,
                rpo_s=written.objective.rpo,
                rpo_writes=written.objective.rpo_writes,
            )


def objectives_of(slos: Iterable[ObjectiveWords]) -> Iterator[Objective]:
    """Those made of a share of good requests."""
    for written in slos:
        latency = written.indicator.latency
        if written.indicator.failover is not None or written.objective.target is None:
            continue
        yield Objective(
            name=written.name,
            indicator="availability" if latency is None else "latency",
            of=latency or written.indicator.availability or "",
            target=written.objective.target,
            limit_s=written.objective.value,
        )
