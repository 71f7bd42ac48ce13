"""
The control socket of a living system: TCP on loopback, one JSON object a line, first line `{"token": ...}`.

`{"op": "inject", "phrase" , "for_s", "name"?, "by"}`, `heal` (`name`?, `by`), `note` (`text`, `by`), `status`, `end`
(`by`); each answered by one line `{"ok": true, ...}` or `{"ok": false, "error", "hint", "exit_code"}`. Who has not
shown the token within seconds is sent away.
"""

from __future__ import annotations

import hmac
import json
import socketserver
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

from harness.errors import HarnessError, InputError
from harness.live.desk import Desk
from harness.live.phrase import fault_of

LONGEST_LINE_BYTES = 64 * 1024
TOKEN_LIMIT_S = 5.0
SILENCE_LIMIT_S = 120.0  # a client that says nothing for so long is let go; `watch` asks several times a second
MOST_CLIENTS = 32


class Control:
    """Answers whoever shows the token. Use as a context manager."""

    def __init__(self, desk: Desk, token: str) -> None:
        self._desk, self._token = desk, token.encode()
        self._room = threading.BoundedSemaphore(MOST_CLIENTS)
        self._operations: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "inject": self._inject, "heal": self._heal, "note": self._note, "end": self._end,
            "status": lambda _: {"status": desk.status()},
        }  # fmt: skip
        control = self

        class Handler(socketserver.StreamRequestHandler):
            timeout = TOKEN_LIMIT_S

            def handle(self) -> None:
                control.talk(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that hung up: nobody to tell."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="control", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        return str(self._server.server_address[0]), int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def talk(self, handler: socketserver.StreamRequestHandler) -> None:
        """One client, line by line."""
        if not self._room.acquire(blocking=False):
            return
        try:
            if not self._token_is_right(handler.rfile.readline(LONGEST_LINE_BYTES)):
                return
            handler.connection.settimeout(SILENCE_LIMIT_S)
            while line := handler.rfile.readline(LONGEST_LINE_BYTES):
                handler.wfile.write(json.dumps(self.answer(line)).encode() + b"\n")
        except OSError:
            pass
        finally:
            self._room.release()

    def answer(self, line: bytes) -> dict[str, Any]:
        """The answer to one line."""
        try:
            request = json.loads(line)
            if not isinstance(request, dict) or request.get("op") not in self._operations:
                raise InputError(f"unknown request {line[:200]!r}", hint=f"known: {', '.join(self._operations)}")
            return {"ok": True, **self._operations[request["op"]](request)}
        except HarnessError as error:
            return {"ok": False, "error": str(error), "hint": error.hint, "exit_code": error.exit_code}
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}", "hint": None, "exit_code": 2}

    def _token_is_right(self, line: bytes) -> bool:
        try:
            token = json.loads(line)["token"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return False
        return isinstance(token, str) and hmac.compare_digest(token.encode(), self._token)

    def _inject(self, request: Mapping[str, Any]) -> dict[str, Any]:
        fault = fault_of(str(request["phrase"]), self._desk.header.system)
        name = self._desk.inject(
            fault, for_s=float(request["for_s"]), name=request.get("name"), by=_by(request)
        )  # fmt: skip
        self._desk.wait_for(name)
        return {"name": name, "what": fault.describe()}

    def _heal(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request.get("name")
        names = self._desk.heal(None if name is None else str(name), by=_by(request))
        for one in names:
            self._desk.wait_for(one)
        return {"names": names}

    def _note(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._desk.note(str(request["text"]), by=_by(request))
        return {}

    def _end(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._desk.end(_by(request))
        return {}


def _by(request: Mapping[str, Any]) -> str:
    return str(request.get("by") or "somebody")[:100]
