"""The command line as a whole: help, mistakes in what was typed, exit codes, output for machines."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from harness import __version__
from harness.cli import main as door
from harness.cli.main import COMMANDS, main
from harness.errors import InputError, Mistake, SetUpError


class FakeCommand(SimpleNamespace):
    """A command that does what a test wants of it."""

    DESCRIPTION = "does what a test wants"
    EXAMPLES = ("harness fake",)

    def arguments(self, parser: Any) -> None:
        parser.add_argument("--depth", metavar="N", type=int)

    def main(self, options: Any) -> int:
        return self.does(options)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch):
    """Put a function in the place of the command `run`."""

    def put(does: Any) -> None:
        monkeypatch.setattr(door, "_command", lambda name: FakeCommand(does=does))

    return put


def _raise(error: BaseException) -> Any:
    def does(options: Any) -> int:
        raise error

    return does


@pytest.mark.parametrize("argument", ["--help", "-h", "help"])
def test_help_names_every_command(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever asks for help sees every command and what exit codes mean, and that is no mistake."""
    assert main([argument]) == 0

    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert "exit codes: 0 pass" in text


def test_no_command_shows_the_help_and_is_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    """A script that forgot the command must not go on as if all were well."""
    assert main([]) == 2
    assert "usage:" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is one line."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"harness {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_teaches_by_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of each command has at least one example that begins as one would type it."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])

    assert ended.value.code == 0
    assert f"  harness {name}" in capsys.readouterr().out.split("examples:")[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_speaks_to_machines(name: str) -> None:
    """--json is there on each command."""
    assert door.parser_of(name).entries[-1][0] == ("--json",)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["rn"], "did you mean 'run'?"),
        (["valdate", "x"], "did you mean 'validate'?"),
        (["xyzzy"], "`harness --help` shows the commands"),
        (["--versoin"], "did you mean '--version'?"),
        (["-k", "list"], "options stand behind the command"),
        (["run", "x", "--bakend", "processes"], "did you mean '--backend'?"),
        (["run", "x", "--json=yes"], "`harness run --help`"),
        (["run"], "`harness run --help`"),
        (["run", "x", "--seed", "many"], "`harness run --help`"),
        (["clean", "everything"], "`harness clean --help`"),
        (["list", "fauts"], "did you mean 'faults'?"),
        (["run", "x", "--inconclusive", "true"], "`harness run --help`"),
        (["run", "x", "--back", "processes"], "did you mean '--backend'?"),
    ],
)
def test_a_slip_of_the_fingers_is_wrong_input(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not known is named, and what was probably meant as well; no traceback."""
    assert main(arguments) == 2

    shown = capsys.readouterr()
    assert expected in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputError("bad", hint="better"), 2), (SetUpError("gone", hint="get it"), 4), (KeyboardInterrupt(), 130)],
)
def test_problems_have_fixed_exit_codes(
    fake: Any, error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a person can put right is a message and a hint on standard error, never a traceback."""
    fake(_raise(error))

    assert main(["run"]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_an_interrupted_run_says_that_it_was_undone(fake: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """After Ctrl-C nobody has to wonder what still runs."""
    fake(_raise(KeyboardInterrupt()))
    main(["run"])

    assert capsys.readouterr().err == "interrupted, everything was undone\n"


def test_a_bug_says_that_it_is_one(fake: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody foresaw is exit code 5, with the traceback and how to report it."""
    fake(_raise(ZeroDivisionError("of all things")))

    assert main(["run"]) == 5
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: of all things" in shown
    assert f"a bug in harness {__version__}" in shown


def test_a_missing_package_is_a_failed_set_up(fake: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A package that is not installed is no bug of ours; a module of our own that is missing is."""
    fake(_raise(ModuleNotFoundError("No module named 'yaml'", name="yaml")))
    assert main(["run"]) == 4
    assert "harness doctor" in capsys.readouterr().err

    fake(_raise(ModuleNotFoundError("No module named 'harness.x'", name="harness.x")))
    assert main(["run"]) == 5


def test_machines_get_problems_as_json(fake: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json standard output is one document, mistakes with file and line included."""
    mistakes = [
        Mistake("a.yaml", 9, "unknown key 'latancy'", "did you mean 'latency'?"),
        Mistake("a.yaml", 2, "no name"),
    ]
    fake(_raise(InputError.of(mistakes)))

    assert main(["run", "--json"]) == 2
    shown = capsys.readouterr()
    error = json.loads(shown.out)["error"]
    assert [(m["file"], m["line"]) for m in error["mistakes"]] == [("a.yaml", 2), ("a.yaml", 9)]
    assert "a.yaml:9: unknown key 'latancy'" in shown.err


def test_hostile_text_in_a_problem_is_spelt_out(fake: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A value out of a person's file cannot move the cursor of whoever reads the message."""
    fake(_raise(InputError("a.yaml:1: \x1b[2J is not a link")))
    main(["run"])

    assert capsys.readouterr().err == "a.yaml:1: \\x1b[2J is not a link\n"


def test_a_reader_that_went_away_is_no_problem(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`harness list | head` ends quietly."""
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(fileno=_raise(OSError()), flush=lambda: None))
    fake(_raise(BrokenPipeError()))

    assert main(["run"]) == 0


def test_json_may_stand_before_the_command(fake: Any) -> None:
    """Where the option stands makes no difference."""
    fake(lambda options: 7 if options.json else 8)

    assert main(["--json", "run"]) == main(["run", "--json"]) == 7


def test_the_command_decides_the_exit_code(fake: Any) -> None:
    """What a command returns is what the shell gets; its options arrive parsed."""
    fake(lambda options: options.depth)

    assert main(["run", "--depth", "3"]) == 3
