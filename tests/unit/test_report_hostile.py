"""A run whose every name, path, header, error and log line is hostile: what people and machines then read of it."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from report_samples import START_NS, check, receipt, run_verdict

from harness.cli.printing import problem
from harness.errors import InputError, Mistake, SetUpError
from harness.journal.reader import JournalReader
from harness.journal.writer import JournalWriter
from harness.progress import Progress
from harness.report.html import report_html
from harness.report.junit import NotRun, junit_xml
from harness.report.live import PanelView, PlainView
from harness.report.markdown import report_markdown
from harness.report.terminal import SuiteRow, console_on, show_run, show_suite
from harness.report.verdict_file import dump_verdict
from harness.verdict import RunVerdict, Verdict

HOSTILE = [
    "<script>alert(1)</script>",
    "</summary></details><img src=x onerror=alert(1)>",
    "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "\r\n\x08\x7f\u202e\u2066\u2028",
    "| a | b |\n|---|---|\n# heading\n> quote\n- item\n1. item\n```\n~~~",
    "[text](javascript:alert(1)) ![x](http://evil.example/x.png) <http://evil.example> [ref]: x",
    "`code` **bold** _it_ ~~gone~~ &lt;b&gt; &#60;b&#62; \\| \\<b>",
    "]]><!-- x --><?php ?><![CDATA[x]]>",
    "\ud800 \x00 \ufffe",
    "[red]markup[/red] :smile: {0} %s",
]  # fmt: skip
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture(params=HOSTILE, ids=range(len(HOSTILE)))
def hostile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def verdict_of(text: str) -> RunVerdict:
    words = dict.fromkeys(("check", "title", "reason", "bound", "measured", "window"), text)
    row = {"request": text, "path": text, "header": {text: text}, "way": [text], text: text}
    return run_verdict(
        check(Verdict.FAIL, **words, evidence=(row,)),
        check(Verdict.INCONCLUSIVE, **words, evidence=()),
        check(Verdict.PASS, **words),
        scenario=text, run=text, reason=text, because=text, facts={text: text, "versions": {text: text}},
        receipts=(receipt(Verdict.INCONCLUSIVE, kind=text, subject=text, status=text, sentence=text, numbers={text: text}),),
    )  # fmt: skip


@pytest.fixture
def journal(hostile: str, tmp_path: Path) -> Iterator[JournalReader]:
    with JournalReader(journal_of(tmp_path, hostile)) as reader:
        yield reader


def journal_of(folder: Path, text: str) -> Path:
    """A journal whose every text in every table is this one; its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = JournalWriter(folder / "journal.db")
    fault = {"name": text, "what": text, "target": text, "family": text, "start_s": 0.0, "end_s": 1.0}
    facts = {
        "run": text, "scenario_text": text, "scenario_file": text, "commit": text, "t0_ns": START_NS,
        "versions": {text: text}, "machine": {text: [text]}, "how": text, "plan": {"faults": [fault]},
        "system": {"objectives": [{"name": text, "limit_s": 0.5}]},
    }  # fmt: skip
    writer.put(facts)
    stored = text.encode("utf-8", "replace").decode()  # what SQLite can hold
    kinds = ["phase.started", "fault.failed", "fault.injecting", "fault.injected", "note", "other.role", "phase.ended",
             "service.ready", "service.answered"]  # fmt: skip
    data = json.dumps({"kind": text, "error": text, "text": text, "role": text, text: {text: text}})
    events = [(START_NS + n * 1_000_000, kind, stored, data) for n, kind in enumerate(kinds)]
    events += [(START_NS + 20_000_000 + n, stored, stored, data) for n in range(3)]
    events += [(START_NS + 40_000_000, "other.lag", stored, json.dumps({text: 1.5}))]
    at = [START_NS + n * 50_000_000 for n in range(1, 5)]
    ends: list[int | None] = [at[0] + 9_000_000, at[1] + 9_000_000, None, None]
    requests = [
        (stored, t_ns, t_ns if n != 3 else None, end, 200, int(n == 0), stored, 1, stored, stored, stored)
        for n, (t_ns, end) in enumerate(zip(at, ends, strict=True))
    ]
    wire = [(f"{stored}->{stored}", 1, n, stored, stored, stored, t_ns, t_ns, None, None, 0, 1, 1, stored, stored, 1)
            for n, t_ns in enumerate(at)]  # fmt: skip
    states = [("STATE_TRANSITION", json.dumps({"stateTransition": f"{text}_TO_{text}"})), (stored, "{}")]
    app = [
        (at[0], at[0], stored, "circuitbreaker" if kind == "STATE_TRANSITION" else stored, stored, kind, told)
        for kind, told in states
    ]
    looks = [(at[0], "actuator", stored, 1, json.dumps({"breakers": {text: text}}))]
    looks += [(at[0], stored, stored, 1, json.dumps({text: 2.5, "word": text}))]
    looks += [(at[0], "machine", stored, 1, json.dumps({f"{text}_cores": 2.5}))]
    writer.append({"events": events, "requests": requests, "wire": wire, "app_events": app, "probes": looks})
    writer.close()
    return folder


