"""report.html: one file that says everything of a run, whatever the run was."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import journals
import pytest
from report_samples import check, receipt, run_verdict, write_journal

from harness.journal.columns import request_columns
from harness.journal.reader import JournalReader
from harness.judge import judge
from harness.report.html import report_html
from harness.report.html.axis import axis_of, time_ticks
from harness.report.html.gauges import attempts
from harness.report.html.requests import MOST_MARKS, load_series
from harness.verdict import RunVerdict, Verdict

SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
VOID = {"meta", "link", "br", "path"}


class Page(HTMLParser):
    """A page taken apart: elements with their attributes, texts, and whether every element was closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())

    def paths(self, css: str) -> list[str]:
        """The drawings of one class, inside charts (a legend's samples left out)."""
        return [
            str(own["d"])
            for tag, own in self.elements
            if tag == "path" and own.get("class") == css and len(own["d"] or "") > 16
        ]


def a_run(**other: Any) -> journals.Run:
    """A latency fault from 3 to 9 s of 15 s, felt by every order meanwhile; one request in nine fails."""
    system = journals.shop([journals.AVAILABLE, journals.QUICK], [])
    run = journals.Run(
        journals.scenario({"availability": {"at_least": "99%"}}, fault=journals.LATENCY), system, **other
    )
    run.fault().breaker((3.5, "OPEN"), (6.0, "HALF_OPEN"), (6.2, "OPEN"), (9.5, "CLOSED"))
    return run


def spoilt(number: int) -> dict[str, Any]:
    return {"error": "status 503", "status": 503, "latency_ms": 300.0 + number} if number % 9 == 0 else {}


def page_of(run: journals.Run, folder: Path) -> tuple[Page, RunVerdict]:
    text, verdict = text_of(run.write(folder / "run"))
    return Page(text), verdict


def text_of(path: Path) -> tuple[str, RunVerdict]:
    verdict = judge(path)
    with JournalReader(path) as reader:
        return report_html(verdict, reader), verdict


def data_of(text: str) -> Any:
    return json.loads(text.split('id="data">')[1].split("</script>", maxsplit=1)[0])


def test_a_page_is_whole_and_asks_nobody_for_anything(tmp_path: Path) -> None:
    """One file: every element is closed, nothing is loaded, the only address is the empty icon."""
    text, _ = text_of(a_run().load(0, 15, spoil=spoilt).write(tmp_path / "run"))
    page = Page(text)

    assert page.open == []
    assert {own.get("href") for tag, own in page.elements if tag == "link"} == {"data:,"}
    assert not [own for tag, own in page.elements if "src" in own]
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", text)


def test_a_page_runs_only_the_script_it_was_written_with(tmp_path: Path) -> None:
    """The policy in the page names the digest of its one script, and allows no address at all."""
    import base64
    import hashlib

    text, _ = text_of(a_run().load(0, 15).write(tmp_path / "run"))
    (script,) = SCRIPT.findall(text)
    policy = next(own["content"] for tag, own in Page(text).elements if own.get("http-equiv")) or ""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_the_verdict_comes_first_with_what_was_promised_and_measured(tmp_path: Path) -> None:
    """Before the time axis: verdict, reason, bound, measured value, samples."""
    run = journals.Run(journals.scenario({"availability": {"at_least": "99%"}}, fault=journals.LATENCY)).slow_fault()
    page, verdict = page_of(run.load(0, 15, spoil=spoilt), tmp_path)
    first = page.text.split("Everything on one time axis")[0]
    (result,) = verdict.checks

    for said in (verdict.verdict.value, result.reason, result.bound, result.measured, f"{result.samples} samples"):
        assert " ".join(said.split()) in first


