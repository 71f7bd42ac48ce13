"""`harness watch`: a living system in this terminal, until it goes down or somebody presses Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from harness.cli.asking import add_run, client_of, span_s
from harness.cli.parser import Parser
from harness.cli.printing import console, print_json
from harness.errors import EXIT_PASS, SetUpError

EVERY_S = 0.5
LINE_EVERY_S = 2.0
DESCRIPTION = """\
Show a living system: rates, latency, error budgets, breakers, faults, the last events. It looks and touches nothing:
ended by Ctrl-C, or killed, it leaves the system as it was."""
EXAMPLES = ("harness watch", "harness watch --plain --for 10s")


def arguments(parser: Parser) -> None:
    add_run(parser)
    parser.add_argument(
        "--for", dest="span", metavar="SPAN", default="24h", help="leave off after (default: %(default)s)"
    )
    parser.add_argument("--plain", action="store_true", help="a line every two seconds instead of a panel")


def main(options: argparse.Namespace) -> int:
    from harness.report.terminal import is_plain

    end_s = time.monotonic() + span_s(options.span, "--for")
    plain = options.plain or is_plain(sys.stdout)
    with client_of(options) as client:
        show = _Lines() if plain or options.json else _Panel()
        try:
            while time.monotonic() < end_s:
                status = client.ask("status")["status"]
                if options.json:
                    print_json(status)
                    return EXIT_PASS
                show.show(status)
                time.sleep(EVERY_S)
        except SetUpError:
            show.close()
            print("the system went down")
        except KeyboardInterrupt:
            pass
        finally:
            show.close()
    return EXIT_PASS


class _Lines:
    """A line every two seconds, and one for each event."""

    def __init__(self) -> None:
        self._next_s = 0.0
        self._seen = 0

    def show(self, status: dict[str, Any]) -> None:
        from harness.live.panel import faults_line, headline, told

        for event in status["events"]:
            if event["number"] > self._seen:
                self._seen = event["number"]
                print(f"[{event['at_s']:.1f} s] {told(event)}", flush=True)
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + LINE_EVERY_S
            print(f"{headline(status)}; faults on: {faults_line(status)}", flush=True)

    def close(self) -> None:
        """Nothing to leave."""


class _Panel(_Lines):
    """One panel, drawn over itself."""

    def __init__(self) -> None:
        from rich.live import Live

        super().__init__()
        self._live: Live | None = Live(console=console(), auto_refresh=False, transient=False)
        self._live.start()

    def show(self, status: dict[str, Any]) -> None:
        from harness.live.panel import panel

        if self._live is not None:
            self._live.update(panel(status), refresh=True)

    def close(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()
