"""
The answers the gate gives itself: a status fault as bytes, framed so that the connection stays usable.
"""

from __future__ import annotations

from http import HTTPStatus

from harness.links.gate.faults import FaultSpec

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_WITHOUT_BODY = frozenset({204, 304})


def status_answer(spec: FaultSpec, *, method: str | None, keep_alive: bool) -> bytes:
    """The whole answer. HEAD gets the length of the body and no body; 204 and 304 have neither."""
    body = spec.body.encode()
    headers = {name.lower(): value for name, value in spec.headers.items()}
    if spec.status in _WITHOUT_BODY:
        body = b""
    else:
        headers.setdefault("content-type", "text/plain; charset=utf-8")
        headers["content-length"] = str(len(body))
    headers["connection"] = "keep-alive" if keep_alive else "close"
    lines = [f"HTTP/1.1 {spec.status} {_reason(spec.status)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
    return head if method == "HEAD" else head + body


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"