def test_receipts_stand_beside_the_verdicts_they_support(tmp_path: Path) -> None:
    """A check's own receipts are in its row; those of the whole run stand once, above all."""
    other = receipt(subject="another-fault", sentence="nobody rests on this")
    load = receipt(kind="load", subject="load", status="VALID", sentence="all was sent")
    verdict = run_verdict(check(rests_on=("load", "fault slow-payment")), receipts=(load, receipt(), other))
    with JournalReader(write_journal(tmp_path)) as reader:
        first = Page(report_html(verdict, reader)).text.split("Everything on one time axis")[0]

    assert first.index("all was sent") < first.index("237 of 240") < first.index("240 requests crossed")
    assert "nobody rests on this" not in first


def test_every_request_of_a_small_run_has_a_mark(tmp_path: Path) -> None:
    """As many dots as rows: good ones, failed ones, and those that never ended."""
    run = a_run().load(0, 14, spoil=spoilt).request(14.2, latency_ms=None, error="dropped", late_ms=None)
    run.request(14.4, latency_ms=None).request(14.5, fallback="deferred")
    page, _ = page_of(run, tmp_path)
    rows = run.rows["requests"]
    dots = {kind: "".join(page.paths(f"mark {kind}")).count("M") for kind in ("good", "failed")}

    assert len(rows) == 563
    assert dots["failed"] == sum(not row[5] and row[3] is not None for row in rows)
    assert dots["good"] == sum(row[5] and row[3] is not None and row[10] is None for row in rows)


@pytest.mark.parametrize("seed", range(5))
def test_thinning_hides_no_failed_request(tmp_path: Path, seed: int) -> None:
    """Too many for marks: each failed request lies between the failed extremes of its bucket, and all are counted."""
    run = a_run(seed=seed)

    def wild(_: int) -> dict[str, Any]:
        latency_ms = 10 ** run.random.uniform(0, 4)
        failed = run.random.random() < 0.02
        return {"latency_ms": latency_ms, "crosses": 0, "error": "reset" if failed else None}

    path = run.load(0, 15, rate=500, spoil=wild).write(tmp_path / "run")
    with JournalReader(path) as reader:
        columns = request_columns(reader)
        axis = axis_of(reader, columns)
        series = load_series(columns, axis)
    extremes = {found.bucket: found for found in series.extremes}
    failed = [row for row in run.rows["requests"] if not row[5]]

    assert series.marks is None
    assert len(run.rows["requests"]) > MOST_MARKS
    assert sum(found.count for found in series.extremes) == len(failed) == sum(series.bad)
    for _, intended_ns, _, end_ns, *_ in failed:
        found = extremes[axis.bucket(intended_ns)]
        assert found.low_ms <= (end_ns - intended_ns) / 1e6 <= found.high_ms


def test_every_answer_lies_between_fastest_and_slowest_of_its_bucket(tmp_path: Path) -> None:
    """The band of a thinned chart holds all that ended."""
    run = a_run().load(0, 15, rate=500, spoil=lambda n: {"latency_ms": 1 + n * 7919 % 2000, "crosses": 0})
    with JournalReader(run.write(tmp_path / "run")) as reader:
        columns = request_columns(reader)
        axis = axis_of(reader, columns)
        series = load_series(columns, axis)

    for _, intended_ns, _, end_ns, *_ in run.rows["requests"]:
        place = axis.bucket(intended_ns)
        low_ms, high_ms = series.low_ms[place], series.high_ms[place]
        assert low_ms is not None
        assert high_ms is not None
        assert low_ms <= (end_ns - intended_ns) / 1e6 <= high_ms


def test_what_is_counted_in_buckets_adds_up_to_the_journal(tmp_path: Path) -> None:
    """Offered, good, bad, errors by kind and fallbacks: nothing is lost between two buckets."""
    run = a_run().load(0, 15, spoil=spoilt).load(2, 8, fallback="deferred").request(14.9, latency_ms=None)
    with JournalReader(run.write(tmp_path / "run")) as reader:
        columns = request_columns(reader)
        series = load_series(columns, axis_of(reader, columns))
    rows = run.rows["requests"]

    assert sum(series.offered) == len(rows)
    assert sum(series.served) == sum(row[5] and row[3] is not None for row in rows)
    assert {kind: sum(counts) for kind, counts in series.errors.items()} == {"status 503": 67}
    assert {kind: sum(counts) for kind, counts in series.fallbacks.items()} == {"deferred": 240}
    assert sum(series.endless) == 1


