"""
People at their keys: d done, s skip, n note, a abort; in a terminal whose keys come one by one.

The terminal is put back as it was, whatever happens. Keys are read only when somebody looks: nothing waits for them.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from harness.drill.persons import Waiting, Word
from harness.errors import InputError

KEYS = "d done   s skip   n note   a abort"
ESCAPE, ENTER, BACKSPACE, END = "\x1b", "\r\n", "\x7f\b", "\x04"
LONGEST_NOTE = 1000  # characters


class Typing:
    """Turns characters into words. `note` is what is being typed, None: no note is."""

    def __init__(self) -> None:
        self.note: str | None = None

    def feed(self, text: str) -> list[Word]:
        """What was said by these characters."""
        words = []
        for character in text:
            word = self._key(character) if self.note is None else self._letter(character)
            if word is not None:
                words.append(word)
        return words

    def _key(self, character: str) -> Word | None:
        key = character.lower()
        if key == "n":
            self.note = ""
        elif key == "d":
            return Word(said="done")
        elif key == "s":
            return Word(said="skipped")
        elif key == "a":
            return Word(said="abort")
        return None

    def _letter(self, character: str) -> Word | None:
        assert self.note is not None
        if character in ENTER or character == END:
            text, self.note = self.note.strip(), None
            return Word(said="note", text=text) if text else None
        if character == ESCAPE:
            self.note = None
        elif character in BACKSPACE:
            self.note = self.note[:-1]
        elif character.isprintable() and len(self.note) < LONGEST_NOTE:
            self.note += character
        return None


class Keys:
    """A person at standard input. Use as a context manager. Raises InputError when that is no terminal."""

    def __init__(self, by: str | None = None) -> None:
        self.typing = Typing()
        self._by = by
        self._rest = b""
        self._descriptor = -1
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        try:
            self._descriptor = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._descriptor)
        except (termios.error, ValueError, OSError):
            raise InputError(
                "nobody can press a key: standard input is no terminal", hint="--answers FILE, or --auto"
            ) from None
        tty.setcbreak(self._descriptor)  # Ctrl-C stays what it is
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def words(self, waiting: Waiting | None, now_s: float) -> Sequence[Word]:  # noqa: ARG002  # as Person has it
        """What was typed since the last time; the bytes of a key such as an arrow come together and mean nothing."""
        found: list[Word] = []
        while select.select([self._descriptor], [], [], 0)[0]:
            piece = os.read(self._descriptor, 1024)
            if not piece:
                break
            if piece.startswith(b"\x1b") and len(piece) > 1:
                continue
            self._rest += piece
            text = self._rest.decode("utf-8", "ignore")
            self._rest = b"" if text else self._rest[-4:]
            found += self.typing.feed(text)
        return [Word(said=word.said, text=word.text, by=word.by or self._by) for word in found]
