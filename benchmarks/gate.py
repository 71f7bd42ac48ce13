"""
How often `harness compare` is wrong, on recorded real runs, beside the naive comparisons that it replaces.

    python benchmarks/gate.py [--draws 1000] [--rows FILE]
    python benchmarks/gate.py --record 20 --rows mine.jsonl     # 3 runs a block, about a minute each

The rows are of three versions, interleaved in random order: A, A again, and A with the payment service 20 % slower
(benchmarks/gate.yaml: charges of 100 and 120 ms). Nothing is recorded anew unless asked for. A draw takes pairs of runs
that are neighbours in time, in random order, and swaps old and new at random where both are A; changes that no version
has are put on one side of A/A pairs: p95 times 1.2 and 1.5, one point of availability. Tables, and a JSON line each:
- noise between runs by how late the load was sent;
- false alarms, detection and pairs needed of the harness's rule;
- the same of comparing one run with one, medians of five, all requests in one pot, and old runs first.

Draws share their runs, so a rate is about these runs and its last digit is soft. Ends with 1 when A/A is called
different in more than 1 % of draws, or when changes are missed although the noise is low enough and the pairs are
enough to see them; with 3 when the pairs are too few to tell.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.comparison.looks import look, pairs_needed
from harness.comparison.rules import LATEST_MS, Rules, late, rules_of
from harness.errors import HarnessError
from harness.slis import Row, Sli
from harness.verdict import Verdict

HERE = Path(__file__).resolve().parent
ROWS = HERE / "gate_runs.jsonl"
SCENARIO = HERE / "gate.yaml"
SLOWER = "with.payment.SHOP_CHARGE_TIME=120ms"
ORDERS = "POST /orders"
VERSIONS = ("A1", "A2", "S")
LOW_NOISE = 0.14  # of log p95: up to there a comparison has to see +20 %
MOST_FALSE_ALARMS, LEAST_DETECTED = 0.01, 0.95


@dataclass(frozen=True, slots=True)
class Recorded:
    """One run: which version it was of, its row, and the latencies of its orders (ms), if they were kept."""

    version: str
    row: Row
    orders_ms: tuple[float, ...]

    @property
    def base(self) -> bool:
        return self.version != "S"


Pair = tuple[Recorded, Recorded]


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[object]], document: dict[str, object]) -> None:
    table = Table(title=title, title_justify="left")
    for word in header:
        table.add_column(word)
    for row in rows:
        table.add_row(*map(str, row))
    Console(width=110).print(table)
    print(json.dumps(document), flush=True)


# -- recording -------------------------------------------------------------------------------------------------


def record(blocks: int, file: Path) -> None:
    """Run A, A and the slower version in random order, so many times; every run is kept, the late ones too."""
    from harness.progress import Silent
    from harness.run.options import RunOptions
    from harness.suite import run_one

    done = len(file.read_text().splitlines()) if file.exists() else 0
    for block in range(blocks):
        order = list(VERSIONS)
        random.Random(done + block).shuffle(order)
        for version in order:
            with tempfile.TemporaryDirectory() as folder:
                options = RunOptions(
                    reports=Path(folder), retry_busy=0, seed=done + block + 1, overrides=(SLOWER,) * (version == "S")
                )
                result = run_one(SCENARIO, options, Silent())
                if result.error is not None or result.run_dir is None:
                    raise SystemExit(f"a run could not be made: {result.error}")
                keep(file, version, result.run_dir)
        print(f"block {block + 1} of {blocks} is recorded", flush=True)


def keep(file: Path, version: str, run_dir: Path) -> None:
    from harness.journal.reader import JournalReader
    from harness.slis import read_row

    sql = "SELECT end_ns - intended_ns FROM requests WHERE name = ? AND ok AND end_ns IS NOT NULL"
    with JournalReader(run_dir) as reader:
        orders_ms = sorted(round(span_ns / 1e6, 1) for (span_ns,) in reader.rows(sql, [ORDERS]))
    with file.open("a") as out:
        out.write(json.dumps({"version": version, "orders_ms": orders_ms, **read_row(run_dir).to_json()}) + "\n")


def load(file: Path) -> list[Recorded]:
    """All recorded runs in order of time."""
    found = []
    for line in file.read_text().splitlines():
        document = json.loads(line)
        version, orders_ms = document.pop("version"), tuple(document.pop("orders_ms", None) or ())
        found.append(Recorded(version, Row.from_json(document), orders_ms))
    return sorted(found, key=lambda one: one.row.started_s)


# -- pairs and draws -------------------------------------------------------------------------------------------


def neighbours(runs: Sequence[Recorded]) -> list[Pair]:
    """A/A pairs: each run of A with the next one, every run in one pair."""
    own = [one for one in runs if one.base]
    return list(zip(own[::2], own[1::2], strict=False))


def against_slower(runs: Sequence[Recorded]) -> list[Pair]:
    """Each run of the slower version with the nearest run of A that has no partner yet."""
    free = [one for one in runs if one.base]
    found = []
    for slow in (one for one in runs if not one.base):
        if free:
            partner = min(free, key=lambda one: abs(one.row.started_s - slow.row.started_s))
            free.remove(partner)
            found.append((partner, slow))
    return found


def drawn(pairs: Sequence[Pair], count: int, random_: random.Random) -> list[tuple[Row, Row]]:
    """So many pairs in random order; where both are A, old and new at random."""
    found = []
    for old, new in random_.sample(list(pairs), count):
        swap = new.base and random_.random() < 0.5
        found.append((new.row, old.row) if swap else (old.row, new.row))
    return found


def changed(row: Row, change: Callable[[Sli], Sli]) -> Row:
    return replace(row, slis={name: change(sli) for name, sli in row.slis.items()})


def slower(factor: float) -> Callable[[Row, random.Random], Row]:
    """p95 of every request, times a factor."""
    return lambda row, _: changed(row, lambda sli: replace(sli, p95_ms=sli.p95_ms and factor * sli.p95_ms))


def less_available(row: Row, random_: random.Random) -> Row:
    """One request in a hundred more is bad."""

    def worse(sli: Sli) -> Sli:
        more = sum(random_.random() < 0.01 for _ in range(sli.good))
        return replace(sli, bad=sli.bad + more, good=sli.good - more)

    return changed(row, worse)


def same(row: Row, _: random.Random) -> Row:
    return row


@dataclass(frozen=True, slots=True)
class Rates:
    """What became of all draws of one kind."""

    name: str
    fail: float
    inconclusive: float
    passed: float
    pairs: float


def rates(
    name: str, pairs: Sequence[Pair], change: Callable[[Row, random.Random], Row], draws: int, rules: Rules
) -> Rates:
    """Draw comparisons and let the rule decide each, look by look."""
    random_ = random.Random(name)
    ends = dict.fromkeys(Verdict, 0)
    used = 0
    for _ in range(draws):
        chosen = [(old, change(new, random_)) for old, new in drawn(pairs, rules.most_pairs, random_)]
        verdict, count = decided(chosen, rules)
        ends[verdict] += 1
        used += count
    return Rates(
        name, ends[Verdict.FAIL] / draws, ends[Verdict.INCONCLUSIVE] / draws, ends[Verdict.PASS] / draws, used / draws
    )


def decided(chosen: Sequence[tuple[Row, Row]], rules: Rules) -> tuple[Verdict, int]:
    for count, p_limit in rules.looks:
        last = count == rules.most_pairs
        found = look({"gate-orders": chosen[:count]}, rules, p_limit, last=last)["gate-orders"]
        if last or found.verdict is not Verdict.INCONCLUSIVE:
            return found.verdict, count
    raise AssertionError("the last look decides")


# -- naive comparisons -----------------------------------------------------------------------------------------


def p95(one: Recorded) -> float:
    value = one.row.slis[ORDERS].p95_ms
    assert value is not None
    return value


def one_with_one(old: Sequence[Recorded], new: Sequence[Recorded]) -> bool:
    return p95(new[0]) > 1.1 * p95(old[0])


def medians_of_five(old: Sequence[Recorded], new: Sequence[Recorded]) -> bool:
    return statistics.median(map(p95, new[:5])) > 1.1 * statistics.median(map(p95, old[:5]))


def any_sli_by_welch(old: Sequence[Recorded], new: Sequence[Recorded]) -> bool:
    """t of each p50 and p95 at 5 %, with ten runs a side and no word about how many are looked at."""
    for name in new[0].row.slis:
        for sli in ("p50_ms", "p95_ms"):
            sides = [[math.log(getattr(one.row.slis[name], sli) or 1) for one in side[:10]] for side in (old, new)]
            error = math.sqrt(sum(statistics.variance(side) / len(side) for side in sides)) or 1e-9
            if (statistics.fmean(sides[1]) - statistics.fmean(sides[0])) / error > 1.73:
                return True
    return False


def all_requests_in_one_pot(old: Sequence[Recorded], new: Sequence[Recorded]) -> bool:
    """Mann and Whitney's test over the requests of five runs a side, at 1 %: what canary judges do."""
    before = sorted(value for one in old[:5] for value in one.orders_ms)
    after = sorted(value for one in new[:5] for value in one.orders_ms)
    ranks: dict[float, list[int]] = {}
    for place, value in enumerate(sorted(before + after), 1):
        ranks.setdefault(value, []).append(place)
    mean_rank = {value: statistics.fmean(places) for value, places in ranks.items()}
    n, m = len(before), len(after)
    u = sum(mean_rank[value] for value in after) - m * (m + 1) / 2
    return (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12) > 2.33