def test_markdown_holds_our_own_structure_and_nothing_else(hostile: str, journal: JournalReader) -> None:
    """Read by a Markdown parser there is no tag but ours, no link, no image and no section of the hostile text's own."""
    text = report_markdown(verdict_of(hostile), journal)
    tokens = list(flat(MarkdownIt("gfm-like", {"linkify": False}).enable("table").parse(text)))

    tags = {t.content.strip() for t in tokens if t.type in {"html_block", "html_inline"}}
    assert all(re.fullmatch(r"<details><summary>[^<]*</summary>|</details>", tag) for tag in tags), tags
    assert not {t.type for t in tokens} & {"link_open", "image", "hr", "ordered_list_open", "bullet_list_open",
                                           "blockquote_open", "code_block", "s_open", "em_open", "code_inline"}  # fmt: skip
    assert sum(t.type == "fence" for t in tokens) == 1
    assert sum(t.type == "heading_open" and t.tag == "h1" for t in tokens) == 1
    assert CONTROL.search(text) is None


def flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from flat(token.children or [])


def test_xml_and_json_read_back(hostile: str) -> None:
    """junit.xml and verdict.json stay well-formed, with the text as text."""
    verdict = verdict_of(hostile)

    root = ET.fromstring(junit_xml([verdict, NotRun(scenario=hostile, message=hostile)]).encode())
    read = json.loads(dump_verdict(verdict))

    assert {e.tag for e in root.iter()} <= {
        "testsuites", "testsuite", "testcase", "failure", "error", "properties", "property", "system-out",
    }  # fmt: skip
    assert read["reason"] == hostile
    assert dump_verdict(verdict).isascii()


def test_no_browser_is_steered(hostile: str, tmp_path: Path) -> None:
    """Whatever the page says, it holds the elements of its template and nothing else; no control character is left."""
    with JournalReader(journal_of(tmp_path / "hostile", hostile)) as reader:
        page = report_html(verdict_of(hostile), reader)
    with JournalReader(journal_of(tmp_path / "plain", "plain")) as reader:
        plain = report_html(verdict_of("plain"), reader)

    assert CONTROL.search(page) is None
    assert elements(page) <= elements(plain) | {("th", ()), ("tr", ()), ("td", ())}
    assert page.count("<script") == plain.count("<script") == 2


def elements(page: str) -> set[tuple[str, tuple[str, ...]]]:
    """The kinds of elements of a page, with the names of their attributes."""
    found: set[tuple[str, tuple[str, ...]]] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.add((tag, tuple(sorted(name for name, _ in attrs))))

    Reader().feed(page)
    return found


@pytest.mark.parametrize("columns", ["80", "200"])
def test_no_terminal_is_steered(hostile: str, columns: str) -> None:
    """Verdicts, suites, live lines, panels and problems: no control character gets through, no markup is obeyed."""
    stream = io.StringIO()
    console = console_on(stream, plain=True, environment={"COLUMNS": columns})
    show_run(console, verdict_of(hostile), Path("reports") / "x")
    row = SuiteRow(
        scenario=hostile, declared=hostile, got="ERROR", as_declared=False, reason=hostile, seconds=1.0, report=None
    )
    show_suite(console, [row])
    progress = Progress(
        scenario=hostile, phase=hostile, elapsed_s=1.0, total_s=2.0, seconds_left=1.0, offered_per_s=1.0,
        served_per_s=1.0, error_ratio=0.0, breakers={hostile: hostile}, faults_on=(hostile,),
    )  # fmt: skip
    for view in (PlainView(stream), PanelView(stream, console=console)):
        with view:
            view.say(hostile)
            view.progress(progress)
    mistake = Mistake(f"{hostile}.yaml", 3, hostile, hostile)
    for error in (InputError.of([mistake]), SetUpError(hostile, hint=hostile)):
        stream.write(problem(error) + "\n")

    assert CONTROL.search(stream.getvalue()) is None
