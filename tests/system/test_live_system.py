"""A system kept up: hurt and healed from other terminals, healed by its floor, gone without a trace when killed."""

from __future__ import annotations

import json
import sqlite3

import psutil
import pytest
from live_rig import SHOP, Living, wait_until

from harness.clock import NS_PER_S

pytestmark = [pytest.mark.system, pytest.mark.slow]

HEALED_WITHIN_S = 1.0
BELOW, OVER_S, LEAST = 0.6, 2, 20  # the floor; LEAST is a floor's own default
TRIES = 3


@pytest.fixture
def living(tmp_path):
    made = Living(tmp_path)
    yield made
    made.end()


def events(run_dir, *kinds):
    """(t_ns, kind, subject, data) of a journal that may still be written."""
    db = sqlite3.connect(f"file:{run_dir / 'journal.db'}?mode=ro", uri=True)
    rows = db.execute("SELECT t_ns, kind, subject, data FROM events ORDER BY t_ns, id").fetchall()
    db.close()
    return [(t_ns, kind, subject, json.loads(data)) for t_ns, kind, subject, data in rows if kind in kinds]


def fell_ns(run_dir, before_ns):
    """When orders last fell below the floor, by the journal's own requests: the end of the one that did it."""
    db = sqlite3.connect(f"file:{run_dir / 'journal.db'}?mode=ro", uri=True)
    sql = "SELECT end_ns, ok FROM requests WHERE name = 'POST /orders' AND end_ns < ? ORDER BY end_ns"
    rows = db.execute(sql, (before_ns,)).fetchall()
    db.close()
    recent, was_below, fell = [], False, None
    for end_ns, ok in rows:
        recent = [one for one in recent if one[0] >= end_ns - OVER_S * NS_PER_S] + [(end_ns, ok)]
        if len(recent) >= LEAST:
            below = sum(ok for _, ok in recent) / len(recent) < BELOW
            fell = end_ns if below and not was_below else fell
            was_below = below
    assert fell is not None, "orders never were below the floor"
    return fell


def test_a_system_is_kept_up_in_peoples_hands(living):
    """Leases, notes and a floor that heals within a second; a killed `watch` leaves all as it was; `down` ends it."""
    living.up("--abort", f"orders-available < {BELOW:.0%} over {OVER_S}s", "--arrivals", "30/s", "--name", "kept-up")
    living.harness("inject", "latency order->user 50ms", "--for", "1s", "--as", "brief", "--by", "ana")
    told = living.harness("inject", "latency order->usr 50ms", code=2)
    assert "did you mean 'order->user'?" in told
    living.harness("note", "who | was <paged>?", "--by", "ben")

    watch = living.spawn("watch", "--plain")
    wait_until(lambda: living.status()["elapsed_s"] > 3, "it has lived for a while")
    living.harness("inject", "latency order->user 20ms", "--for", "10m", "--as", "stays", "--by", "ana")
    watch.kill()
    watch.wait(10)
    assert [fault["name"] for fault in living.status()["faults"]] == ["stays"]
    living.harness("heal", "stays")

    late_s = [abort_once(living) for _ in range(TRIES)]
    assert min(late_s) <= HEALED_WITHIN_S, late_s  # a busy machine may spoil one, not each

    living.harness("down")
    assert living.processes() == []
    assert living.register() == []
    assert not (living.run_dir / "live.json").exists()
    assert [subject for _, _, subject, _ in events(living.run_dir, "lease.ended")] == ["brief"]
    assert "who \\| was &lt;paged>?" in report_of(living)


def report_of(living):
    living.harness("drill", "report", living.run_dir, code=None)
    return (living.run_dir / "drill.md").read_text("utf-8")


def abort_once(living):
    """Break every order until the floor gives way; how many seconds after that all is healed."""
    seen = len(events(living.run_dir, "abort"))
    living.harness("inject", "latency order->product 30ms", "--for", "1m", "--as", "beside")
    living.harness("inject", "status load->order 500 path=/orders*", "--for", "1m", "--as", "broken")
    wait_until(lambda: len(events(living.run_dir, "abort")) > seen, "the floor gives way", 60)
    wait_until(lambda: living.status()["faults"] == [], "all is healed")
    t_ns, _, subject, _ = events(living.run_dir, "abort")[-1]
    wait_until(lambda: healed_after(living, t_ns - NS_PER_S), "it is in the journal")
    healed = healed_after(living, t_ns - NS_PER_S)
    assert subject == "orders-available"
    assert {name.partition("-")[0] for name in healed} == {"beside", "broken"}
    wait_until(lambda: living.status()["requests"][-1]["good"] == 1.0, "orders are well again", 60)
    return (max(healed.values()) - fell_ns(living.run_dir, t_ns)) / NS_PER_S


def healed_after(living, since_ns):
    found = {s: t for t, _, s, _ in events(living.run_dir, "fault.healed") if t >= since_ns}
    return found if len(found) >= 2 else {}


def test_a_killed_system_leaves_nothing_on(living):
    """`kill -9` of `harness up`, with faults on: no process, no register, and a journal that can be compiled."""
    living.up("--arrivals", "20/s", "--name", "killed")
    wait_until(lambda: living.status()["elapsed_s"] > 2, "it has lived for a while")
    living.harness("inject", "latency order->payment 200ms", "--for", "10m", "--as", "slow", "--by", "ana")
    living.harness("inject", "pause product", "--for", "10m", "--by", "ana")
    wait_until(lambda: len(living.status()["faults"]) == 2, "both are on")
    assert len(living.processes()) > 5

    psutil.Process(living.pid).kill()

    wait_until(lambda: not living.processes(), "every process of it is gone")
    wait_until(lambda: not living.register(), "it is struck off the register")
    assert "no system is up" in living.harness("status", code=2)
    text = living.harness("drill", "compile", living.run_dir)
    assert "as: slow" in text
    assert "process: pause, service: product" in text


def test_a_drill_is_held_against_its_system_first(living, tmp_path):
    """Nothing is started for a drill that names a link the system lacks."""
    path = tmp_path / "drill.yaml"
    path.write_text(
        f"name: wrong\nsystem: {SHOP}\nload: {{profile: checkout, arrivals: 5/s}}\nscript:\n"
        "  - {at: 0s, steady: 1s}\n  - {at: 1s, fault: {proxy: down, link: order->stock}, for: 1s}\n"
    )

    told = living.harness("drill", "replay", path, code=2)

    assert f"{path}:6: link is 'order->stock', which the system does not have" in told
