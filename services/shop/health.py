"""
`python -m services.shop.health URL`: exit 0 when URL answers 200 within two seconds, for Compose health checks.
"""

from __future__ import annotations

import sys
from http.client import HTTPConnection
from urllib.parse import urlsplit

TIMEOUT_S = 2.0


def status_of(url: str) -> int:
    """The status URL answers with. Raises OSError when it does not answer."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=TIMEOUT_S)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status
    finally:
        connection.close()


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m services.shop.health URL", file=sys.stderr)
        return 2
    try:
        status = status_of(arguments[0])
    except OSError as problem:
        print(f"{arguments[0]}: {problem}", file=sys.stderr)
        return 1
    print(f"{arguments[0]}: {status}")
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