def test_what_an_answer_was_made_of_is_told_part_by_part(tmp_path: Path) -> None:
    """One that names a fallback and two sources counts once for each; the age of a source is no name of its own."""
    run = (
        a_run()
        .request(1, fallback="user-guest,product=cache@3.2")
        .request(2, fallback="product=cache@4.0 price=service")
    )
    with JournalReader(run.write(tmp_path / "run")) as reader:
        columns = request_columns(reader)
        series = load_series(columns, axis_of(reader, columns))

    assert {name: sum(counts) for name, counts in series.fallbacks.items()} == {"user-guest": 1}
    assert {name: sum(counts) for name, counts in series.sources.items()} == {"product=cache": 2, "price=service": 1}
    assert [mark.fallback for mark in series.marks or ()] == [True, False]


def test_percentiles_are_exact_ranks_of_good_answers(tmp_path: Path) -> None:
    """In a bucket of 100 good answers of 1 to 100 ms, p50 is 50 ms and p99 is 99 ms, whatever the failed took."""
    run = a_run()
    for number in range(1, 101):
        run.request(1.0 + number / 1000, latency_ms=number, crosses=0).request(
            1.0 + number / 1000, latency_ms=5000, error="reset", crosses=0
        )
    with JournalReader(run.write(tmp_path / "run")) as reader:
        columns = request_columns(reader)
        axis = axis_of(reader, columns)
        series = load_series(columns, axis)
    place = axis.bucket(journals.at(1.05))

    assert series.offered[place] == 200
    assert (series.p50_ms[place], series.p99_ms[place]) == (50, 99)


def test_a_fault_is_drawn_where_it_was_declared_and_where_it_was_on(tmp_path: Path) -> None:
    """Two bars: the declared edges of the plan, and the effective ones of the calls and the wire."""
    run = a_run().load(0, 15).crossings(0, 15)
    run.facts["plan"] = {"duration_s": 15, "faults": [
        {"name": "slow", "family": "toxic", "kind": "latency", "target": "order->payment", "start_s": 3, "end_s": 9,
         "what": "latency 200 ms on order->payment"}
    ]}  # fmt: skip
    text, _ = text_of(run.write(tmp_path / "run"))
    (faults,) = [group for group in data_of(text)["parts"] if group["title"] == "Faults"]
    declared, effective = faults["lanes"][0]["bars"]

    assert declared[:2] == [3, 9]
    assert effective[:2] == [pytest.approx(3.001, abs=0.002), pytest.approx(9.001, abs=0.002)]


def test_a_breakers_lane_shows_its_states_in_order(tmp_path: Path) -> None:
    """From the transitions its service told: each state from its begin to the next one's."""
    text, _ = text_of(a_run().load(0, 15).write(tmp_path / "run"))
    (breakers,) = [group for group in data_of(text)["parts"] if group["title"] == "Breakers"]
    (lane,) = breakers["lanes"]

    assert lane["name"] == "order: payment"
    assert [bar[2] for bar in lane["bars"]] == ["CLOSED", "OPEN", "HALF_OPEN", "OPEN", "CLOSED"]
    assert [bar[0] for bar in lane["bars"][1:]] == [3.5, 6.0, 6.2, 9.5]


