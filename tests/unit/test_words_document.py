"""YAML as people write it: what is read, what is refused, and in which line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import EXIT_WRONG_INPUT, InputError
from harness.system.document import read_document, read_value
from harness.system.text import LARGEST_BYTES, decode, read_text


def data_of(text):
    document, mistakes = read_document(text, "file.yaml")
    assert mistakes == []
    return document.data


def test_words_that_only_old_yaml_takes_for_truth_stay_words():
    """`on`, `no`, times and dates are what they look like."""
    expected = {"on": "no", "time": "12:30", "day": "2001-01-01", "yes": True, "none": None, "n": 7, "f": 1.5}

    assert expected == data_of("on: no\ntime: 12:30\nday: 2001-01-01\nyes: true\nnone: ~\nn: 007\nf: 1.5\n")


def test_marks_of_windows_do_no_harm():
    """A byte order mark and carriage returns are passed over."""
    assert data_of(decode(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "file.yaml")) == {"a": 1, "b": 2}


def test_each_value_has_a_line():
    """A value's line is where it stands; what is absent has the line of what should hold it."""
    document, _ = read_document("a:\n  b: 1\n  c:\n    - x\n    - y\n", "file.yaml")

    assert [2, 3, 5, 1, 4] == [
        document.line(where) for where in [("a", "b"), ("a", "c"), ("a", "c", 1), ("a", "no"), ("a", "c", 0, "no")]
    ]


def test_merged_keys_give_way_to_the_mapping_s_own():
    """`<<` fills in what a mapping does not say itself."""
    assert data_of("m: &m {x: 1, y: 2}\nn:\n  <<: *m\n  y: 3\n")["n"] == {"x": 1, "y": 3}


ALIAS_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{here}: &{here} [{','.join([f'*{before}'] * 9)}]\n" for before, here in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "empty"),
        ("# only a remark\n", 1, "empty"),
        ("- a\n", 1, "keys and values"),
        ("word\n", 1, "keys and values"),
        ("a: [1, 2\n", 2, "column 1"),
        ("a: 1\n\tb: 2\n", 2, "a tab stands"),
        ("a: b: c\n", 1, "column 5"),
        ("a: 'x\n", 2, "end of stream"),
        ("a: *nobody\n", 1, "nobody"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: 1\nb: 2\na: 3\n", 3, "twice, first in line 1"),
        ("? [a]\n: 1\n", 1, "plain word"),
        ("a: !!python/object:os.system x\n", 1, "not understood"),
        ("a: !secret x\n", 1, "not understood"),
        ('a: "\\UFFFFFFFF"\n', 1, "not YAML"),
        ('a: "\\ud800"\n', 1, "not text"),
        ("a: 1\nb: \0\n", 2, "not text"),
        ("a: 1\nb: \x80\n", 2, "not text"),
        ("a: " + "[" * 100, 1, "deeper than"),
        (ALIAS_BOMB, 1, "aliases"),
        ("a: &a [*a]\n", 1, "aliases"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(text, line, said):
    """Broken, empty or malicious YAML ends in one message with file and line."""
    try:
        _, mistakes = read_document(text, "file.yaml")
    except InputError as error:
        mistakes = list(error.mistakes)

    assert ("file.yaml", line) == (mistakes[0].file, mistakes[0].line)
    assert said in mistakes[0].message


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "file.yml", "no such file"),
        (lambda folder: folder / "none" / "file.yaml", "no such file"),
        (lambda folder: folder, "folder"),
        (lambda folder: _written(folder / "binary.yaml", b"\x7fELF\xff\xfe"), "not UTF-8"),
        (lambda folder: _written(folder / "large.yaml", b"a: b\n" * LARGEST_BYTES), "too large"),
        (lambda folder: folder / "a\0b", "no such file"),
    ],
)
def test_a_path_that_is_no_text_is_refused(tmp_path, make, said):
    """A missing file, a folder, a binary and a huge file are told apart."""
    _written(tmp_path / "file.yaml", b"a: 1\n")

    with pytest.raises(InputError) as caught:
        read_text(make(tmp_path))

    assert said in str(caught.value)
    assert caught.value.exit_code == EXIT_WRONG_INPUT


def _written(path, raw):
    path.write_bytes(raw)
    return path


def test_a_name_that_is_nearly_right_is_guessed(tmp_path):
    """A file name with a slip is answered by the file that is there."""
    _written(tmp_path / "payment-slow.yaml", b"")

    with pytest.raises(InputError, match=r"did you mean .*payment-slow\.yaml"):
        read_text(tmp_path / "payment-slwo.yaml")


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode("utf-8", "surrogatepass"))))
def test_no_bytes_make_the_reader_stumble(raw):
    """Whatever the bytes: a document, or an error a person can act on."""
    try:
        read_document(decode(raw, "file.yaml"), "file.yaml")
    except InputError as error:
        assert error.mistakes  # noqa: PT017  # either way is right


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"\\%@#? \n\t,0xU\r.~<", max_size=60))
def test_no_punctuation_makes_the_reader_stumble(text):
    """YAML's own signs in any order: a document, or an error with a place."""
    try:
        read_document(text, "file.yaml")
    except InputError as error:
        assert error.mistakes  # noqa: PT017  # either way is right


def test_one_value_is_read_as_in_a_file():
    """What stands behind --set has the types it would have in the file."""
    assert [800, "800ms", True, [1, "a"], None, "on"] == [
        read_value(text) for text in ["800", "800ms", "true", "[1, a]", "", "on"]
    ]
