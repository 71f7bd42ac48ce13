"""
Reports in a real browser: nothing is asked for, nothing complains, marks are the journal's rows, zoom and keys work.

The pictures of the last test are for people to look at: in the folder that REPORT_PICTURES names, if it names one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import chromium, opened, shown
from playwright.sync_api import Browser, Page
from unit import journals

from harness.journal.reader import JournalReader
from harness.judge import judge
from harness.report.html import report_html
from harness.report.html.past import Past, PastRun, Trend
from harness.suite.result import Result
from harness.suite.rows import write_index

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(chromium() is None, reason="no Chromium: .ci/chromium.sh installs one, or set CHROMIUM"),
]

SHAPES = [("light", 1280, "light"), ("dark", 1280, "dark"), ("phone", 390, "light"), ("phone_dark", 390, "dark")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with opened() as browser:
        yield browser


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 15 s with a slow payment service, a breaker, failed, deferred and unanswered requests; its folder."""
    folder = tmp_path_factory.mktemp("pages") / "run"
    system = journals.shop([journals.AVAILABLE, journals.QUICK], [])
    promise = {"availability": {"of": journals.ORDERS, "at_least": "99%"}}
    made = journals.Run(journals.scenario(promise, fault=journals.LATENCY), system)
    made.slow_fault().breaker((3.5, "OPEN"), (6.0, "HALF_OPEN"), (6.2, "OPEN"), (9.5, "CLOSED"))
    made.facts["plan"] = {"duration_s": 15, "faults": [
        {"name": "slow", "family": "toxic", "kind": "latency", "target": "order->payment", "start_s": 3, "end_s": 9,
         "what": "latency 200 ms on order->payment"}
    ]}  # fmt: skip

    def special(number: int) -> dict[str, Any]:
        second = number / 40
        if not 3 <= second < 9:
            return {}
        if number % 7 == 0:
            return {"error": "status 503", "status": 503, "latency_ms": 400 + number % 50}
        return {"fallback": "payment-deferred", "latency_ms": 8} if second > 3.5 else {"latency_ms": 215 + number % 20}

    made.load(0, 15, spoil=special)
    made.request(14.5, latency_ms=None, error="dropped", late_ms=None).request(14.6, latency_ms=None)
    slowest = "ab" * 16
    made.request(5.1, latency_ms=900, trace=slowest)
    made.exchange(5.2, span_ms=300, trace=slowest, ending="reset").exchange(5.55, span_ms=210, trace=slowest)
    made.event(7.5, "note", "anna", text="the owner of payment is called")
    return made.write(folder)


def past() -> Past:
    """Twelve runs, two of which did not pass, and one without a value."""
    verdicts = ["PASS"] * 5 + ["FAIL", "INCONCLUSIVE"] + ["PASS"] * 5
    runs = [
        PastRun(run=f"run-{n}", verdict=verdict, when=f"2026-11-{n + 1:02d} 08:00", own=n == 11)
        for n, verdict in enumerate(verdicts)
    ]
    p95_ms = [120.0, 118, 125, 131, 122, 410, None, 128, 124, 119, 127, 133]
    trends = [
        Trend(sli="p50", values=[58.0 + n % 3 for n in range(12)], unit="ms"),
        Trend(sli="p95", values=p95_ms, unit="ms"),
        Trend(sli="availability", values=[100.0] * 5 + [83.2, None, *[100.0] * 5], unit="%"),
    ]
    return Past(runs=runs, trends={journals.ORDERS: trends, "GET /users": trends})


@pytest.fixture(scope="module")
def report(run: Path) -> Path:
    verdict = judge(run)
    with JournalReader(run) as reader:
        text = report_html(verdict, reader, past=past())
    (run / "report.html").write_text(text, "utf-8")
    index = [
        Result(path=run, scenario=n, run_dir=run, verdict=verdict, error=None, seconds=15.0) for n in ("one", "two")
    ]
    write_index(index, run.parent)
    return run / "report.html"


def view_of(page: Page) -> tuple[float, float]:
    """The seconds that are shown: first and length."""
    start, span = page.evaluate(
        "() => ['--x0', '--span'].map((name) => parseFloat(document.getElementById('axis').style.getPropertyValue(name)))"
    )
    return start, span


def place_of(page: Page, second: float) -> tuple[float, float]:
    """Where a second of the run is on the screen, in the latency chart."""
    page.locator("#chart-latency").scroll_into_view_if_needed()
    box = page.locator("#chart-latency .plot").bounding_box()
    assert box is not None
    start, span = view_of(page)
    return box["x"] + (second - start) / span * box["width"], box["y"] + box["height"] / 2