NAIVE: dict[str, tuple[Callable[[Sequence[Recorded], Sequence[Recorded]], bool], int]] = {
    "one run with one, p95 +10 %": (one_with_one, 1),
    "medians of 5 runs, p95 +10 %": (medians_of_five, 5),
    "Welch's t at 5 % for each SLI, 10 runs": (any_sli_by_welch, 10),
    "Mann-Whitney at 1 % over all requests of 5 runs": (all_requests_in_one_pot, 5),
}


def naive_rate(name: str, pairs: Sequence[Pair], draws: int) -> float | None:
    """How often a naive comparison calls new worse; None where too few runs are there for it."""
    test, least = NAIVE[name]
    usable = [pair for pair in pairs if test is not all_requests_in_one_pot or all(one.orders_ms for one in pair)]
    if len(usable) < least:
        return None
    random_ = random.Random(name)
    hits = 0
    for _ in range(draws):
        chosen = random_.sample(usable, least)
        chosen = [pair[::-1] if pair[1].base and random_.random() < 0.5 else pair for pair in chosen]
        hits += test([old for old, _ in chosen], [new for _, new in chosen])
    return hits / draws


def old_first_then_new(runs: Sequence[Recorded], draws: int, count: int = 7) -> float | None:
    """The harness's own test, but a stretch of runs of A is called old and the stretch after it new."""
    own = [one.row for one in runs if one.base]
    starts = len(own) - 2 * count + 1
    if starts < 1:
        return None
    random_ = random.Random(7)
    hits = 0
    rules = Rules()
    for _ in range(draws):
        start = random_.randrange(starts)
        stretch = own[start : start + 2 * count]
        pairs = list(zip(stretch[:count], stretch[count:], strict=True))
        found = look({"gate-orders": pairs}, rules, rules.family_error, last=True)["gate-orders"]
        hits += found.verdict is Verdict.FAIL
    return hits / draws


