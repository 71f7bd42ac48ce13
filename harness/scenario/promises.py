"""
The promises a scenario can make: what is expected, of what, and in which window.

Words only. The check of the same name in `harness/checks/` answers each of them.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from harness.words import Link, PerSecond, Seconds, Share, Words

State = Literal["closed", "open", "half_open", "disabled", "forced_open", "metrics_only"]


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[
    tuple[str, ...],
    BeforeValidator(_one_or_many),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class Promise(Words):
    """Base of all promises: the window they speak of.

    `during` names a fault or a phase; absent: the whole run under load. `after` skips that long
    from the window's start. `except` leaves out the requests that belong to the named faults or phases.
    """

    check: ClassVar[str]
    summary: ClassVar[str]  # one sentence for `harness list checks`
    example: ClassVar[str]  # YAML of one promise, itself tested
    says: ClassVar[tuple[str, ...]] = ()  # keys of which one at least must be there, or nothing is promised

    during: str | None = Field(None, description="name of the fault or phase it speaks of")
    after_s: Seconds = Field(0.0, alias="after", description="skip that long from the window's start")
    except_: Names = Field((), alias="except", description="faults or phases left out")

    @model_validator(mode="after")
    def _promises_something(self) -> Promise:
        aliases = {field.alias or name: name for name, field in type(self).model_fields.items()}
        if self.says and not any(aliases[key] in self.model_fields_set for key in self.says):
            raise ValueError(f"{self.check} promises nothing; write at least one of {', '.join(self.says)}")
        return self


class Availability(Promise):
    check = "availability"
    summary = "the share of requests with a good outcome"
    example = "availability: {of: POST /orders, at_least: 99%, during: slow-payment}"

    of: str | None = Field(None, description="request name; absent: all requests")
    at_least: Share = Field(description="least share of good outcomes")


class Latency(Promise):
    check = "latency"
    summary = "percentiles of latency, exact, from the intended start"
    example = "latency: {of: POST /orders, p99: 500ms, p50: 50ms, during: slow-payment, after: 3s}"
    says = ("p50", "p90", "p95", "p99", "p99.9", "max")

    of: str | None = Field(None, description="request name; absent: all requests")
    p50_s: Seconds | None = Field(None, alias="p50", description="bound on the median")
    p90_s: Seconds | None = Field(None, alias="p90", description="bound on the 90th percentile")
    p95_s: Seconds | None = Field(None, alias="p95", description="bound on the 95th percentile")
    p99_s: Seconds | None = Field(None, alias="p99", description="bound on the 99th percentile")
    p999_s: Seconds | None = Field(None, alias="p99.9", description="bound on the 99.9th percentile")
    max_s: Seconds | None = Field(None, alias="max", description="bound on the slowest request")
    answers: Literal["good", "all"] = Field("good", description="good: requests answered well; all: error answers too")


class Slowdown(Promise):
    check = "slowdown"
    summary = "percentiles of latency, as multiples of those before the first fault"
    example = "slowdown: {of: POST /orders, p90: 1.2, give: 5ms, during: slow-payment}"
    says = ("p50", "p90", "p99")

    of: str | None = Field(None, description="request name; absent: all requests")
    p50: float | None = Field(None, description="so many times the median of the steady phase", ge=1)
    p90: float | None = Field(None, description="so many times its 90th percentile", ge=1)
    p99: float | None = Field(None, description="so many times its 99th percentile", ge=1)
    give_s: Seconds = Field(
        0.0, alias="give", description="added to each bound: what the machine's own jitter may add to short latencies"
    )


class Errors(Promise):
    check = "errors"
    summary = "which kinds of errors may appear, and how often"
    example = "errors: {of: POST /orders, only: [status 503, read_timeout], at_most: 5%}"
    says = ("only", "none_of", "at_most")

    of: str | None = Field(None, description="request name; absent: all requests")
    only: tuple[str, ...] | None = Field(
        None, description="kinds that may appear: refused, reset, read_timeout, closed_early, 'status 503' ..."
    )
    none_of: tuple[str, ...] = Field((), description="kinds that must not appear")
    at_most: Share = Field(1.0, description="largest share of requests with any error")


class Throughput(Promise):
    check = "throughput"
    summary = "good answers a second"
    example = "throughput: {of: POST /orders, at_least: 38/s, during: slow-payment}"

    of: str | None = Field(None, description="request name; absent: all requests")
    at_least_per_s: PerSecond = Field(alias="at_least", description="least good answers a second")


class Breaker(Promise):
    check = "breaker"
    summary = "the transitions of a circuit breaker, in order and in time"
    example = (
        "breaker: {on: order->payment, goes: [closed, open, half_open, closed], opens_within: 3s, closes_within: 5s}"
    )
    says = (
        "goes",
        "opens_within",
        "closes_within",
        "stays",
        "not_permitted_at_least",
        "failure_rate_at_least",
        "calls_while_open_at_most",
    )

    on: Link = Field(description="client->name of the breaker in the client")
    goes: tuple[State, ...] | None = Field(
        None, description="states in order; half_open -> open rounds in between may repeat"
    )
    opens_within_s: Seconds | None = Field(
        None, alias="opens_within", description="time from the fault's real start to the first OPEN"
    )
    closes_within_s: Seconds | None = Field(
        None, alias="closes_within", description="time from the fault's real end to the last CLOSED"
    )
    stays: State | None = Field(None, description="the only state allowed in the window")
    not_permitted_at_least: int | None = Field(None, description="least number of refused calls", ge=0)
    failure_rate_at_least: Share | None = Field(None, description="failure rate when it opened")
    calls_while_open_at_most: int | None = Field(
        None, description="calls that crossed the link while the breaker said OPEN", ge=0
    )


class Fallback(Promise):
    check = "fallback"
    summary = "how often an answer came from a fallback"
    example = "fallback: {named: payment-deferred, serves_at_least: 95%, during: slow-payment, after: 3s}"
    says = ("serves_at_least", "serves_at_most")

    named: str = Field(description="name of the fallback, as the answer's x-fallback header says it")
    of: str | None = Field(None, description="request name; absent: all requests")
    serves_at_least: Share | None = Field(None, description="least share of answers it serves")
    serves_at_most: Share | None = Field(None, description="largest share of answers it serves")


class Retries(Promise):
    check = "retries"
    summary = "attempts per call and amplification, counted on the wire"
    example = "retries: {on: order->payment, attempts_at_most: 3, amplification_at_most: 1.5}"
    says = ("attempts_at_most", "attempts_at_least", "amplification_at_most", "waits_at_least", "waits")

    on: Link = Field(description="the link the attempts cross")
    attempts_at_most: int | None = Field(None, description="most attempts one call makes", ge=1)
    attempts_at_least: int | None = Field(
        None, description="most attempts seen for one call must reach this: retries did happen", ge=1
    )
    amplification_at_most: float | None = Field(
        None, description="requests on the link per incoming call that needed it, on average", ge=1
    )
    waits_at_least_s: Seconds | None = Field(
        None, alias="waits_at_least", description="shortest wait between two attempts of one call"
    )
    waits_s: tuple[Seconds, ...] = Field(
        (),
        alias="waits",
        description="the first, second ... wait of a call: the median within `give` of it, 5 % at most shorter",
    )
    give_s: Seconds = Field(0.03, alias="give", description="how far a wait may be from the one in `waits`")


class Crossings(Promise):
    check = "crossings"
    summary = "requests a second on a link, counted on the wire"
    example = "crossings: {on: order->payment, at_most: 10/s, during: slow-payment, after: 300ms}"
    says = ("at_most", "at_least")

    on: Link = Field(description="the link the requests cross")
    at_most_per_s: PerSecond | None = Field(None, alias="at_most", description="most requests a second")
    at_least_per_s: PerSecond | None = Field(None, alias="at_least", description="least requests a second")


class Bulkhead(Promise):
    check = "bulkhead"
    summary = "concurrency on a link never above the limit; refusals are quick"
    example = "bulkhead: {on: order->payment, concurrent_at_most: 20, rejects_within: 50ms}"

    on: Link = Field(description="the link the bulkhead guards")
    concurrent_at_most: int = Field(description="most exchanges open at once on the wire", ge=1)
    reached: bool = Field(True, description="whether the limit has to be reached for the check to mean anything")
    rejects_within_s: Seconds | None = Field(
        None,
        alias="rejects_within",
        description="p99 latency of calls the bulkhead refused (from the service's events)",
    )


class Recovery(Promise):
    check = "recovery"
    summary = "time from a fault's real end until the SLO holds again"
    example = "recovery: {from: outage, slo_regained_within: 4s}"

    from_: str | None = Field(None, alias="from", description="name of the fault; absent: the last one that ends")
    of: str | None = Field(None, description="request name; absent: each request that has an SLO")
    slo_regained_within_s: Seconds = Field(
        alias="slo_regained_within", description="longest time until the SLO holds again"
    )


class Instances(Promise):
    check = "instances"
    summary = (
        "instances behind a balancer: their share of the requests, ejected and readmitted in time, errors meanwhile"
    )
    example = (
        "instances: {behind: haproxy, among: [order-1, order-2, order-3], from: killed, ejected_within: 2s,"
        " readmitted_within: 2s, errors_at_most: 0}"
    )
    says = ("share_at_least", "share_at_most", "ejected_within", "readmitted_within", "errors_at_most")

    behind: str = Field(description="the service that balances, and tells the states of its instances")
    among: Names = Field(description="the instances", min_length=1)
    from_: str | None = Field(None, alias="from", description="fault that the times count from; absent: the first one")
    share_at_least: Share | None = Field(None, description="least share of the requests that each instance gets")
    share_at_most: Share | None = Field(None, description="largest share of the requests that one instance gets")
    ejected_within_s: Seconds | None = Field(
        None, alias="ejected_within", description="time from an instance's real end until the balancer takes it out"
    )
    readmitted_within_s: Seconds | None = Field(
        None, alias="readmitted_within", description="time from its return until the balancer takes it back"
    )
    errors_at_most: int | None = Field(
        None, description="most errors that clients saw, from the fault until all were taken back", ge=0
    )

    @property
    def needs_states(self) -> bool:
        """Whether the balancer's own word is needed."""
        return self.ejected_within_s is not None or self.readmitted_within_s is not None

    @property
    def needs_fault(self) -> bool:
        return self.needs_states or self.errors_at_most is not None


