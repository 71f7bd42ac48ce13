"""
The runner's end of the gate: starts it, waits until it listens, knows when it is gone, ends it.
"""

from __future__ import annotations

import json
import select
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from sys import executable

from harness.children import Spawn, code_text
from harness.errors import HarnessError, SetUpError
from harness.journal import SPOOL_FOLDER
from harness.links.base import Address, LinkSpec
from harness.links.gate.config import write_config
from harness.links.gate_client import GateClient, GateError
from harness.secrets import PRIVATE_FOLDER

READY_LIMIT_S = 20.0
END_LIMIT_S = 5.0


class GateProcess:
    """One gate for all links of a run. Errors are HarnessError, at the start SetUpError."""

    def __init__(self, links: Sequence[LinkSpec], *, control: Address, token: str, spawn: Spawn, run_dir: Path) -> None:
        self.client = GateClient(*control, token)
        self._links, self._control, self._token = links, control, token
        self._spawn, self._run_dir = spawn, run_dir
        self._log = run_dir / "logs" / "gate.log"
        self._process: Popen[bytes] | None = None

    def up(self) -> None:
        """Start it; returns when every link listens."""
        config = self._run_dir / "gate.json"
        self._log.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        write_config(
            config, token=self._token, control=self._control, links=self._links,
            spool=self._run_dir / SPOOL_FOLDER / "gate.jsonl",
        )  # fmt: skip
        self._process = self._spawn(
            "gate", [executable, "-m", "harness.links.gate", str(config)], log=self._log, pipes=True
        )
        said = self._first_line()
        if said.get("event") != "ready":
            error = said.get("error") or "it said nothing"
            raise SetUpError(f"the gate did not start: {error}", hint=said.get("hint") or f"its log: {self._log}")

    def check(self) -> None:
        """Raise HarnessError when it is gone."""
        if self._process is None:
            raise HarnessError("the gate is not running")
        if (code := self._process.poll()) is not None:
            raise HarnessError(f"the gate ended by itself, {code_text(code)}", hint=f"its log: {self._log}")

    def down(self) -> None:
        """
        End it and let it write its last rows; may be called twice. Raises HarnessError, when it is gone, if it had
        ended by itself or was ended by somebody else: rows may be missing then.
        """
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(GateError):
            self.client.stop()
        code = 0
        try:
            code = process.wait(END_LIMIT_S)
        except TimeoutExpired:  # its last row is missing, which its receipt will say
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        if code:
            raise HarnessError(f"the gate ended by itself, {code_text(code)}", hint=f"its log: {self._log}")

    def _first_line(self) -> dict[str, str]:
        assert self._process is not None
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], READY_LIMIT_S)
        line = self._process.stdout.readline() if readable else b""
        with suppress(ValueError):
            said = json.loads(line)
            if isinstance(said, dict):
                return said
        return {}
