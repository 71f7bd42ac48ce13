"""
The two sides of a comparison: where each version's system is, and how a scenario is run against it.

A side is a Compose file, a folder with a checkout, or a git revision, which is unpacked into a folder of its own; each
with overrides. The scenario is the same file for both: the question must not change with the version.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.comparison.rules import late
from harness.errors import HarnessError, InputError, SetUpError
from harness.run.options import RunOptions
from harness.secrets import fields
from harness.slis import Row, read_row
from harness.suite.child import run_in_child

GIT_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One version. compose: the file that describes it, for every scenario; checkout: a folder to find it in."""

    label: str
    overrides: tuple[str, ...] = ()
    compose: Path | None = None
    checkout: Path | None = None

    def overrides_for(self, scenario: Path) -> tuple[str, ...]:
        """What has to be put into a scenario so that it runs against this version. Raises InputError."""
        if self.compose is not None:
            return (f"system={_quoted(self.compose)}", *self.overrides)
        if self.checkout is not None:
            return (f"system={_quoted(self.checkout / _system_within(scenario))}", *self.overrides)
        return self.overrides


def side_of(word: str, overrides: Sequence[str], scratch: Path) -> Side:
    """
    The side that a person's word means: a Compose file, a folder, or a git revision, unpacked below `scratch`.
    Raises InputError when it is neither, SetUpError when git cannot be asked.
    """
    path = Path(word)
    own = tuple(overrides)
    label = " ".join((word, *fields(list(own))))
    if path.is_file():
        return Side(label=label, overrides=own, compose=path.resolve())
    if path.is_dir():
        return Side(label=label, overrides=own, checkout=path.resolve())
    commit = _commit_of(word)
    return Side(label=f"{label} ({commit[:10]})", overrides=own, checkout=_unpacked(commit, scratch))


def _quoted(path: Path) -> str:
    """As YAML reads it: a path may hold what YAML would take for something else."""
    return "'" + str(path).replace("'", "''") + "'"


def _system_within(scenario: Path) -> Path:
    """Where the scenario's system lies, from the top of the working tree. Raises InputError."""
    from harness.scenario.file import load_scenario

    file = load_scenario(scenario).system.file.resolve()
    top = Path(_git("rev-parse", "--show-toplevel", folder=file.parent).strip()).resolve()
    return file.relative_to(top)


def _commit_of(word: str) -> str:
    try:
        return _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{word}^{{commit}}").strip()
    except SetUpError as error:
        raise InputError(
            f"{word!r} is no Compose file, no folder, no run and no git revision",
            hint="harness compare old.yaml new.yaml --scenario ... | harness compare main HEAD --scenario ...",
        ) from error


def _git(*words: str, folder: Path | None = None) -> str:
    return _git_bytes(*words, folder=folder).decode("utf-8", "replace")


def _git_bytes(*words: str, folder: Path | None = None) -> bytes:
    command = ["git", *(["-C", str(folder)] if folder else []), *words]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=GIT_LIMIT_S)
    except FileNotFoundError as error:
        raise SetUpError("git is not installed, and revisions are unpacked with it") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip() or "it said nothing"
        raise SetUpError(f"`git {' '.join(words[:2])}` failed: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise SetUpError(f"`git {' '.join(words[:2])}` did not end within {GIT_LIMIT_S:.0f} s") from error
    return done.stdout


def _unpacked(commit: str, scratch: Path) -> Path:
    """The files of a commit in a folder of their own; the repository itself is left as it is."""
    folder = scratch / commit
    folder.mkdir(parents=True, exist_ok=True)
    top = Path(_git("rev-parse", "--show-toplevel").strip())
    with tarfile.open(fileobj=io.BytesIO(_git_bytes("archive", commit, folder=top))) as archive:
        archive.extractall(folder, filter="data")
    return folder.resolve()


# -- running ---------------------------------------------------------------------------------------------------


def run_side(side: Side, scenario: Path, options: RunOptions, *, seed: int) -> Row:
    """One run of a scenario against a side, as a row. Raises HarnessError when the system could not be started."""
    own = replace(options, seed=seed, retry_busy=0, overrides=(*options.overrides, *side.overrides_for(scenario)))
    result = run_in_child(scenario, own, side.checkout or Path.cwd())
    if result.error is not None:
        raise _of_side(side, result.error)
    assert result.run_dir is not None, "a run without an error has a folder"
    return read_row(result.run_dir, result.verdict)


def _of_side(side: Side, error: HarnessError) -> HarnessError:
    error.args = (f"{side.label}: {error}",)
    return error


def broken_promises(rows: Sequence[tuple[Row, Row]]) -> list[str]:
    """Notes on runs that broke their promises: a comparison says nothing of that, and must not hide it."""
    notes = []
    for place, which in enumerate(("old", "new")):
        broken = [pair[place] for pair in rows if late(pair[place]) is None and not pair[place].as_declared]
        if broken:
            notes.append(f"{len(broken)} of {len(rows)} {which} runs did not end as declared: {broken[0].reason}")
    return notes