class Region(Promise):
    check = "region"
    summary = "a lost region: traffic moved away and came back in time, errors meanwhile"
    example = "region: {group: east, from: east-lost, moved_within: 3s, returned_within: 5s, errors_at_most: 20}"
    says = ("moved_within", "returned_within", "errors_at_most")

    group: str = Field(description="a group of the system: x-harness: {groups: {east: {services: [...]}}}")
    from_: str | None = Field(None, alias="from", description="fault that the times count from; absent: the first one")
    moved_within_s: Seconds | None = Field(
        None, alias="moved_within", description="time from its loss until nothing is sent to it any more"
    )
    returned_within_s: Seconds | None = Field(
        None, alias="returned_within", description="time from its return until it answers requests again"
    )
    errors_at_most: int | None = Field(
        None, description="most errors that clients saw, from its loss until it answers again", ge=0
    )

    @property
    def needs_fault(self) -> bool:
        return True


class Degradation(Promise):
    check = "degradation"
    summary = "which source answers came from, and how stale they were"
    example = "degradation: {part: product, sources: [cache, service], at_least: 99%, stale_at_most: 2s}"
    says = ("at_least", "at_most", "stale_at_most")

    part: str = Field(description="part of the answer, as its x-source header names it", min_length=1)
    of: str | None = Field(None, description="request name; absent: all requests that tell the source of this part")
    sources: Names = Field(description="the sources meant: cache, service, last-known, default ...", min_length=1)
    at_least: Share | None = Field(None, description="least share of answers from these sources")
    at_most: Share | None = Field(None, description="largest share of answers from these sources")
    stale_at_most_s: Seconds | None = Field(
        None, alias="stale_at_most", description="age of the oldest stale answer from these sources"
    )


