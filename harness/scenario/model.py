"""
What a scenario says: a system, a load, a timeline of faults, and promises.

The same model makes the JSON Schema, checks what a person wrote, and is built
by the Python front end. It holds no file positions; `file.py` keeps those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from harness.faults import FAULTS
from harness.faults.base import Fault
from harness.scenario.promises import PROMISES, Promise
from harness.words import PerSecond, PositiveSeconds, Seconds, Words


def _fault_tag(value: Any) -> str | None:
    """`toxic: latency` for a mapping or a fault; None when it names no fault."""
    if isinstance(value, Fault):
        return f"{value.family}: {value.kind}"
    if isinstance(value, dict):
        for family in dict.fromkeys(f.family for f in FAULTS.values()):
            if family in value:
                return f"{family}: {value[family]}"
    return None


def _union(tagged: dict[str, Any], tag: Any) -> Any:
    members = tuple(Annotated[model, Tag(name)] for name, model in tagged.items())
    from typing import Union

    return Annotated[Union[members], Discriminator(tag)]  # noqa: UP007  # built from a table


if TYPE_CHECKING:  # a type checker cannot read a union built from a table
    AnyFault = Fault
else:
    AnyFault = _union({f"{f.family}: {f.kind}": f for f in FAULTS.values()}, _fault_tag)


class RateSegment(Words):
    """One piece of an arrival curve: a constant rate, or a ramp from one rate to another."""

    rate_per_s: PerSecond | None = Field(None, alias="rate", description="constant rate of this piece")
    from_per_s: PerSecond | None = Field(None, alias="from", description="rate at the start of a ramp")
    to_per_s: PerSecond | None = Field(None, alias="to", description="rate at the end of a ramp")
    for_s: PositiveSeconds | None = Field(
        None, alias="for", description="how long; absent on the last piece: until the load ends"
    )

    @model_validator(mode="after")
    def _one_form(self) -> RateSegment:
        ramp = self.from_per_s is not None and self.to_per_s is not None
        if (self.rate_per_s is None) == (not ramp) or (ramp and self.for_s is None):
            raise ValueError("write either {rate: 40/s, for: 5s} or {from: 10/s, to: 80/s, for: 5s}")
        return self


def _segments(value: Any) -> Any:
    if isinstance(value, str | int | float):
        return [{"rate": value}]
    if isinstance(value, dict):
        return [value]
    return value


class Load(Words):
    """The load of a scenario. Open arrivals unless `users` or `locustfile` is given."""

    profile: str | None = Field(None, description="mix of requests, declared by the system; absent: its only one")
    arrivals: Annotated[tuple[RateSegment, ...] | None, BeforeValidator(_segments)] = Field(
        None, description="open model: a rate (40/s), or a list of pieces (steps, ramps)"
    )
    pattern: Literal["even", "poisson"] = Field("even", description="spacing of open arrivals")
    users: int | None = Field(None, ge=1, le=2000, description="closed model: so many users, each waits for its answer")
    think_s: Seconds = Field(0.0, alias="think", description="closed model: pause of a user between requests")
    locustfile: str | None = Field(None, description="closed model: a person's own Locust file, run unchanged")
    timeout_s: PositiveSeconds = Field(10.0, alias="timeout", description="the client gives up after this long")
    max_in_flight: int = Field(1000, ge=1, le=20000, description="requests open at once before arrivals are dropped")

    @model_validator(mode="after")
    def _one_model(self) -> Load:
        closed = self.users is not None
        if (self.arrivals is None) == (not closed):
            raise ValueError("write either arrivals: 40/s (open model) or users: 20 (closed model)")
        if self.locustfile and not closed:
            raise ValueError("locustfile needs users: N; a person's own file runs in the closed model")
        if any(piece.for_s is None for piece in (self.arrivals or ())[:-1]):
            raise ValueError(
                "arrivals: only the last piece may go without for; the others need one: {rate: 40/s, for: 5s}"
            )
        return self


class Step(Words):
    """One line of the timeline: a phase of quiet, a fault, or the healing of one.

    A step starts where the one before it ended; `at` puts it at that instant of the run
    instead, beside the others. `for` says how long a fault stays; without it, until `heal`
    names it or the run ends.
    """

    steady_s: PositiveSeconds | None = Field(None, alias="steady", description="time before the first fault")
    recovery_s: PositiveSeconds | None = Field(None, alias="recovery", description="time after the last fault")
    wait_s: PositiveSeconds | None = Field(None, alias="wait", description="time that is neither")
    fault: AnyFault | None = Field(None, description="what is done, to which link or service")
    heal: str | None = Field(None, description="name of the fault that ends here")
    as_: str | None = Field(
        None, alias="as", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", description="a name for the fault or the phase"
    )
    for_s: PositiveSeconds | None = Field(None, alias="for", description="how long the fault stays")
    at_s: Seconds | None = Field(None, alias="at", description="instant of the run at which this step starts")

    @model_validator(mode="after")
    def _one_thing(self) -> Step:
        things = [n for n in ("steady_s", "recovery_s", "wait_s", "fault", "heal") if getattr(self, n) is not None]
        if len(things) != 1:
            raise ValueError("a step says one thing: steady, fault, heal, recovery or wait")
        if self.for_s is not None and self.fault is None:
            raise ValueError("for belongs to a fault; a phase has its length behind its own name: steady: 3s")
        return self


def _promise_tag(value: Any) -> str | None:
    if isinstance(value, Expectation):
        return value.promise.check
    if isinstance(value, dict) and len(value) == 1:
        return str(next(iter(value)))
    return None


class Expectation(Words):
    """One line of `expect`: a single key, the check's name, over its promise. Made by `expectation_model`."""

    @property
    def promise(self) -> Promise:
        return next(getattr(self, name) for name in type(self).model_fields)  # type: ignore[no-any-return]


def _expectation_model(name: str, promise: type[Promise]) -> type[Expectation]:
    from pydantic import create_model

    made = create_model(  # type: ignore[call-overload]
        f"Expect{promise.__name__}",
        __base__=Expectation,
        __doc__=promise.summary,
        **{name: (promise, Field(description=promise.summary))},
    )
    return cast("type[Expectation]", made)


EXPECTATIONS = {name: _expectation_model(name, promise) for name, promise in PROMISES.items()}
if TYPE_CHECKING:
    AnyExpectation = Expectation
else:
    AnyExpectation = _union(dict(EXPECTATIONS), _promise_tag)


def expectation(promise: Promise) -> Expectation:
    """Wrap a promise made in Python as a line of `expect`."""
    return EXPECTATIONS[promise.check](**{promise.check: promise})


class Scenario(Words):
    """One scenario file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$", description="lower case, digits and hyphens")
    system: str = Field(pattern=r"\S", description="path of the Compose file, relative to this file")
    tags: tuple[str, ...] = Field((), description="for -k and for reports; `quick` is run by make demo")
    seed: int = Field(1, ge=0, description="draws of arrivals, data and shares all come from it")
    with_: dict[str, dict[str, str | int | float | bool]] = Field(
        default_factory=dict, alias="with", description="service -> environment values set for this scenario"
    )
    alone: bool = Field(
        False, description="needs the machine to itself: neither -j N nor pytest -n runs another beside it"
    )
    load: Load
    timeline: tuple[Step, ...] = Field(min_length=1, description="what happens, in order")
    expect: tuple[AnyExpectation, ...] = Field(min_length=1, description="the promises")
    outcome: Literal["pass", "fail", "inconclusive"] = Field("pass", description="what the run has to end in")
    because: str | None = Field(None, description="the check (or receipt) that has to be the cause of the outcome")
