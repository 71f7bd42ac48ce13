"""
The same runs in Python, for people who prefer tests to YAML.

    def test_a_slow_payment_is_shed(shop):
        with shop.load("checkout", arrivals="40/s"), shop.fault(fault.latency("order->payment", "2s")) as slow:
            shop.wait("5s")
        shop.expect(promise.availability(of="POST /orders", at_least="99%", during=slow))

The faults and promises are those of scenario files; so are receipts, verdicts and reports. `shop` is a fixture made by
`system_fixture`, or by hand: `with live_system("compose/shop.yaml", name="my-test") as shop: ...`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from harness import units
from harness.clock import NS_PER_S, SystemClock
from harness.errors import HarnessError, InputError
from harness.faults import build as fault
from harness.faults.base import Fault
from harness.progress import Silent, View
from harness.run.options import RunOptions, from_pytest
from harness.scenario.promises import PROMISES, Promise
from harness.verdict import RunVerdict, Verdict

if TYPE_CHECKING:
    from harness.run.session import Session
    from harness.scenario.model import Load

__all__ = ["LiveSystem", "Unearned", "fault", "live_system", "promise"]

TICK_S = 0.05


class Unearned(AssertionError):
    """The promises were not kept, or keeping them could not be shown. Carries the verdict."""

    def __init__(self, text: str, verdict: RunVerdict) -> None:
        super().__init__(text)
        self.verdict = verdict


def _maker(model: type[Promise]) -> Callable[..., Promise]:
    def make(**words: Any) -> Promise:
        names = {"from_": "from", "except_": "except"}
        return model.model_validate({names.get(key, key): value for key, value in words.items()})

    make.__doc__ = f"{model.summary.capitalize()}. As in YAML: {model.example}"
    return make


promise = SimpleNamespace(**{name: _maker(model) for name, model in PROMISES.items()})
"""One maker a check: `promise.availability(of="POST /orders", at_least="99%", during="slow")`."""


class LiveSystem:
    """A started system in a test's hands. Made by `live_system`; one load, any number of faults, one `expect`."""

    def __init__(self, session: Session, system_file: Path, options: RunOptions, with_: Mapping[str, Any]) -> None:
        self._session = session
        self._system_file = system_file
        self._options = options
        self._with = with_
        self._load: Load | None = None
        self._profile: str | None = None
        self._steps: list[dict[str, Any]] = []
        self._names: set[str] = set()
        self._clock = SystemClock()
        self.verdict: RunVerdict | None = None

    @contextmanager
    def load(
        self, profile: str | None = None, *, steady: str = "3s", recovery: str = "3s", **words: Any
    ) -> Iterator[None]:
        """
        Load for as long as the block lasts: `steady` before the block begins, `recovery` after it.
        words: arrivals="40/s" or users=20, pattern, timeout ... as under `load:` in a scenario.
        Raises InputError for an unknown profile.
        """
        from harness.scenario.model import Load

        if self._load is not None:
            raise InputError("a run has one load; start another system for another load")
        profiles = self._session.setting.system.profiles
        if profile is None and len(profiles) == 1:
            profile = next(iter(profiles))
        if profile not in profiles:
            raise InputError(f"no profile {profile!r}", hint=f"the system declares: {', '.join(sorted(profiles))}")
        self._load, self._profile = Load.model_validate({"profile": profile, **words}), profile
        self._session.prepare_load(self._load, profile, None)
        self._session.begin_load()
        self.phase("steady", steady)
        yield
        self.phase("recovery", recovery)
        self._session.finish()

    @contextmanager
    def fault(self, what: Fault, name: str | None = None) -> Iterator[str]:
        """The fault is on inside the block; gives its name, to be used as `during=`."""
        name = self._unique(name or what.kind)
        start_s = self._elapsed_s()
        self._session.phase_started(name, "fault")
        try:
            self._session.inject(name, what, start_s)
            yield name
        finally:
            end_s = self._elapsed_s()
            self._session.heal(name, end_s)
            self._session.phase_ended(name, "fault")
            step = {"fault": what.model_dump(mode="json", exclude_none=True), "as": name, "at": f"{start_s:.6f}s"}
            self._steps.append(step | ({"for": f"{end_s - start_s:.6f}s"} if what.undoable else {}))

    def wait(self, span: str) -> None:
        """Let the load go on for a while: `shop.wait("5s")`."""
        self.phase("wait", span)

    def phase(self, kind: str, span: str) -> None:
        """A named stretch of time: steady, recovery or wait."""
        span_s = units.duration_s(span)
        if span_s <= 0:
            return
        name = self._unique(kind)
        self._session.phase_started(name, kind)
        end_ns = self._clock.now_ns() + round(span_s * NS_PER_S)
        while (left_s := (end_ns - self._clock.now_ns()) / NS_PER_S) > 0:
            self._session.check()
            self._session.show(name, self._elapsed_s(), self._elapsed_s() + left_s, left_s)
            self._clock.sleep_s(min(TICK_S * 5, left_s))
        self._session.phase_ended(name, kind)
        self._steps.append({kind: f"{span_s:.6f}s", "as": name})

    def expect(self, *promises: Promise) -> RunVerdict:
        """Take the system down, judge what was recorded; raises Unearned (an AssertionError) unless PASS."""
        from harness.report.plain import plain_text
        from harness.suite import judge_and_report

        if not promises:
            raise InputError("expect needs at least one promise; a run without one proves nothing")
        if self._load is None:
            raise InputError("nothing was loaded; use `with shop.load(...)` before expect")
        self._session.put(self._as_scenario(promises))
        self._session.close()
        self.verdict = judge_and_report(self._session.setting.run_dir, self._options.reports)
        if self.verdict.verdict is not Verdict.PASS:
            raise Unearned(plain_text(self.verdict, self._session.setting.run_dir), self.verdict)
        return self.verdict

    def _as_scenario(self, promises: tuple[Promise, ...]) -> dict[str, Any]:
        """What was done, as a scenario: so that a run from Python can be judged and read like any other."""
        from harness.scenario.model import Scenario, expectation

        assert self._load is not None
        steps = sorted(self._steps, key=lambda step: "at" in step)
        scenario = Scenario.model_validate(
            {
                "name": self._session.setting.name,
                "system": str(self._system_file),
                "seed": self._session.setting.seed,
                "with": self._with,
                "load": self._load.model_dump(mode="json", exclude_none=True),
                "timeline": steps,
                "expect": [expectation(p).model_dump(mode="json", exclude_none=True) for p in promises],
            }
        )
        return {"scenario": scenario.model_dump(mode="json", exclude_none=True), "scenario_text": ""}

    def _elapsed_s(self) -> float:
        t0_ns = self._session.t0_ns
        if t0_ns is None:
            raise InputError("no load is on; faults belong inside `with shop.load(...)`")
        return max(0.0, (self._clock.now_ns() - t0_ns) / NS_PER_S)

    def _unique(self, name: str) -> str:
        free, number = name, 1
        while free in self._names:
            number += 1
            free = f"{name}-{number}"
        self._names.add(free)
        return free