class Connections(Promise):
    check = "connections"
    summary = "connections on a link: how many at once, how many new ones in any second"
    example = "connections: {on: haproxy->order-1, open_at_most: 20, opened_at_most: 60/s, during: recovery}"
    says = ("open_at_most", "opened_at_most")

    on: Link = Field(description="the link")
    open_at_most: int | None = Field(None, description="most connections open at once", ge=0)
    opened_at_most_per_s: PerSecond | None = Field(
        None, alias="opened_at_most", description="most connections opened in any one second"
    )


class Effects(Promise):
    check = "effects"
    summary = "every acknowledged effect exists exactly once: lost, duplicated, phantom"
    example = "effects: {ledger: orders, lost: 0, duplicated: 0, phantom: 0}"

    ledger: str = Field(description="name of a ledger the system declares")
    lost: int = Field(0, description="acknowledged, but absent", ge=0)
    duplicated: int = Field(0, description="present more than once", ge=0)
    phantom: int = Field(0, description="present, but never asked for", ge=0)


class Consistency(Promise):
    check = "consistency"
    summary = "what clients were promised against what the data says: lost, duplicated, phantom, in doubt, with ids"
    example = "consistency: {ledger: orders, lost: 0, duplicated: 0, in_doubt_at_most: 5}"

    ledger: str = Field(description="name of a ledger the system declares")
    lost: int = Field(0, description="acknowledged, but absent", ge=0)
    duplicated: int = Field(0, description="present more than once", ge=0)
    phantom: int = Field(0, description="present, but never asked for", ge=0)
    in_doubt_at_most: int | None = Field(None, description="present, although the client got an error", ge=0)
    stale_reads_at_most: int | None = Field(
        None, description="reads that did not see a write acknowledged before they were sent", ge=0
    )


