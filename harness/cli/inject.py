"""`harness inject`: do a fault to a living system; it is a lease that ends by itself."""

from __future__ import annotations

import argparse

from harness.cli.asking import add_run, ask, span_s
from harness.cli.parser import Parser
from harness.cli.printing import print_json
from harness.errors import EXIT_PASS

DESCRIPTION = """\
Do a fault to a system that `harness up` or a drill keeps running. It is healed when its time is over, by
`harness heal`, by a floor of the system, or when the system goes down, whichever comes first."""
EXAMPLES = (
    'harness inject "latency order->payment 2s jitter=100ms" --for 30s',
    'harness inject "status order->payment 503 share=20%" --as provider-errors --for 1m',
    'harness inject "kill user" --for 10s',
    "harness inject '{toxic: bandwidth, link: order->payment, rate: 20KB/s}'",
)


def arguments(parser: Parser) -> None:
    parser.add_argument("fault", metavar="FAULT", help="kind, target, values; or a mapping as in a scenario")
    parser.add_argument("--for", dest="span", metavar="SPAN", default="1m", help="healed after (default: %(default)s)")
    parser.add_argument("--as", dest="name", metavar="NAME", help="its name (default: its kind)")
    add_run(parser, by=True)


def main(options: argparse.Namespace) -> int:
    from harness.report.escape import one_line

    for_s = span_s(options.span, "--for")
    answer = ask(options, "inject", phrase=options.fault, for_s=for_s, name=options.name)
    if options.json:
        print_json(answer)
    else:
        print(one_line(f"on: {answer['name']}: {answer['what']}, for {for_s:g} s at most"))
    return EXIT_PASS
