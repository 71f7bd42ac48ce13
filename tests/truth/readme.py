"""
The README's table of figures, written between two markers by a command and by nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping

from .matrix import ROOT

BEGIN, END = "<!-- truth: written by `python -m tests.truth --readme` -->", "<!-- /truth -->"


def table(figures: Mapping[str, int]) -> str:
    """The figures of one matrix as Markdown."""
    named = f"{figures['named']} of {figures['mutants']}"
    lines = [
        "| what was tried | figure |",
        "| --- | --- |",
        f"| clean runs that passed | {figures['clean_passed']} of {figures['clean']} |",
        f"| mutants of recorded runs | {figures['recorded']} |",
        f"| mutants of live runs | {figures['live']} |",
        f"| mutants with the expected verdict and a sentence that names the lie | {named} |",
        f"| mutants that passed | {figures['passed']} |",
    ]
    return "\n".join(lines)


def with_table(text: str, figures: Mapping[str, int]) -> str:
    """A README with the table of these figures. Raises ValueError when it lacks the markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks the markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table(figures)}\n{END}{after}"


def write_readme(figures: Mapping[str, int]) -> None:
    """Put the figures into README.md."""
    path = ROOT / "README.md"
    path.write_text(with_table(path.read_text("utf-8"), figures), "utf-8")