@pytest.mark.parametrize("name", ["report.html", "../index.html"])
def test_pages_ask_for_nothing_and_complain_of_nothing(browser: Browser, report: Path, name: str) -> None:
    """Opened, scrolled and hovered over: no request but the file itself, no message, no error."""
    with shown(browser, report.parent / name) as (page, heard):
        page.mouse.wheel(0, 2000)
        page.mouse.move(700, 500)
        page.mouse.click(700, 500)

        assert len(heard.requests) == 1
        assert heard.requests[0].startswith("file:")
        assert heard.messages == []


def test_names_that_would_do_harm_are_only_words(browser: Browser, tmp_path: Path) -> None:
    """Markup and script in names, errors, notes and links: told on hovering and picked by a click, they stay text."""
    harm = "</script><img src=x onerror=alert(1)><script>alert(2)</script>\u2028</title>"
    made = journals.Run(journals.scenario(fault=journals.LATENCY)).slow_fault().load(0, 15)
    made.request(5.1, name=harm, latency_ms=900, error=harm, fallback=harm, trace="ab" * 16)
    made.exchange(5.2, link=f"order->{harm}", path=harm, trace="ab" * 16, faults=harm, ending="reset")
    made.event(5.1, "note", harm, text=harm).event(5.2, f"odd.{harm}", harm, state=harm)
    path = made.write(tmp_path / "run")
    with JournalReader(path) as reader:
        (path / "report.html").write_text(report_html(judge(path), reader), "utf-8")
    with shown(browser, path / "report.html") as (page, heard):
        page.mouse.move(*place_of(page, 5.1))
        page.mouse.click(*place_of(page, 5.1))
        picked = page.locator("#picked").inner_text()

        assert "<img src=x onerror=alert(1)>" in picked
        assert page.locator("img").count() == 0
        assert len(heard.requests) == 1
        assert heard.messages == []


def test_there_is_a_mark_for_each_request(browser: Browser, report: Path, run: Path) -> None:
    """The browser counts as many dots as the journal has rows, kind by kind."""
    sql = """
        SELECT CASE WHEN end_ns IS NULL THEN 'endless' WHEN NOT ok THEN 'failed'
            WHEN fallback IS NULL THEN 'good' ELSE 'fallback' END, count(*) FROM requests GROUP BY 1
    """
    rows = dict(sqlite3.connect(run / "journal.db").execute(sql))
    with shown(browser, report) as (page, _):
        marks = page.evaluate("""() => Object.fromEntries([...document.querySelectorAll('#chart-latency .plot path.mark')]
            .map((path) => [path.classList[1], path.getAttribute('d').split('M').length - 1]))""")

    assert rows == marks
    assert rows.keys() == {"good", "fallback", "failed", "endless"}


def test_everything_stands_at_its_second(browser: Browser, report: Path) -> None:
    """A dot, a bar and the shade of the fault for one second have one place on the screen, before and after zooming."""
    edges = """() => {
        const plot = document.querySelector('#chart-load .plot').getBoundingClientRect();
        const left = (element) => element.getBoundingClientRect().left - plot.left;
        const svg = document.querySelector('#chart-load .plot > svg').getScreenCTM();
        const start = parseFloat(document.getElementById('axis').style.getPropertyValue('--x0'));
        const bars = [...document.querySelectorAll('#group-faults .bar.declared')];
        return [left(bars[0]), left(document.querySelector('.under .edges')), svg.a, svg.e - plot.left];
    }"""
    with shown(browser, report) as (page, _):
        axis_start, _ = view_of(page)
        for _ in range(2):
            bar, edge, scale, offset = page.evaluate(edges)
            drawn = (3.0 - axis_start) * 1000 * scale + offset

            assert bar == pytest.approx(drawn, abs=1.5)
            assert edge == pytest.approx(drawn, abs=1.5)
            page.focus("#axis")
            page.keyboard.press("+")


def test_dragging_zooms_and_two_clicks_or_escape_show_all_again(browser: Browser, report: Path) -> None:
    """From second 4 to second 8 dragged over: these are shown; then all."""
    with shown(browser, report) as (page, heard):
        whole = view_of(page)
        for back in ("double click", "escape"):
            (left, y), (right, _) = place_of(page, 4), place_of(page, 8)
            page.mouse.move(left, y)
            page.mouse.down()
            page.mouse.move(right, y, steps=8)
            page.mouse.up()

            assert view_of(page) == pytest.approx((4, 4), abs=0.1)
            assert page.locator("#chart-load .plot > svg").get_attribute("viewBox") != f"0 0 {whole[1] * 1000:g} 1000"
            if back == "escape":
                page.keyboard.press("Escape")
            else:
                page.mouse.dblclick(left, y)
            assert view_of(page) == pytest.approx(whole)
        assert heard.messages == []