def test_events_of_unknown_kinds_get_lanes_and_charts_of_their_own(tmp_path: Path) -> None:
    """Roles become bars, numbers become lines, what people note is told: without knowing the kinds."""
    run = a_run().load(0, 15).event(0.1, "replication.role", "db-1", state="primary", lsn="0/1")
    run.event(7, "replication.role", "db-1", state="gone").event(7.2, "replication.role", "db-2", state="primary")
    for second in range(15):
        run.event(second, "replication.lag", "db-2", lag_s=second / 10)
    run.event(7.1, "replication.timeline", "db-2", **{"from": 1, "to": 2}).event(
        7.3, "replication.silent", "db-1", error="x"
    )
    run.event(8, "note", "anna", text="calling the owner of payment")
    page, _ = page_of(run, tmp_path)
    text, _ = text_of(tmp_path / "run")
    data = data_of(text)
    lanes = {lane["name"]: lane for group in data["parts"] for lane in group.get("lanes", ())}

    assert [bar[2] for bar in lanes["db-1"]["bars"]] == ["primary", "gone"]
    assert [bar[2] for bar in lanes["db-2: timeline"]["bars"]] == ["1", "2"]
    assert lanes["db-1"]["ticks"] == [[7.3, "silent error x"]]
    assert lanes["notes"]["ticks"] == [[8, "anna: calling the owner of payment"]]
    assert "replication lag lag s" in {part["title"] for part in data["parts"]}
    assert "calling the owner of payment" in page.text


def test_a_request_is_followed_over_its_links(tmp_path: Path) -> None:
    """Attempts counted, outcomes and times as on the wire, the fault that was on named."""
    run = a_run().load(0, 15, rate=5)
    trace = "ab" * 16
    run.request(5, latency_ms=500, trace=trace)
    run.exchange(5.01, span_ms=200, trace=trace, ending="reset").exchange(5.25, span_ms=205, trace=trace)
    run.facts["plan"] = {"duration_s": 15, "faults": [
        {"name": "slow", "family": "toxic", "target": "order->payment", "start_s": 3, "end_s": 9, "what": "latency"}
    ]}  # fmt: skip
    text, _ = text_of(run.write(tmp_path / "run"))
    data = data_of(text)
    words = data["words"]
    (found,) = [request for request in data["requests"] if request[2] == trace]
    steps = [(words[s[0]], s[1], s[3], words[s[4]], [words[n] for n in s[7]]) for s in found[8]]

    assert steps[1:] == [
        ("order->payment", 1, 200, "reset", ["slow"]),
        ("order->payment", 2, 205, "200", ["slow"]),
    ]
    assert steps[0][0] == "load->order"


def test_attempts_are_counted_where_their_call_began(tmp_path: Path) -> None:
    """Two calls in one bucket, one of them tried three times: two attempts a call there, and none later."""
    run = a_run().load(0, 15)
    for second in (5.0, 5.6, 6.2):
        run.exchange(second, trace="ab" * 16)
    run.exchange(5.1, trace="cd" * 16).exchange(7.0, trace="ef" * 16)
    run.exchange(-60).exchange(90)  # long before and after what is shown
    with JournalReader(run.write(tmp_path / "run")) as reader:
        axis = axis_of(reader, request_columns(reader))
        per_call, per_second = attempts(reader, axis)
    places = [axis.bucket(journals.at(second)) for second in (5.0, 5.6, 7.0)]

    assert [per_call[journals.LINK][place] for place in places] == [2.0, None, 1.0]
    assert sum(per_second[journals.LINK]) * axis.bucket_s == pytest.approx(5)
    assert journals.ENTRY not in per_call


def test_a_big_run_holds_the_slowest_and_the_failed_of_each_moment(tmp_path: Path) -> None:
    """Where not every request can be held, no moment lacks its slowest one, nor a failed one if it has any."""
    run = a_run().load(0, 15, rate=200, spoil=lambda n: {"latency_ms": 5 + n * 7919 % 300, **(
        {"error": "reset", "latency_ms": 1.0} if n % 50 == 0 else {})})  # fmt: skip
    text, _ = text_of(run.write(tmp_path / "run"))
    data = data_of(text)
    held = {request[2]: request for request in data["requests"]}
    moments: dict[int, list[Any]] = {}
    for row in run.rows["requests"]:
        place = int(((row[1] - journals.T0_NS) / 1e9 - data["start"]) / data["moment"] + 1e-9)
        moments.setdefault(place, []).append(row)

    assert not data["whole"]
    for rows in moments.values():
        assert max(rows, key=lambda row: row[3] - row[1])[8] in held
        assert not any(not row[5] for row in rows) or any(row[8] in held for row in rows if not row[5])


