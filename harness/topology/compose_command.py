"""
The command `docker compose`, as far as the SDK cannot do it: the project read, its containers made and started.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.children import Spawn
from harness.errors import InputError, SetUpError
from harness.secrets import text

CONFIG_LIMIT_S = 20.0
_LOG_LINES = 4


def read_project(file: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """The project as Compose itself understands its file. Raises InputError with what Compose says against it."""
    try:
        answer = subprocess.run(
            ["docker", "compose", "-f", str(file), "config", "--format", "json", "--no-path-resolution"],
            capture_output=True, text=True, timeout=CONFIG_LIMIT_S, check=False, stdin=subprocess.DEVNULL,
            env=dict(environment),
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise SetUpError(f"`docker compose config` of {file} did not end within {CONFIG_LIMIT_S:g} s") from error
    if answer.returncode != 0:
        raise InputError(f"{file}: Docker Compose cannot read it: {text(answer.stderr.strip())}")
    project: dict[str, Any] = json.loads(answer.stdout)
    project["services"] = project.get("services") or {}
    return project


class ComposeCommand:
    """`docker compose` on the project's own file and the run's overlay. Output goes to log."""

    def __init__(
        self, project: str, files: Sequence[Path], environment: Mapping[str, str], *, spawn: Spawn, log: Path
    ) -> None:
        self._argv = ("docker", "compose", "--ansi", "never", "--progress", "plain", "-p", project)
        self._files = tuple(word for file in files for word in ("-f", str(file)))
        self._environment, self._spawn, self._log = environment, spawn, log
        self._child: subprocess.Popen[bytes] | None = None

    def up(self, limit_s: float) -> None:
        """Make and start every container, in the order of their dependencies. Raises SetUpError with what was said."""
        offset = self._log.stat().st_size if self._log.exists() else 0
        argv = (*self._argv, *self._files, "up", "--detach", "--no-color", "--quiet-pull", "--remove-orphans")
        self._child = self._spawn("docker compose up", argv, env=self._environment, log=self._log)
        try:
            code = self._child.wait(limit_s)
        except subprocess.TimeoutExpired as error:
            self.cancel()
            raise SetUpError(
                f"`docker compose up` did not end within {limit_s:g} s{self._said(offset)}",
                hint=f"its log: {self._log}",
            ) from error
        if code != 0:
            raise SetUpError(
                f"`docker compose up` failed, exit code {code}{self._said(offset)}", hint=f"its log: {self._log}"
            )

    def cancel(self) -> None:
        """End it where it is; may be called at any time."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()

    def _said(self, offset: int) -> str:
        """The last lines of its output that tell what went wrong."""
        lines = self._log.read_bytes()[offset:].decode("utf-8", "replace").splitlines()
        wrong = [line.strip() for line in lines if "rror" in line or "failed" in line or "unhealthy" in line]
        last = list(dict.fromkeys(wrong or [line.strip() for line in lines if line.strip()]))[-_LOG_LINES:]
        return ": " + "\n  ".join(text(line) for line in last) if last else ""