def test_hovering_tells_the_values_of_that_moment(browser: Browser, report: Path) -> None:
    """At 5.1 s: the fault, the open breaker, offered load, the slowest answer and the errors."""
    with shown(browser, report) as (page, _):
        page.mouse.move(*place_of(page, 5.1))
        said = page.locator("#told").inner_text()

    for word in ("latency 200 ms on order->payment", "OPEN", "offered", "900 ms", "status 503", "payment-deferred"):
        assert word in said


def test_the_last_runs_are_drawn_and_told(browser: Browser, report: Path) -> None:
    """A curve for each SLI that is as wide as its runs, a sign for each verdict, this run's marked, all with words."""
    with shown(browser, report, java_script_enabled=False) as (page, heard):
        signs = page.locator(".verdicts li").evaluate_all("(all) => all.map((one) => one.firstChild.textContent)")
        drawn = page.locator(".past path.trend").evaluate_all("(all) => all.map((one) => one.getBBox().width)")
        words = page.locator(".past svg").evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")

        assert "".join(signs) == "✓✓✓✓✓✕?✓✓✓✓✓"
        assert page.locator(".verdicts .own").count() == 1
        assert drawn == pytest.approx([154.0] * 6, abs=0.2)
        assert words[1] == f"p95 of {journals.ORDERS} over 12 runs, 118.0 ms to 410.0 ms"
        assert heard.messages == []


def test_a_click_shows_the_slowest_requests_then_on_their_way(browser: Browser, report: Path) -> None:
    """The slowest of that moment first, with its links, attempts, outcomes, and the fault that was on."""
    with shown(browser, report) as (page, _):
        page.mouse.click(*place_of(page, 5.1))
        first = page.locator("#picked .waterfall").first
        said = first.inner_text()
        bars = first.locator(".track i").count()

    assert "ab" * 16 in said
    assert "attempt 2" in said
    assert "reset" in said
    assert "slow" in said
    assert bars >= 4


def test_a_click_and_the_page_without_script_draw_a_request_alike(browser: Browser, report: Path) -> None:
    """One request drawn by Python and by the script: the same words, the same bars."""
    shape = """(figure) => [figure.innerText.replace(/\\s+/g, ' ').trim(), [...figure.querySelectorAll('i')].map((bar) =>
        [bar.className, +bar.style.getPropertyValue('--a'), +bar.style.getPropertyValue('--w')])]"""
    with shown(browser, report) as (page, _):
        page.mouse.click(*place_of(page, 5.1))
        by_script = page.locator("#picked .waterfall").first.evaluate(shape)
        by_python = page.locator(f"#trace-{'ab' * 16}").evaluate(shape)

    assert by_script == by_python


def test_the_time_axis_is_worked_by_keys_and_read_aloud(browser: Browser, report: Path) -> None:
    """Reached by Tab; arrows tell values, plus and minus zoom, Enter opens requests, Escape shows all."""
    with shown(browser, report) as (page, heard):
        whole = view_of(page)
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("() => document.activeElement.id") == "axis":
                break
        page.keyboard.press("Home")
        first = page.locator("#heard").text_content() or ""
        page.keyboard.press("ArrowRight")
        second = page.locator("#heard").text_content() or ""
        page.keyboard.press("+")
        assert view_of(page)[1] == pytest.approx(whole[1] / 2)
        page.keyboard.press("-")
        assert view_of(page)[1] == pytest.approx(whole[1])
        page.keyboard.press("Enter")
        assert page.locator("#picked").is_visible()
        assert page.evaluate("() => document.activeElement.id") == "picked"
        page.focus("#axis")
        page.keyboard.press("Escape")

        assert view_of(page) == pytest.approx(whole)
        assert first != second
        assert "Load: offered" in second
        assert heard.messages == []


def test_a_page_is_whole_without_script(browser: Browser, report: Path) -> None:
    """Verdict, promises, drawings, lanes and requests are there and visible; only the hints for the script are not."""
    with shown(browser, report, java_script_enabled=False) as (page, _):
        for chosen in (".verdict", ".check", "#chart-latency svg", "#group-breakers .bar", ".waterfall"):
            assert page.locator(chosen).first.is_visible(), chosen
        assert not page.locator(".needs-script").first.is_visible()