# -- tables ----------------------------------------------------------------------------------------------------


def noise_table(runs: Sequence[Recorded]) -> None:
    """Noise of A between runs by the schedule error of its load."""
    edges = [(0, 3), (3, 5), (5, 6), (6, 7), (7, 8), (8, 10), (10, 20), (20, math.inf)]
    rows, found = [], []
    for low, high in edges:
        own = [one for one in runs if one.base and low <= (one.row.schedule_error_p99_ms or 0) < high]
        if len(own) < 2:
            continue
        deviation = statistics.stdev(math.log(p95(one)) for one in own)
        middle = statistics.median(map(p95, own))
        rows.append([f"{low:g} .. {high:g}", len(own), f"{middle:.0f}", f"{100 * deviation:.0f} %"])
        found.append({"from_ms": low, "runs": len(own), "p95_ms": round(middle, 1), "noise": round(deviation, 3)})
    header = ["schedule error p99 ms", "runs of A", "median p95 ms", "noise of p95"]
    show("noise between runs of A, by how late the load was sent", header, rows, {"benchmark": "noise", "by": found})


def noise_of(pairs: Sequence[Pair]) -> float:
    """Standard deviation of log p95 between the runs of A in these pairs."""
    return statistics.stdev(math.log(p95(one)) for pair in pairs for one in pair if one.base)


def twenty_pairs(runs: Sequence[Recorded], valid: Sequence[Pair]) -> None:
    """Twenty A/A pairs as they were recorded, the late ones too, each by itself; and all valid pairs together."""
    from harness.comparison.recorded import one_against_one

    chosen = neighbours(runs)[:20]
    alone = [one_against_one(old.row, new.row).verdict for old, new in chosen]
    lost = sum(late(old.row) is not None or late(new.row) is not None for old, new in chosen)
    print(
        f"{len(chosen)} A/A pairs as recorded, each by itself: {alone.count(Verdict.FAIL)} called different"
        f" ({lost} of them not compared, a run was too late)"
    )
    rows = [(old.row, new.row) if place % 2 else (new.row, old.row) for place, (old, new) in enumerate(valid)]
    together = look({"gate-orders": rows}, Rules(), Rules().family_error, last=True)["gate-orders"]
    print(f"{len(valid)} valid A/A pairs together: {together.verdict.value}: {together.sentence}")