def test_a_lane_of_ticks_alone_is_a_lane(tmp_path: Path) -> None:
    """Something that only happens, and never is in a state, is drawn too."""
    run = (
        a_run()
        .load(0, 15)
        .event(4, "failover.chosen", "nodes", node="db-2")
        .event(5, "service.answered", "db", status=200)
    )
    text, _ = text_of(run.write(tmp_path / "run"))
    ticks = {lane["name"]: lane["ticks"] for part in data_of(text)["parts"] for lane in part.get("lanes", ())}

    assert [4, "chosen node db-2"] in ticks["nodes"]
    assert "failover" in text.lower()


def test_a_page_stays_small_however_often_things_change(tmp_path: Path) -> None:
    """Fifty breakers that flap a hundred times each, and as many events of a kind nobody knows: what is cut is said."""
    run = a_run().load(0, 15)
    for number in range(50):
        for change in range(100):
            stamp = journals.at(change / 10)
            data = json.dumps({"stateTransition": "CLOSED_TO_OPEN" if change % 2 else "OPEN_TO_CLOSED"})
            run.add("app_events", stamp, stamp, "order", "circuitbreaker", f"b{number}", "STATE_TRANSITION", data)
            run.event(change / 10, "weather.changed", f"city-{number}", degrees=f"{change} C")
    text, _ = text_of(run.write(tmp_path / "run"))

    assert len(text) < 1_500_000
    assert "later changes are in the journal alone" in text
    assert "more lanes are not shown" in text


@pytest.mark.parametrize("rows", ["nothing", "events only", "one request"])
def test_a_run_with_nearly_nothing_in_it_still_gets_a_page(tmp_path: Path, rows: str) -> None:
    """A run that ended before it began is shown for what it is."""
    run = journals.Run(journals.scenario(fault=journals.LATENCY))
    if rows == "nothing":
        run.rows.clear()
    if rows == "one request":
        run.request(1)
    page, _ = page_of(run, tmp_path)

    assert page.open == []
    assert "INCONCLUSIVE" in page.text


def test_the_width_of_buckets_follows_the_load(tmp_path: Path) -> None:
    """Few requests: wide buckets; many: narrow ones, but never more of them than can be told apart."""
    widths = []
    for rate in (2, 40, 2000):
        run = journals.Run(journals.scenario()).load(0, 15, rate=rate, crosses=0)
        with JournalReader(run.write(tmp_path / str(rate))) as reader:
            axis = axis_of(reader, request_columns(reader))
        widths.append(axis.bucket_s)
        assert axis.buckets <= 420

    assert widths == [1.0, 0.5, 0.05]


@pytest.mark.parametrize(("start", "span", "expected"), [
    (0, 15, [0, 2, 4, 6, 8, 10, 12, 14]), (-1, 4, [-1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3]), (3.2, 0.1, None), (0, 0, [0]),
])  # fmt: skip
def test_seconds_below_the_axis_are_round(start: float, span: float, expected: list[float] | None) -> None:
    """At most a dozen, all inside."""
    ticks = time_ticks(start, span)

    assert expected is None or ticks == expected
    assert len(ticks) <= 13
    assert all(start <= tick <= start + span for tick in ticks)


def test_a_verdict_without_checks_and_receipts_says_so(tmp_path: Path) -> None:
    """Absence is written, not left out."""
    with JournalReader(write_journal(tmp_path)) as reader:
        said = Page(report_html(run_verdict(receipts=(), verdict=Verdict.INCONCLUSIVE), reader)).text

    assert "No promise was judged." in said
    assert "nothing proves that the faults and the load really happened" in said