@contextmanager
def live_system(
    system: str | Path, *, name: str, with_: Mapping[str, Mapping[str, Any]] | None = None, seed: int = 1,
    options: RunOptions | None = None, view: View | None = None,
) -> Iterator[LiveSystem]:  # fmt: skip
    """
    Start the system of a Compose file; take it down at the end whatever happens.
    with_ sets environment values of services for this run. Raises HarnessError.
    """
    from harness.run.facts import run_id_of
    from harness.run.session import Session, Setting
    from harness.system.compose_file import read_system

    options = options or RunOptions()
    file = Path(system).resolve()
    described = read_system(file)
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "run"
    run_id = run_id_of(label)
    environment = {
        service: {key: _text(value) for key, value in values.items()} for service, values in (with_ or {}).items()
    }
    unknown = sorted(set(environment) - set(described.services))
    if unknown:
        raise InputError(f"with_ names no service of the system: {', '.join(unknown)}")
    setting = Setting(
        name=label, system=described, environment=environment, seed=seed if options.seed is None else options.seed,
        run_id=run_id, run_dir=(options.reports / run_id).resolve(), backend=options.backend,
    )  # fmt: skip
    with Session(setting, view=view or Silent(), clock=SystemClock(), sources=frozenset({"bulkhead"})) as session:
        yield LiveSystem(session, file, options, with_ or {})


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def system_fixture(system: str | Path, **words: Any) -> Any:
    """
    A pytest fixture that starts a system for each test that asks for it, in a conftest.py:

        shop = system_fixture(Path(__file__).parent.parent / "compose/shop.yaml")

    words as for live_system. Raises HarnessError at set-up.
    """
    import pytest

    @pytest.fixture(name="shop")
    def started(request: pytest.FixtureRequest) -> Iterator[LiveSystem]:
        options = from_pytest(request.config.getoption)
        with live_system(system, name=request.node.name, options=options, **words) as live:
            yield live
            if live.verdict is None:
                raise HarnessError("the test ended without shop.expect(...): nothing was judged")

    return started
