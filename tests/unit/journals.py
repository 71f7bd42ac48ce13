"""
A builder of synthetic journals, for tests of judges: a run as it would have been written, without running anything.

Times are seconds since the start of the load. What is not said goes well: requests are answered quickly, the load is
on time, the run finishes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.clock import NS_PER_MS, NS_PER_S
from harness.journal import FILE_NAME
from harness.journal.writer import JournalWriter
from harness.scenario.model import Scenario
from harness.system.model import Ledger, Objective, Profile, RequestTemplate, Service, System, SystemLink

T0_NS = 1_000 * NS_PER_S
ORDERS = "POST /orders"
USERS = "GET /users"
LINK = "order->payment"
ENTRY = "load->order"
ENTRY_LAG_NS = 200_000  # from the load to the gate


def at(second: float) -> int:
    """The stamp of a second of the run."""
    return T0_NS + round(second * NS_PER_S)


def shop(objectives: Sequence[Objective] = (), ledgers: Sequence[Ledger] = ()) -> System:
    """A small system: load -> order -> payment."""
    services = {
        name: Service(
            name=name, command=("run", name), environment={}, port=8000, working_dir=None, health=None, depends_on={}
        )
        for name in ("order", "payment")
    }
    requests = tuple(
        RequestTemplate(name=name, weight=1, to="order", method=name.split()[0], path=name.split()[1])
        for name in (ORDERS, USERS)
    )
    return System(
        name="shop",
        file=Path("compose/shop.yaml"),
        services=services,
        links=(
            SystemLink(client="load", upstream="order", port=8000),
            SystemLink(client="order", upstream="payment", port=8000),
        ),
        profiles={"checkout": Profile(name="checkout", requests=requests, data={})},
        objectives=tuple(objectives),
        ledgers=tuple(ledgers),
    )


AVAILABLE = Objective(name="orders-available", indicator="availability", of=ORDERS, target=0.99)
QUICK = Objective(name="orders-quick", indicator="latency", of=ORDERS, target=0.95, limit_s=0.5)
LEDGER = Ledger(name="orders", service="order", path="/ledger", asked_by=ORDERS, acknowledged=(201,))


def scenario(
    *expect: dict[str, Any],
    fault: dict[str, Any] | None = None,
    timeline: list[dict[str, Any]] | None = None,
    **more: Any,
) -> Scenario:
    """A scenario with these promises; a fault is on from 3 s to 9 s of 15 s."""
    steps: list[dict[str, Any]] = timeline or [{"steady": "3s"}, {"recovery": "12s"}]
    if fault is not None:
        steps = [{"steady": "3s"}, {"fault": fault, "as": "slow", "for": "6s"}, {"recovery": "6s"}]
    data = {
        "name": "synthetic",
        "system": "shop.yaml",
        "load": {"arrivals": "40/s"},
        "timeline": steps,
        "expect": list(expect) or [{"availability": {"at_least": "99%"}}],
        **more,
    }
    return Scenario.model_validate(data)


LATENCY = {"toxic": "latency", "link": LINK, "latency": "200ms"}


class Run:
    """One run being written. `write` returns its folder."""

    def __init__(
        self, written: Scenario, system: System | None = None, *, seconds: float = 15.0, seed: int = 7
    ) -> None:
        self.rows: dict[str, list[Sequence[object]]] = {}
        self.random = random.Random(seed)
        self.seconds = seconds
        self.scenario = written
        self.system = system or shop()
        self.ended: dict[str, Any] = {"cpu_share_max": 0.3}
        self.how: str | None = "finished"
        self.gate: dict[str, Any] | None = {"p99_ms": 0.3, "rows_lost": 0}
        self._exchanges: dict[int, int] = {}
        self.event(-0.5, "run.started", "run-1")
        self.event(-0.25, "load.started", "load", t0_ns=T0_NS, self_test={"ok": True})
        self.facts: dict[str, Any] = {
            "run": "run-1",
            "seed": 1,
            "t0_ns": T0_NS,
            "scenario": written.model_dump(mode="json", exclude_none=True),
            "system": self.system.to_json(),
            "plan": {"duration_s": seconds, "faults": [], "phases": []},
        }
        for service in self.system.services:
            self.event(-0.4, "service.started", service, pid=self.pid(service), started_at=1.0)
            self.event(-0.3, "service.ready", service, pid=self.pid(service), started_at=1.0)

    @staticmethod
    def pid(service: str) -> int:
        return 100 + len(service)

    def add(self, table: str, *values: object) -> None:
        self.rows.setdefault(table, []).append(values)

    def event(self, second: float, kind: str, subject: str, /, **data: Any) -> Run:
        self.add("events", at(second), kind, subject, json.dumps(data))
        return self

    def trace(self) -> str:
        return f"{self.random.getrandbits(128):032x}"

    def request(
        self, second: float, *, name: str = ORDERS, latency_ms: float | None = 10, status: int = 201,
        error: str | None = None, late_ms: float | None = 0.2, fallback: str | None = None, key: str | None = None,
        trace: str | None = None, crosses: int = 1,
    ) -> Run:  # fmt: skip
        """One request; latency None: no end, late None: never sent. An error makes it bad. crosses: rows on its link."""
        intended = at(second)
        start = None if late_ms is None else intended + round(late_ms * NS_PER_MS)
        end = None if latency_ms is None else intended + round(latency_ms * NS_PER_MS)
        ok = int(error is None)
        status = 0 if error is not None and not error.startswith("status") else status
        trace = trace or self.trace()
        self.add("requests", name, intended, start, end, status, ok, error, 10, trace, key, fallback)
        for _ in range(crosses if start is not None else 0):
            ending = "answered" if status else "client_gone"
            self._wire(ENTRY, 0, name, trace, (start or 0) + ENTRY_LAG_NS, end, status, ending, "", 1)
        return self

    def load(
        self,
        start: float,
        end: float,
        rate: float = 40,
        *,
        spoil: Callable[[int], dict[str, Any]] | None = None,
        **same: Any,
    ) -> Run:
        """Requests at an even rate; spoil(number) gives what is special about one of them."""
        for number in range(round((end - start) * rate)):
            special = spoil(number) if spoil is not None else {}
            latency_ms = 10 + self.random.random() * 4
            self.request(start + number / rate, **{"latency_ms": latency_ms, **same, **special})
        return self

    def exchange(
        self, second: float, *, link: str = LINK, span_ms: float | None = 5, status: int = 200, ending: str = "answered",
        trace: str | None = None, path: str = "/payments", faults: str = "", in_flight: int = 1, connection: int = 1,
    ) -> Run:  # fmt: skip
        """One row of the wire."""
        arrived = at(second)
        ended = None if span_ms is None else arrived + round(span_ms * NS_PER_MS)
        status = status if ending == "answered" else 0
        self._wire(
            link, connection, f"POST {path}", trace or self.trace(), arrived, ended, status, ending, faults, in_flight
        )
        return self

    def _wire(
        self, link: str, connection: int, name: str, trace: str, arrived: int, ended: int | None, status: int,
        ending: str, faults: str, in_flight: int,
    ) -> None:  # fmt: skip
        """A row of the wire; the exchanges of a connection are numbered from 1 up, as the gate does."""
        self._exchanges[connection] = exchange = self._exchanges.get(connection, 0) + 1
        method, _, path = name.partition(" ")
        head = ended if ending == "answered" else None
        self.add(
            "wire", link, connection, exchange, method, path, trace, arrived, arrived + 1000, head, ended, status,
            100, 100, ending, faults, in_flight,
        )  # fmt: skip

    def crossings(
        self,
        start: float,
        end: float,
        rate: float = 40,
        *,
        spoil: Callable[[int], dict[str, Any]] | None = None,
        **same: Any,
    ) -> Run:
        """Exchanges at an even rate."""
        for number in range(round((end - start) * rate)):
            special = spoil(number) if spoil is not None else {}
            span_ms = 5 + self.random.random() * 2
            self.exchange(start + number / rate + 0.001, **{"span_ms": span_ms, **same, **special})
        return self

    def fault(self, start: float = 3.0, end: float | None = 9.0, name: str = "slow") -> Run:
        """The calls that switch a fault on and off."""
        self.event(start, "fault.injecting", name)
        self.event(start + 0.002, "fault.injected", name)
        self.event(start, "phase.started", name, kind="fault")
        if end is not None:
            self.event(end, "phase.ended", name, kind="fault")
            self.event(end, "fault.healing", name)
            self.event(end + 0.002, "fault.healed", name)
        return self

    def slow_fault(self, delay_ms: float = 200) -> Run:
        """The latency fault from 3 s to 9 s, as the wire shows it, with a healthy stretch before and after."""
        self.fault()
        self.crossings(0, 3).crossings(3.003, 9, span_ms=5 + delay_ms).crossings(9.003, self.seconds)
        return self

    def look(
        self, second: float, state: str = "CLOSED", *, refused: int = 0, service: str = "order", ok: int = 1
    ) -> Run:
        """One look at the actuator of a service."""
        rate = {"OPEN": "60.0%", "CLOSED": "0.0%"}.get(state, "-1.0%")
        data = {
            "breakers": {"payment": state},
            "not_permitted": {"payment": refused},
            "failure_rates": {"payment": rate},
        }
        self.add("probes", at(second), "actuator", service, ok, json.dumps(data))
        return self

    def breaker(self, *changes: tuple[float, str]) -> Run:
        """A breaker's life, closed at first: transitions (second, state), and a look every 0.2 s."""
        state = "CLOSED"
        for second, after in changes:
            data = json.dumps({"stateTransition": f"{state}_TO_{after}"})
            stamp = at(second)
            self.add(
                "app_events", stamp, stamp + NS_PER_MS, "order", "circuitbreaker", "payment", "STATE_TRANSITION", data
            )
            state = after
        for number in range(round(self.seconds * 5) + 1):
            second = number / 5
            now = [after for when, after in changes if when <= second]
            self.look(second, now[-1] if now else "CLOSED")
        return self

    def write(self, folder: Path) -> Path:
        """Write the journal; the load is on time and the run finishes unless told otherwise."""
        folder.mkdir(parents=True, exist_ok=True)
        requests = self.rows.get("requests", [])
        intended = len(requests)
        sent = sum(row[2] is not None for row in requests)
        ended = {"intended": intended, "sent": sent, "dropped": intended - sent, **self.ended}
        self.event(self.seconds + 0.5, "load.ended", "load", **ended)
        if self.gate is not None:
            self.event(self.seconds + 0.8, "gate.ended", "gate", **self.gate)
        if self.how is not None:
            self.event(self.seconds + 1, "run.ended", "run-1", how=self.how)
        writer = JournalWriter(folder / FILE_NAME)
        try:
            writer.put(self.facts)
            writer.append(self.rows)
        finally:
            writer.close()
        return folder
