"""
The other end of the control socket: what `harness inject`, `heal`, `note`, `status`, `watch` and `down` speak through.
"""

from __future__ import annotations

import getpass
import json
import socket
from typing import Any, Self

from harness.errors import HarnessError, SetUpError
from harness.live.door import Door

ANSWER_LIMIT_S = 100.0  # a heal waits until a killed service is ready again
CONNECT_LIMIT_S = 5.0


class ToldError(HarnessError):
    """A problem that the living system told; its exit code is what it would have been there."""

    def __init__(self, message: str, *, hint: str | None, code: int) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = code  # type: ignore[misc]  # of this one problem


class Client:
    """One connection. Raises SetUpError when the system is gone."""

    def __init__(self, door: Door) -> None:
        self._door = door
        try:
            self._socket = socket.create_connection((door.host, door.port), timeout=CONNECT_LIMIT_S)
            self._socket.settimeout(ANSWER_LIMIT_S)
            self._file = self._socket.makefile("rwb")
            self._send({"token": door.token})
        except OSError as error:
            raise self._gone(error) from error

    def ask(self, op: str, **words: Any) -> dict[str, Any]:
        """One request, its answer. Raises HarnessError with what the system told."""
        try:
            self._send({"op": op, **words})
            line = self._file.readline()
        except OSError as error:
            raise self._gone(error) from error
        if not line:
            raise self._gone(None)
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            raise ToldError(answer["error"], hint=answer.get("hint"), code=int(answer.get("exit_code", 1)))
        return answer

    def close(self) -> None:
        for one in (self._file, self._socket):
            try:
                one.close()
            except OSError:
                pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, document: dict[str, Any]) -> None:
        self._file.write(json.dumps(document).encode() + b"\n")
        self._file.flush()

    def _gone(self, error: OSError | None) -> SetUpError:
        why = f": {error}" if error is not None else ""
        return SetUpError(f"{self._door.run} does not answer{why}", hint="harness status")


def whoami() -> str:
    """Who is at the keyboard."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "somebody"