def harness_table(same_pairs: Sequence[Pair], slow_pairs: Sequence[Pair], draws: int) -> list[Rates]:
    most = min(24, len(same_pairs))
    most_slow = min(24, len(slow_pairs))
    kinds = (
        ("A/A", same_pairs, same, most),
        ("service 20 % slower (real)", slow_pairs, same, most_slow),
        ("p95 +20 %", same_pairs, slower(1.2), most),
        ("p95 +50 %", same_pairs, slower(1.5), most),
        ("availability -1 point", same_pairs, less_available, most),
    )
    found = [rates(name, pairs, change, draws, rules_of(0.005, count)) for name, pairs, change, count in kinds]
    rows = [
        [r.name, f"{r.fail:.1%}", f"{r.inconclusive:.1%}", f"{r.passed:.1%}", f"{r.pairs:.1f} of {count}"]
        for r, (_, _, _, count) in zip(found, kinds, strict=True)
    ]
    document = {r.name: {"fail": r.fail, "inconclusive": r.inconclusive, "pairs": r.pairs} for r in found}
    header = ["truth", "FAIL", "INCONCLUSIVE", "PASS", "pairs used (mean)"]
    show(f"harness compare, {draws} draws each", header, rows, {"benchmark": "gate", "draws": draws, **document})
    return found


def naive_table(runs: Sequence[Recorded], same_pairs: Sequence[Pair], slow_pairs: Sequence[Pair], draws: int) -> None:
    """False alarms and detection of what is done elsewhere, on the same runs."""
    rows: list[list[object]] = []
    found: dict[str, object] = {}
    for name in NAIVE:
        both = [naive_rate(name, pairs, draws) for pairs in (same_pairs, slow_pairs)]
        rows.append([name, *("too few runs" if rate is None else f"{rate:.1%}" for rate in both)])
        found[name] = both
    blocks = old_first_then_new(runs, draws)
    rows.append(
        ["7 old runs, then 7 new ones (max-t, 0.5 %)", "too few runs" if blocks is None else f"{blocks:.1%}", "-"]
    )
    header = ["naive comparison", "A/A called worse", "slower service called worse"]
    show(f"what it replaces, {draws} draws each", header, rows, {"benchmark": "naive", **found, "blocks": blocks})


def shift_of(pairs: Sequence[Pair]) -> float:
    old = statistics.median(math.log(p95(one)) for one, _ in pairs)
    return math.expm1(statistics.median(math.log(p95(one)) for _, one in pairs) - old)


def measure(file: Path, draws: int) -> int:
    runs = load(file)
    valid = [one for one in runs if late(one.row) is None]
    print(f"{len(runs)} recorded runs, {len(valid)} of them valid (schedule error p99 at most {LATEST_MS:g} ms)")
    noise_table(runs)
    same_pairs, slow_pairs = neighbours(valid), against_slower(valid)
    if min(len(same_pairs), len(slow_pairs)) < Rules().looks[0][0]:
        print(f"{len(same_pairs)} A/A pairs and {len(slow_pairs)} A/slower pairs: too few, record more")
        return 3
    noise = noise_of(same_pairs)
    wanted = pairs_needed(noise)
    print(
        f"{len(same_pairs)} A/A pairs; noise of p95 between runs of A {noise:.1%}; 95 % detection of +20 % needs"
        f" {'more than 48' if wanted is None else wanted} pairs at that noise;"
        f" the slower service moved p95 of {ORDERS} by {shift_of(slow_pairs):+.0%}"
    )
    twenty_pairs(runs, same_pairs)
    begun = time.monotonic()
    found = {one.name: one for one in harness_table(same_pairs, slow_pairs, draws)}
    naive_table(valid, same_pairs, slow_pairs, draws)
    print(f"{time.monotonic() - begun:.0f} s")
    return judged(found, noise, len(same_pairs))


def judged(found: dict[str, Rates], noise: float, pairs: int) -> int:
    """0 when the claims hold, 1 when one does not, 3 when the runs are too few to tell."""
    if found["A/A"].fail > MOST_FALSE_ALARMS:
        print(f"A/A is called different in {found['A/A'].fail:.1%} of draws")
        return 1
    missed = [name for name in ("p95 +20 %", "availability -1 point") if found[name].fail < LEAST_DETECTED]
    if noise > LOW_NOISE or not missed:
        print(f"noise is above {LOW_NOISE:.0%}: no target for detection" if noise > LOW_NOISE else "the claims hold")
        return 0
    wanted = pairs_needed(noise)
    if wanted is None or pairs < wanted:
        needed = "more than 48" if wanted is None else wanted
        print(f"{' and '.join(missed)}: not shown, there are {pairs} valid pairs and {needed} are needed: record more")
        return 3
    print("\n".join(f"{name} is found in {found[name].fail:.1%} of draws only" for name in missed))
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000, help="comparisons drawn of each kind (1000)")
    parser.add_argument("--rows", type=Path, default=ROWS, help="recorded runs (those in git)")
    parser.add_argument("--record", metavar="BLOCKS", type=int, default=0, help="record so many blocks of 3 runs first")
    options = parser.parse_args()
    if options.record:
        record(options.record, options.rows)
    return measure(options.rows, options.draws)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as error:
        sys.exit(f"{error}\n{error.hint or ''}")
