"""Text from outside is harmless wherever it is shown."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import escape


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words, ümlaut", "plain words, ümlaut"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("two\nlines", "two\\nlines"),
        ("turned \u202e round", "turned \\u202e round"),
        ("half \ud800 a pair", "half \\ud800 a pair"),
        (503, "503"),
    ],
)
def test_unprintable_characters_are_spelt_out(text: object, expected: str) -> None:
    """Nothing that came from outside can move the cursor, break a line or turn the reading direction."""
    assert expected == escape.one_line(text)


def test_long_text_is_cut_visibly() -> None:
    """A cut text has the length that was asked for and shows that it was cut."""
    assert escape.one_line("x" * 50, 10) == "xxxxxxx..."


@given(st.text())
def test_one_line_is_one_printable_line(text: str) -> None:
    """Whatever comes in, one printable line comes out."""
    assert escape.one_line(text).isprintable()


@given(st.text())
def test_lines_fit_into_xml(text: str) -> None:
    """What is kept over several lines can be put into an XML document and read back."""
    element = ET.Element("a")
    element.text = escape.lines(text)

    assert (ET.fromstring(ET.tostring(element)).text or "") == element.text


@given(st.text(alphabet="`\na ", max_size=40))
def test_a_fenced_block_cannot_be_left_from_inside(text: str) -> None:
    """The fence is longer than any run of backticks in the text."""
    first, *body, last = escape.markdown_block(text).split("\n")

    assert first == last
    assert all(first not in line for line in body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("|<b>[x](y) `c` #1 *e*", r"\|&lt;b>\[x\](y) \`c\` \#1 \*e\*"),
        ("latency_ms _so_ order->payment", r"latency_ms \_so\_ order->payment"),
        ("- item", r"\- item"),
        ("2. item", r"2\. item"),
        ("  > quote", r"\> quote"),
        ("=====", r"\====="),
        ("99.5 % of 12", "99.5 % of 12"),
        ("-0.5", "-0.5"),
    ],
)
def test_markdown_reads_as_text(text: str, expected: str) -> None:
    """No character begins a cell, a tag, a link, a heading, a list or a code span; words stay readable."""
    assert expected == escape.markdown(text)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (None, "-"),
        (True, "yes"),
        (2011.52, "2012"),
        (123456.7, "123457"),
        (["a", 1], "a, 1"),
        ({"k": 1}, '{"k": 1}'),
        (240, "240"),
    ],
)
def test_values_read_as_people_write_them(item: object, expected: str) -> None:
    """Numbers of receipts and cells of evidence are short text."""
    assert expected == escape.value(item)
