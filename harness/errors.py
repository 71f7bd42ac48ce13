"""
The problems a person can put right, each with the exit code that CI reads.

A bug of ours is not in here: it is raised as what it is and becomes exit code 5.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

EXIT_PASS = 0
EXIT_FAIL = 1
EXIT_WRONG_INPUT = 2
EXIT_INCONCLUSIVE = 3
EXIT_SET_UP_FAILED = 4
EXIT_BUG = 5


class HarnessError(Exception):
    """A problem that the person at the keyboard can put right."""

    exit_code: ClassVar[int] = EXIT_SET_UP_FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a person's file: where it stands, what is wrong, what would be right."""

    file: Path | str
    line: int | None
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line is not None else f"{self.file}"
        text = f"{place}: {self.message}"
        return f"{text}\n    hint: {self.hint}" if self.hint else text


class InputError(HarnessError):
    """What a person wrote cannot be used; lists every mistake found, not only the first."""

    exit_code = EXIT_WRONG_INPUT

    def __init__(self, message: str, *, hint: str | None = None, mistakes: tuple[Mistake, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.mistakes = mistakes

    @classmethod
    def of(cls, mistakes: list[Mistake]) -> InputError:
        """Join several mistakes into one error, in the order of file and line."""
        ordered = tuple(sorted(mistakes, key=lambda m: (str(m.file), m.line or 0)))
        return cls("\n".join(str(m) for m in ordered), mistakes=ordered)


class SetUpError(HarnessError):
    """The run could not be set up: something is missing, taken, full or forbidden."""

    exit_code = EXIT_SET_UP_FAILED


_OF_THE_DISK = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EIO}
)


def disk_error(error: OSError) -> SetUpError | None:
    """What a person can put right about a file that could not be written; None when it is something else."""
    if error.errno not in _OF_THE_DISK:
        return None
    place = f" ({error.filename})" if error.filename else ""
    return SetUpError(
        f"cannot write the run's files: {error.strerror}{place}",
        hint="free some room or mend the permissions, or choose another folder with --reports DIR",
    )
