"""A small drill that is right, to be spoilt line by line, and a journal of a run of one."""

from __future__ import annotations

from journals import AVAILABLE, LEDGER, ORDERS, USERS, Run, at, scenario, shop

from harness.drill.compile import compile_run
from harness.drill.file import parse_drill
from harness.drill.replay import cues_of, drill_facts, plan_of
from harness.run.conductor import instants

SYSTEM = shop(objectives=(AVAILABLE,), ledgers=(LEDGER,))

DRILL = """\
# A slow payment, and people who notice.
name: payment-slow
system: shop.yaml
goal: To see who notices.
hypotheses: [The breaker opens.]
roles:
  on-call: decides
  desk: speaks for payment
objectives:
  incident: slow
  detection: 20s
  rto: 60s
  rpo: {ledger: orders, at_most: 0s}
abort:
  - {slo: orders-available, below: 70%, over: 5s}
load: {profile: checkout, arrivals: 40/s}
script:
  - steady: 3s
  - fault: {toxic: latency, link: order->payment, latency: 2s}
    as: slow
    for: 60s
  - step: notice
    role: on-call
    prompt: Name the link.
    limit: 30s
    marks: detected
  - step: repair
    role: desk
    prompt: Heal it.
    limit: 30s
    missed: heal
    does: [{heal: slow}]
  - recovery: 5s
expect:
  - availability: {of: POST /orders, at_least: 99%, during: slow}
"""

RECORDED = """\
name: payment-slow
system: shop.yaml
roles: {on-call: decides}
load: {profile: checkout, arrivals: 40/s}
script:
  - {at: 0s, steady: 3s, as: steady}
  - {at: 3s, fault: {toxic: latency, link: order->payment, latency: 200ms}, as: slow, for: 6s, by: ana, healed_by: ben}
  - {at: 3.5s, step: notice, role: on-call, prompt: Name it., limit: 30s, marks: detected, answer: {said: done, at: 5s, by: ana}}
  - {at: 4s, note: 'who is paged?', by: ben}
  - {at: 9s, recovery: 6s, as: recovery}
expect:
  - availability: {of: POST /orders, at_least: 99%}
"""


def drill(tmp_path, text=DRILL):
    """The drill of a text, on the small system."""
    return parse_drill(text, tmp_path / "drill.yaml", SYSTEM)


def played(loaded, *, late_s=0.004, spoil=None):
    """
    The journal that the conductor would write of a recorded drill, each event a little late; a builder to add to.
    spoil(number) gives what is special about a request; even ones are orders.
    """
    plan = plan_of(loaded)
    run = Run(scenario(), SYSTEM, seconds=plan.duration_s)
    run.facts |= {
        "scenario": plan.scenario.model_dump(mode="json", exclude_none=True), "plan": plan.summary(),
        "drill": drill_facts(loaded), "wall_anchor": {"monotonic_ns": at(0), "epoch_ns": 1_750_000_000 * 10**9},
        "machine": {"system": "here", "cores": 2}, "harness": "1",
    }  # fmt: skip
    for instant in instants(plan, list(cues_of(loaded))):
        second = instant.at_s + late_s
        if instant.what == "cue":
            run.event(second, instant.kind, instant.name, **instant.data)
        elif instant.what.startswith("phase"):
            run.event(second, instant.what, instant.name, kind=instant.kind, declared_s=instant.at_s)
        else:
            first, then = ("injecting", "injected") if instant.what == "inject" else ("healing", "healed")
            run.event(second, f"fault.{first}", instant.name, declared_s=instant.at_s)
            run.event(second + 0.002, f"fault.{then}", instant.name, declared_s=instant.at_s)
    run.load(0, plan.duration_s, spoil=lambda n: {"name": (ORDERS, USERS)[n % 2]} | (spoil(n) if spoil else {}))
    run.crossings(0, 3).crossings(3.01, 9, span_ms=205).crossings(9.01, 15)
    return run


def compiled(run_dir, folder):
    """The text of a compiled run."""
    return compile_run(run_dir).text(folder)
