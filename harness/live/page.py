"""
The page for a screen on the wall: the same figures as `harness watch`, on loopback, for whoever has the token.

It shows and changes nothing. No file, no network but its own address: a browser gets one page and asks for `/state`.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

ASKED_WITHIN_S = 10.0


class Page:
    """Serves the page. Use as a context manager."""

    def __init__(self, status: Callable[[], dict[str, Any]], token: str) -> None:
        template = files("harness.live").joinpath("page.html").read_text("utf-8")

        class Handler(BaseHTTPRequestHandler):
            timeout = ASKED_WITHIN_S

            def do_GET(self) -> None:
                _serve(self, status, token, template)

            def log_message(self, *_: Any) -> None:
                """Who looks at the wall is nobody's business."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a browser that hung up
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="page", daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/?token={token}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _serve(
    handler: BaseHTTPRequestHandler, status: Callable[[], dict[str, Any]], token: str, template: str
) -> None:  # fmt: skip
    """The page, the state, or nothing: to a stranger, and to a page of somebody else's that names us by another host."""
    asked = urlsplit(handler.path)
    shown = (parse_qs(asked.query).get("token") or [""])[0]
    host = (handler.headers.get("Host") or "").partition(":")[0]
    if host not in {"127.0.0.1", "localhost"} or not hmac.compare_digest(shown.encode(), token.encode()):
        _send(handler, 403, "text/plain", "the token is missing or wrong\n", "")
    elif asked.path == "/":
        nonce = secrets.token_urlsafe(12)
        _send(handler, 200, "text/html; charset=utf-8", template.replace("NONCE", nonce), nonce)
    elif asked.path == "/state":
        _send(handler, 200, "application/json", json.dumps(status()), "")
    else:
        _send(handler, 404, "text/plain", "nothing here\n", "")


def _send(handler: BaseHTTPRequestHandler, code: int, kind: str, text: str, nonce: str) -> None:
    body = text.encode()
    policy = "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    if nonce:
        policy += f"; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'"
    handler.send_response(code)
    for name, value in (
        ("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"),
        ("Content-Security-Policy", policy), ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
    ):  # fmt: skip
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)