class Failover(Promise):
    check = "failover"
    summary = "how long no write was acknowledged, how many were lost, who leads; never two writable nodes"
    example = "failover: {ledger: orders, from: primary-killed, rto_at_most: 2s, rpo_writes_at_most: 0, primary: pg1}"
    says = ("rto_at_most", "rpo_at_most", "rpo_writes_at_most", "primary")

    ledger: str = Field(description="name of the ledger whose writes are counted")
    from_: str | None = Field(None, alias="from", description="name of the fault; absent: the first one")
    rto_at_most_s: Seconds | None = Field(
        None,
        alias="rto_at_most",
        description="longest time without an acknowledged write, and from the fault until they came again",
    )
    rpo_at_most_s: Seconds | None = Field(
        None, alias="rpo_at_most", description="how far back from the fault the oldest lost acknowledged write may lie"
    )
    rpo_writes_at_most: int | None = Field(None, description="most acknowledged writes that may be lost", ge=0)
    primary: Names = Field((), description="the node, or one of the nodes, that leads in the end")


class Slo(Promise):
    check = "slo"
    summary = "objectives the system declares once, with error budget and burn, or RTO and RPO"
    example = "slo: {named: orders-available, budget_left_at_least: 20%}"

    named: str | None = Field(None, description="name of one objective; absent: all of them")
    budget_left_at_least: Share = Field(0.0, description="least share of the error budget left at the end")


PROMISES: dict[str, type[Promise]] = {
    model.check: model
    for model in (
        Availability, Latency, Slowdown, Errors, Throughput, Breaker, Fallback, Retries, Crossings, Bulkhead, Recovery, Instances, Region,
        Degradation, Connections, Effects, Consistency, Failover, Slo,
    )
}  # fmt: skip
