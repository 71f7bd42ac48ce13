"""
`harness`: finds the command, lets it run, and turns whatever happens into an exit code.

`harness --help` has to answer at once: commands are imported when they are called, and import
what is heavy (pydantic, rich, yaml, psutil) inside their functions.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from harness import __version__, secrets
from harness.errors import EXIT_BUG, EXIT_PASS, EXIT_WRONG_INPUT, HarnessError, InputError, SetUpError

if TYPE_CHECKING:
    import argparse

    from harness.cli.parser import Parser

EXIT_INTERRUPTED = 130
MOST_FRAMES = 12

COMMANDS = {
    "run": "run scenarios, judge them and write their reports",
    "validate": "check scenario files without starting anything",
    "judge": "judge the journal of a finished run again",
    "report": "write a run's report files anew from its journal",
    "compare": "is the new version worse than the old one: runs both alternately",
    "gate": "whether finished runs are enough for a CI job to pass, by a policy",
    "baseline": "keep runs that a later version is compared with, and say what they are worth",
    "history": "one row a run, and each scenario's SLIs over its last runs",
    "list": "list faults, checks or scenarios",
    "explain": "what a fault or check does, its keys, units and defaults",
    "schema": "print the JSON Schema of scenario files, for editors",
    "up": "keep a system running under load, in people's hands",
    "inject": "do a fault to a living system, for so long at most",
    "heal": "undo a fault of a living system, or all of them",
    "note": "write down what somebody saw, thought or asked",
    "status": "how a living system is",
    "watch": "show a living system in this terminal",
    "down": "end a living system",
    "drill run": "lead people through a drill",
    "drill record": "record a rehearsal by hand, to be compiled and replayed",
    "drill compile": "turn what happened in a run into a drill that can be replayed",
    "drill replay": "play a recorded run again, at the same instants",
    "drill diff": "what went otherwise in a second run of a drill",
    "drill report": "write a drill's report anew: timeline, objectives, open questions",
    "links": "say which service of a Compose file calls which, and how that was read",
    "doctor": "say what is present, what is missing and how to get it",
    "clean": "undo everything that any run left behind",
}


class Command(Protocol):
    """What each module of a command holds."""

    DESCRIPTION: str
    EXAMPLES: Sequence[str]

    def arguments(self, parser: Parser) -> None: ...

    def main(self, options: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line. Returns the exit code; raises nothing but the SystemExit of --help."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a narrow terminal must not end a run
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except HarnessError as error:
        return _problem(error, arguments)
    except KeyboardInterrupt:
        undone = ", everything was undone" if arguments[:1] in (["run"], ["up"], ["drill"]) else ""
        print(f"interrupted{undone}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return _nobody_reads()
    except ModuleNotFoundError as error:
        return _bug(error) if _ours(error) else _problem(_missing(error), arguments)
    except Exception as error:
        return _bug(error)


def parser_of(name: str) -> Parser:
    """The parser of one command."""
    return _parser(name, _command(name))


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(help_text())
        return EXIT_PASS if arguments else EXIT_WRONG_INPUT
    name, *rest = arguments
    if rest and f"{name} {rest[0]}" in COMMANDS:
        name, rest = f"{name} {rest[0]}", rest[1:]
    elif any(command.startswith(f"{name} ") for command in COMMANDS):
        raise _unknown_part(name, rest)
    if name in {"-V", "--version"}:
        print(f"harness {__version__}")
        return EXIT_PASS
    if name == "--json" and rest:
        return _dispatch([*rest, name])
    if name not in COMMANDS:
        raise _unknown_command(name)
    command = _command(name)
    return command.main(_parser(name, command).read(rest))


def _command(name: str) -> Command:
    return cast("Command", import_module(f"harness.cli.{name.replace(' ', '_')}"))


def _parser(name: str, command: Command) -> Parser:
    from harness.cli.parser import Parser

    parser = Parser(name, command.DESCRIPTION, command.EXAMPLES)
    command.arguments(parser)
    parser.add_json()
    return parser


def _unknown_command(name: str) -> InputError:
    from harness.cli.parser import did_you_mean

    what = "option" if name.startswith("-") else "command"
    otherwise = "options stand behind the command: harness run scenarios --json"
    if what == "command":
        otherwise = "`harness --help` shows the commands"
    known = ["--help", "--version"] if what == "option" else COMMANDS
    return InputError(f"harness: unknown {what} {name!r}", hint=did_you_mean(name, known, otherwise))


def _unknown_part(name: str, rest: Sequence[str]) -> InputError:
    from harness.cli.parser import did_you_mean

    known = [command.partition(" ")[2] for command in COMMANDS if command.startswith(f"{name} ")]
    said = f"harness {name}: unknown command {rest[0]!r}" if rest else f"harness {name}: what is to be done?"
    return InputError(said, hint=did_you_mean(rest[0] if rest else "", known, f"harness {name} {'|'.join(known)}"))


def help_text() -> str:
    """What `harness --help` prints."""
    width = max(len(name) for name in COMMANDS)
    commands = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
    return f"""\
usage: harness COMMAND ... [--json] | --version | --help

Hurts a system of services on purpose and says, with evidence, whether it kept its promises.

{commands}

`harness COMMAND --help` shows a command's options and examples.

start here:
  harness doctor
  harness list scenarios scenarios
  harness run scenarios --tag quick

exit codes: 0 pass, 1 fail, 2 wrong input, 3 inconclusive, 4 set-up failed, 5 a bug in the harness"""


def _ours(error: ModuleNotFoundError) -> bool:
    return (error.name or "harness").split(".")[0] == "harness"


def _missing(error: ModuleNotFoundError) -> SetUpError:
    return SetUpError(f"the package {error.name!r} is not installed", hint="`harness doctor` says what else is missing")


def _problem(error: HarnessError, arguments: list[str]) -> int:
    from harness.cli.printing import print_json, print_problem, problem_document

    with contextlib.suppress(BrokenPipeError):
        if "--json" in arguments:
            print_json({"error": problem_document(error)})
        print_problem(error)
    return error.exit_code


def _nobody_reads() -> int:
    """`harness list | head`: not a problem; keep the interpreter from complaining as it ends."""
    with contextlib.suppress(Exception):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_PASS


def _bug(error: Exception) -> int:
    import traceback

    shown: list[Any] = traceback.format_exception(error, limit=-MOST_FRAMES)
    print(secrets.text("".join(shown)), file=sys.stderr)
    print(
        f"This is a bug in harness {__version__}, not in your files. Please report it with the lines above, the "
        "command you typed and the output of `harness doctor --json`.",
        file=sys.stderr,
    )
    return EXIT_BUG


if __name__ == "__main__":
    sys.exit(main())
