"""Words that more than one reporter needs."""

from __future__ import annotations

from collections.abc import Sequence

from harness.verdict import CheckResult, Receipt, Verdict


def reason_beside_receipts(check: CheckResult, receipts: Sequence[Receipt]) -> str:
    """
    A check's reason where the receipts are shown as well: what a receipt says in full is not said again.

    One missing receipt makes every check inconclusive, and the same three lines under each of them hide the rest.
    """
    reason = check.reason
    for receipt in receipts:
        if receipt.verdict is not Verdict.PASS and receipt.sentence:
            reason = reason.replace(receipt.sentence, "see its receipt")
    return reason
