"""
The real Resilience4j, asked: a small Java program that this builds against the published libraries and talks to.

Needs a JDK, Maven and the public repository that Maven is set up for. Where one is missing, NoOracle says which.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
PATIENCE_S = 300


class NoOracle(Exception):
    """Why there is no oracle here."""


class LiveOracle:
    """One running Java process. Close it, or use it in a `with` block."""

    def __init__(self, build: Path) -> None:
        """Find the libraries, compile into the folder `build`, start. Raises NoOracle."""
        for program in ("java", "javac", "mvn"):
            if shutil.which(program) is None:
                raise NoOracle(f"there is no {program} here")
        found = build / "classpath"
        _run("mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:build-classpath", f"-Dmdep.outputFile={found}")
        libraries = found.read_text().strip()
        sources = [str(path) for path in sorted(HERE.rglob("*.java"))]
        _run("javac", "-cp", libraries, "-d", str(build), *sources)
        self._process = subprocess.Popen(
            ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", f"{build}:{libraries}", "Oracle"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, lines: list[str]) -> list[dict[str, Any]]:
        """What can be seen after each line. At most a hundred or so at once: nobody reads while we write."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write("\n".join([*lines, "end", ""]))
        stdin.flush()
        answers = [stdout.readline() for _ in lines]
        if not answers[-1]:
            raise RuntimeError(f"the oracle ended at one of: {lines}")
        return [json.loads(answer) for answer in answers]

    def close(self) -> None:
        """End the process. Safe to call twice."""
        self._process.communicate(timeout=30)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise NoOracle(f"{command[0]} did not end within {PATIENCE_S} s") from error
    if done.returncode != 0:
        told = (done.stdout + done.stderr).strip().splitlines()
        raise NoOracle(f"{command[0]} failed: {told[0] if told else done.returncode}")