def test_pages_say_what_they_are_to_who_cannot_see_them(browser: Browser, report: Path) -> None:
    """A language, one first heading, drawings with a sentence, tables with heads, no empty button or link."""
    with shown(browser, report) as (page, _):
        found = page.evaluate("""() => ({
            lang: document.documentElement.lang,
            h1: document.querySelectorAll('h1').length,
            silent: [...document.querySelectorAll('.chart .plot svg')].filter((svg) => !svg.getAttribute('aria-label')).length,
            nameless: [...document.querySelectorAll('a, button')].filter((link) => !link.textContent.trim()).length,
            skipped: [...document.querySelectorAll('h1, h2, h3, h4')].map((h) => +h.tagName[1])
                .filter((level, n, all) => n > 0 && level > all[n - 1] + 1).length,
        })""")

    assert found == {"lang": "en", "h1": 1, "silent": 0, "nameless": 0, "skipped": 0}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark")])
def test_words_stand_out_from_what_is_behind_them(browser: Browser, report: Path, width: int, scheme: str) -> None:
    """Text on the paper has a contrast of at least 4.5 to 1, as WCAG 2.1 asks for (level AA)."""
    contrast = """() => {
        const light = (rgb) => rgb.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
            .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
        const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
        const paper = (element) => {
            for (let e = element; e; e = e.parentElement) {
                const own = numbers(getComputedStyle(e).backgroundColor);
                if (own.length === 3 || own[3] === 1) return own.slice(0, 3);
            }
            return [255, 255, 255];
        };
        const worst = {};
        for (const css of ['.reason', '.meta', '.chip', '.status', 'small', 'summary', '.name p', '.keys li', '.value',
            '.bar.is-open', '.bar.is-closed', '.time', '.said', '.said em', 'figcaption code', 'span.good', 'span.bad', '.again']) {
            for (const element of document.querySelectorAll(css)) {
                const [a, b] = [light(numbers(getComputedStyle(element).color).slice(0, 3)), light(paper(element))];
                const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
                worst[css] = Math.min(worst[css] ?? 99, ratio);
            }
        }
        return Object.entries(worst).filter(([, ratio]) => ratio < 4.5);
    }"""
    with shown(browser, report, width=width, color_scheme=scheme) as (page, _):
        assert page.evaluate(contrast) == []


@pytest.mark.parametrize("width", [360, 390, 760, 1024, 1920])
def test_no_page_is_wider_than_its_screen(browser: Browser, report: Path, width: int) -> None:
    """From a phone to a wall: nothing has to be scrolled sideways, but tables inside their own frames."""
    with shown(browser, report, width=width) as (page, _):
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        page.goto((report.parent.parent / "index.html").as_uri())
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_a_tap_on_a_phone_tells_and_shows(browser: Browser, report: Path) -> None:
    """Touched, the axis tells that moment's values and draws its slowest requests."""
    with shown(browser, report, width=390, height=844, has_touch=True, is_mobile=True) as (page, heard):
        x, y = place_of(page, 5.1)
        page.touchscreen.tap(x, y)

        assert page.locator("#picked .waterfall").count() >= 1
        assert heard.messages == []


def test_a_report_prints_with_everything_unfolded(browser: Browser, report: Path, tmp_path: Path) -> None:
    """Printed there are receipts and the scenario, light even for who likes it dark, and no hint about a mouse."""
    with shown(browser, report, color_scheme="dark") as (page, _):
        page.emulate_media(media="print", color_scheme="dark")
        paper = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        page.pdf(path=tmp_path / "report.pdf", format="A4")

        assert paper == "rgb(255, 255, 255)"
        assert not page.locator(".needs-script").first.is_visible()
        assert page.locator("details:not([open])").count() == 0
    assert (tmp_path / "report.pdf").stat().st_size > 20_000


@pytest.mark.parametrize(("name", "width", "scheme"), SHAPES)
def test_pictures_are_kept_for_people_to_look_at(
    browser: Browser, report: Path, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    """Light, dark and at phone width: the first screen, the whole report, a moment told and picked, the index."""
    folder = Path(os.environ.get("REPORT_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    with shown(browser, report, width=width, color_scheme=scheme) as (page, _):
        page.screenshot(path=folder / f"first-{name}.png")
        page.screenshot(path=folder / f"whole-{name}.png", full_page=True)
        page.mouse.move(*place_of(page, 5.1))
        page.screenshot(path=folder / f"told-{name}.png")
        page.mouse.click(*place_of(page, 5.1))
        page.locator("#picked").screenshot(path=folder / f"picked-{name}.png")
        page.goto((report.parent.parent / "index.html").as_uri())
        page.screenshot(path=folder / f"index-{name}.png")

    assert len(list(folder.glob(f"*-{name}.png"))) == 5
