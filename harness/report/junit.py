"""
junit.xml: one test suite a scenario, one test case a check and a receipt, for CI servers.

A FAIL is a failure; INCONCLUSIVE is an error of type "inconclusive", so nothing counts it as passed.
What a scenario declares is no news: when a run ended as declared, all its cases pass, and each
says in its output what it found.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass

from harness.report import escape
from harness.verdict import CheckResult, Receipt, RunVerdict, Verdict

FILE_NAME = "junit.xml"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """A scenario that has no verdict, because it could not be read or set up."""

    scenario: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One test case; its verdict counts unless the run ended as declared."""

    name: str
    verdict: Verdict
    message: str
    details: str


def junit_xml(verdicts: Iterable[RunVerdict | NotRun]) -> str:
    """The text of junit.xml for one scenario or a whole suite."""
    root = ET.Element("testsuites", {"name": "harness"})
    totals = dict.fromkeys(("tests", "failures", "errors"), 0)
    for item in verdicts:
        suite = _not_run(item) if isinstance(item, NotRun) else _suite(item)
        root.append(suite)
        for key in totals:
            totals[key] += int(suite.get(key, "0"))
    _number(root.iter("testcase"))
    root.attrib.update({key: str(count) for key, count in totals.items()})
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(verdict: RunVerdict) -> ET.Element:
    cases = [_of_check(check) for check in verdict.checks]
    cases += [_of_receipt(receipt) for receipt in verdict.receipts]
    suite = ET.Element("testsuite", {"name": escape.one_line(verdict.scenario)})
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(verdict).items():
        ET.SubElement(properties, "property", {"name": name, "value": escape.one_line(value)})
    elements = [_element(verdict, case, red=not verdict.as_declared) for case in cases]
    elements.append(_element(verdict, _outcome(verdict), red=not verdict.as_declared))
    suite.extend(elements)
    _count(suite, verdict.facts.get("duration_s"))
    return suite


def _properties(verdict: RunVerdict) -> dict[str, str]:
    found = {
        "run": verdict.run,
        "verdict": verdict.verdict.value,
        "declared": verdict.declared.value,
        "as_declared": "true" if verdict.as_declared else "false",
    }
    return {**found, "because": verdict.because} if verdict.because else found


def _of_check(check: CheckResult) -> _Case:
    rows = [f"promised: {check.bound}", f"measured: {check.measured}", f"samples: {check.samples}"]
    rows.append(f"window: {check.window}")
    rows += ["; ".join(f"{key} {escape.value(item)}" for key, item in row.items()) for row in check.evidence]
    return _Case(
        name=f"{check.check}: {check.title}",
        verdict=check.verdict,
        message=check.reason,
        details="\n".join(escape.one_line(row) for row in rows),
    )


def _of_receipt(receipt: Receipt) -> _Case:
    rows = [receipt.status, *(f"{key}: {escape.value(item)}" for key, item in receipt.numbers.items())]
    return _Case(
        name=f"receipt {receipt.kind}: {receipt.subject}",
        verdict=receipt.verdict,
        message=receipt.sentence,
        details="\n".join(escape.one_line(row) for row in rows),
    )


def _outcome(verdict: RunVerdict) -> _Case:
    """The case that is red when a scenario declared to fail passes, though each of its checks is green."""
    cause = f" because of {verdict.because}" if verdict.because else ""
    said = f"declared {verdict.declared.value}{cause}, ended {verdict.verdict.value}: {verdict.reason}"
    unmet = Verdict.INCONCLUSIVE if verdict.verdict is Verdict.INCONCLUSIVE else Verdict.FAIL
    met = verdict.verdict if verdict.as_declared else unmet
    return _Case(name="outcome is as declared", verdict=met, message=said, details=said)


def _element(verdict: RunVerdict, case: _Case, *, red: bool) -> ET.Element:
    name = {"classname": escape.one_line(verdict.scenario), "name": escape.one_line(case.name)}
    element = ET.Element("testcase", name)
    if red and case.verdict is not Verdict.PASS:
        failed = case.verdict is Verdict.FAIL
        kind = {"type": "fail" if failed else "inconclusive", "message": escape.one_line(case.message)}
        ET.SubElement(element, "failure" if failed else "error", kind).text = escape.lines(case.details)
    else:
        declared = "" if case.verdict is Verdict.PASS else ", as the scenario declares"
        output = f"{case.verdict.value}{declared}: {case.message}\n{case.details}"
        ET.SubElement(element, "system-out").text = escape.lines(output)
    return element


def _number(cases: Iterable[ET.Element]) -> None:
    """Tell apart cases of the same name, also those of a scenario's repeated runs: CI servers fold them into one."""
    seen: dict[tuple[str, str], int] = {}
    for case in cases:
        name = case.get("name", "")
        key = (case.get("classname", ""), name)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > 1:
            case.set("name", f"{name} ({seen[key]})")


def _not_run(item: NotRun) -> ET.Element:
    suite = ET.Element("testsuite", {"name": escape.one_line(item.scenario)})
    names = {"classname": escape.one_line(item.scenario), "name": "run"}
    case = ET.SubElement(suite, "testcase", names)
    first = item.message.splitlines()[0] if item.message else ""
    error = ET.SubElement(case, "error", {"type": "not-run", "message": escape.one_line(first)})
    error.text = escape.lines(item.message)
    _count(suite, None)
    return suite


def _count(suite: ET.Element, duration_s: object) -> None:
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    if isinstance(duration_s, int | float):
        suite.set("time", f"{duration_s:.3f}")
