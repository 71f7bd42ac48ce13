"""A desk over a session that only remembers, for tests of what people's hands do."""

from __future__ import annotations

import json
import threading

from journals import AVAILABLE, shop

from harness.clock import FakeClock
from harness.live.desk import Desk
from harness.live.header import Header
from harness.scenario.model import Load

SYSTEM = shop(objectives=(AVAILABLE,))


class Recorder:
    def __init__(self):
        self.events = []

    def emit(self, kind, subject, data):
        self.events.append((kind, subject, json.loads(json.dumps(data))))


class Session:
    """Answers what a desk asks of a session; `refuse` makes a fault fail."""

    def __init__(self, clock):
        self.t0_ns = clock.now_ns()
        self.recorder = Recorder()
        self.facts = {}
        self.on = []
        self.refuse = None
        self.lock = threading.Lock()

    def inject(self, name, fault, declared_s):
        if self.refuse is not None:
            raise self.refuse
        self.recorder.emit("fault.injected", name, {"declared_s": declared_s})
        self.on.append(name)

    def heal(self, name, declared_s):
        self.recorder.emit("fault.healed", name, {"declared_s": declared_s})
        self.on.remove(name)

    def phase_started(self, name, kind, declared_s):
        self.recorder.emit("phase.started", name, {"kind": kind, "declared_s": declared_s})

    def phase_ended(self, name, kind, declared_s):
        self.recorder.emit("phase.ended", name, {"kind": kind, "declared_s": declared_s})

    def put(self, facts):
        self.facts.update(facts)

    def check(self):
        pass

    def show(self, *_):
        pass


def header(**more):
    load = Load.model_validate({"arrivals": "40/s"})
    return Header(**{"name": "rehearsal", "system": SYSTEM, "load": load, "profile": "checkout", **more})


def desk_on(floors=(), **more):
    """(desk, its session, the clock they share)."""
    clock = FakeClock()
    session = Session(clock)
    desk = Desk(header(**more), tuple(floors), clock)
    desk.begin(session)
    return desk, session, clock
