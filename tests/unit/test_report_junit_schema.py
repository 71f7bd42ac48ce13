"""junit.xml follows the schema of what its usual readers accept, whatever the run was."""

from __future__ import annotations

from pathlib import Path

import pytest
import xmlschema
from report_samples import check, nasty_verdict, receipt, run_verdict

from harness.report.junit import NotRun, junit_xml
from harness.verdict import RunVerdict, Verdict

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))
FAILED = run_verdict(check(Verdict.FAIL), check(Verdict.INCONCLUSIVE), check())
SAME_TWICE = run_verdict(check(), check(), receipts=(receipt(), receipt()))
BARE = run_verdict(receipts=(), facts={})


@pytest.mark.parametrize(
    "verdicts",
    [[run_verdict(check())], [FAILED], [SAME_TWICE], [BARE], [nasty_verdict()], [NotRun(scenario="x", message="")], [],
     [run_verdict(check()), NotRun(scenario="broken", message="no such link\nsecond line")], [FAILED, FAILED]],
    ids=["passed", "failed", "same twice", "bare", "nasty", "not run", "nothing", "suite", "repeated"],
)  # fmt: skip
def test_what_is_written_is_valid(verdicts: list[RunVerdict | NotRun]) -> None:
    """Elements, order, needed attributes and their kinds; no two cases of one name."""
    SCHEMA.validate(junit_xml(verdicts))


@pytest.mark.parametrize(
    ("good", "bad"),
    [('tests="3"', 'tests="three"'), ('classname="payment-slow"', ""), ("<system-out>", "<output>"),
     (' name="outcome is as declared"', ' name="receipt fault: slow-payment"'), ('time="15.000"', 'time="-1"')],
)  # fmt: skip
def test_the_schema_refuses_what_readers_refuse(good: str, bad: str) -> None:
    """A schema that accepts anything would prove nothing."""
    text = junit_xml([run_verdict(check())])

    assert good in text
    broken = text.replace(good, bad).replace("</system-out>", "</output>" if "output" in bad else "</system-out>")
    assert not SCHEMA.is_valid(broken)
