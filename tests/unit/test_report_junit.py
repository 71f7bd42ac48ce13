"""junit.xml: what CI servers count as passed, failed and broken."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from report_samples import NASTY, check, nasty_verdict, receipt, run_verdict

from harness.report.junit import NotRun, junit_xml
from harness.verdict import RunVerdict, Verdict


def _read(*verdicts: RunVerdict | NotRun) -> ET.Element:
    return ET.fromstring(junit_xml(verdicts))


def _counts(element: ET.Element) -> tuple[str | None, ...]:
    return tuple(element.get(key) for key in ("tests", "failures", "errors"))


def test_a_passed_run_has_a_case_for_each_check_and_receipt() -> None:
    """Two checks, one receipt and the outcome: four green cases."""
    root = _read(run_verdict(check(), check(check="latency")))

    assert _counts(root) == ("4", "0", "0")
    assert [case.get("name") for case in root.iter("testcase")] == [
        "availability: POST /orders at least 99 %",
        "latency: POST /orders at least 99 %",
        "receipt fault: slow-payment",
        "outcome is as declared",
    ]


def test_fail_is_a_failure_with_its_numbers() -> None:
    """A broken promise is a failure that says what was promised, measured and seen."""
    root = _read(run_verdict(check(Verdict.FAIL)))
    failure = next(root.iter("failure"))

    assert _counts(root) == ("3", "2", "0")
    assert failure.get("message") == "237 of 240 requests were good, 98.75 %"
    assert "load->order, order->payment" in (failure.text or "")


def test_inconclusive_is_an_error_of_its_own_type() -> None:
    """Missing evidence is never counted as passed."""
    root = _read(run_verdict(check(Verdict.INCONCLUSIVE)))

    assert _counts(root) == ("3", "0", "2")
    assert {error.get("type") for error in root.iter("error")} == {"inconclusive"}


def test_an_outcome_that_was_declared_is_green_and_says_so() -> None:
    """A scenario that has to fail and fails is green; what it found stands in the output."""
    verdict = run_verdict(check(Verdict.FAIL), declared=Verdict.FAIL, because="availability", as_declared=True)
    root = _read(verdict)
    output = next(root.iter("system-out")).text or ""

    assert _counts(root) == ("3", "0", "0")
    assert output.startswith("FAIL, as the scenario declares:")
    assert root.find(".//property[@name='because']").get("value") == "availability"  # type: ignore[union-attr]


def test_a_scenario_that_has_to_fail_and_passes_is_red() -> None:
    """A check that should have caught something and did not is a failure of its own."""
    root = _read(run_verdict(check(), declared=Verdict.FAIL, as_declared=False))
    red = [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None]

    assert red == ["outcome is as declared"]


def test_cases_of_one_name_stay_apart() -> None:
    """Two promises with the same words are two cases, for servers that fold equal names."""
    root = _read(run_verdict(check(), check()))
    names = [case.get("name") for case in root.iter("testcase")]

    assert len(set(names)) == len(names)


def test_whatever_came_from_outside_the_file_is_well_formed() -> None:
    """Control characters, tags and ends of sections in names and messages do no harm."""
    root = _read(nasty_verdict(), NotRun(scenario=NASTY, message=NASTY))

    assert "\\x1b[31m" in (next(root.iter("failure")).get("message") or "")


def test_a_suite_adds_up_and_keeps_what_could_not_run() -> None:
    """The totals are those of all scenarios; one that never ran is an error."""
    root = _read(
        run_verdict(check(Verdict.FAIL), receipts=(receipt(Verdict.INCONCLUSIVE),)),
        NotRun(scenario="broken", message="line 3: unknown key\nhint: did you mean 'name'?"),
    )

    assert _counts(root) == ("4", "2", "2")
    assert [suite.get("name") for suite in root.iter("testsuite")] == ["payment-slow", "broken"]
