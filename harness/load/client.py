"""
The runner's end of the load: starts the load child, tells it when to go, hears how it went.

Imports nothing of Locust or gevent.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from harness.children import Spawn, code_text
from harness.clock import NS_PER_S, Clock
from harness.errors import HarnessError, InputError, Mistake, SetUpError
from harness.load.config import FOLLOWS, LoadConfig, Model
from harness.load.schedule import pieces_of
from harness.scenario.model import Load
from harness.secrets import PRIVATE_FOLDER, private_opener, text
from harness.system.masking import masked_profile
from harness.system.model import Profile

NAME = "load"
LAST_LINES = 12
CLOSE_LIMIT_S = 3.0


def load_config(
    load: Load,
    profile: Profile | None,
    *,
    seed: int,
    duration_s: float | None,
    bases: Mapping[str, str],
    spool: Path,
    locustfile_folder: Path = Path(),
) -> dict[str, Any]:
    """
    What the load child is told.

    profile: the mix to send; a person's own locustfile needs none. duration_s: None until stopped.
    bases: service -> base address of its entry link; the first is the host of a locustfile, whose path
    is taken relative to locustfile_folder. Raises InputError.
    """
    model: Model = "open" if load.users is None else "file" if load.locustfile else "closed"
    if model != "file" and profile is None:
        raise InputError(
            "load: no profile to draw requests from", hint="name one the system declares: profile: checkout"
        )
    locustfile = (locustfile_folder / load.locustfile).resolve() if load.locustfile else None
    if locustfile is not None and not locustfile.is_file():
        raise InputError(f"load: locustfile {load.locustfile!r} does not exist", hint=f"looked for {locustfile}")
    return LoadConfig(
        spool=str(spool),
        model=model,
        seed=seed,
        timeout_s=load.timeout_s,
        bases=dict(bases),
        profile=None if model == "file" else profile,
        segments=pieces_of(load.arrivals or ()),
        pattern=load.pattern,
        duration_s=duration_s,
        users=load.users,
        think_s=load.think_s,
        max_in_flight=load.max_in_flight,
        locustfile=None if locustfile is None else str(locustfile),
        host=next(iter(bases.values()), None),
    ).to_json()


class LoadChild:
    """One load child. Every wait has a limit; one that dies raises HarnessError with its last lines."""

    def __init__(self, config: Mapping[str, Any], *, spawn: Spawn, run_dir: Path, clock: Clock) -> None:
        self._config = config
        self._spawn = spawn
        self._clock = clock
        self._config_file = run_dir / "load.json"
        self._log = run_dir / "load.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def start(self) -> None:
        """Start the child and return at once: its imports take about a second. Raises SetUpError."""
        try:
            self._config_file.parent.mkdir(parents=True, exist_ok=True)
            Path(self._config["spool"]).parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            written = self._written()
            with open(self._config_file, "w", encoding="utf-8", opener=private_opener) as file:
                json.dump(written, file, indent=1)
        except OSError as error:
            raise SetUpError(f"cannot write {error.filename}: {error.strerror}") from error
        argv = [sys.executable, "-m", "harness.load.child", str(self._config_file)]
        self._process = self._spawn(NAME, argv, log=self._log, pipes=True)
        assert self._process.stdout is not None
        threading.Thread(target=self._hear, args=(self._process.stdout,), name="load-child", daemon=True).start()
        if FOLLOWS in written:
            self._order(self._config)

    def _written(self) -> dict[str, Any]:
        """What the file holds. When that is not all, because some is secret, the whole follows on standard input."""
        masked = {**self._config, "profile": self._config["profile"] and masked_profile(self._config["profile"])}
        same = json.dumps(masked) == json.dumps(self._config)
        return masked if same else {FOLLOWS: True, **masked}

    def wait_ready(self, timeout_s: float) -> dict[str, Any]:
        """
        What the self-test found: {"ok", "calls", "upstream", "wrong"}. Raises InputError with the line for a locustfile
        that cannot be used, HarnessError for the rest.
        """
        tested: dict[str, Any] = self._wait("ready", timeout_s)["self_test"]
        return tested

    def go(self, t0_ns: int) -> None:
        """Start the load at t0_ns (monotonic). Raises HarnessError when the child is gone."""
        if not self._order({"op": "go", "t0_ns": t0_ns}):
            raise self._gone("would not start the load")

    def stop(self) -> None:
        """No more arrivals; requests in flight may end. Safe to call twice, and when the child is gone."""
        self._order({"op": "stop"})

    def wait_ended(self, timeout_s: float) -> dict[str, Any]:
        """
        The receipt's numbers: intended, sent, dropped, finished, unfinished, schedule_error_p50_ms / _p99_ms / _max_ms
        (None in a closed model), cpu_s, cpu_share_max (cores), self_test. Raises HarnessError.

        Allow the load's length and a request's time limit.
        """
        numbers = self._wait("ended", timeout_s)
        self._let_go()
        return numbers

    def alive(self) -> bool:
        """False when it died. One whose load is over stays until `wait_ended` or `close` lets it go."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """
        Let go of the child: it ends when its standard input does, or is killed. Safe to call twice. Raises HarnessError,
        when it is gone, if somebody else had killed it: its rows may not be all.
        """
        if self._process is None:
            return
        self._let_go()
        try:
            code = self._process.wait(CLOSE_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(CLOSE_LIMIT_S)
            code = 0
        self._process = None
        if code < 0:
            raise HarnessError(f"the load child ended by itself, {code_text(code)}{self._last_lines()}")

    def _let_go(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass

    def _hear(self, lines: IO[bytes]) -> None:
        with lines:
            for line in lines:
                self._events.put(json.loads(line))
        self._events.put(None)

    def _order(self, order: Mapping[str, Any]) -> bool:
        if self._process is None or self._process.stdin is None or self._process.stdin.closed:
            return False
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def _wait(self, kind: str, timeout_s: float) -> dict[str, Any]:
        deadline_ns = self._clock.now_ns() + round(timeout_s * NS_PER_S)
        while True:
            left_s = (deadline_ns - self._clock.now_ns()) / NS_PER_S
            try:
                event = self._events.get(timeout=max(0.0, left_s))
            except queue.Empty:
                raise HarnessError(
                    f"the load child did not say {kind!r} within {timeout_s:g} s{self._last_lines()}"
                ) from None
            if event is None:
                self._events.put(None)  # whoever asks next has to hear it too
                raise self._gone(f"ended before it said {kind!r}")
            said = event.pop("event", None)
            if said == "failed":
                raise InputError.of([Mistake(**event)])
            if said == kind:
                return event

    def _gone(self, what: str) -> HarnessError:
        ended = "never started"
        if self._process is not None:
            try:
                ended = code_text(self._process.wait(CLOSE_LIMIT_S))
            except subprocess.TimeoutExpired:
                ended = "still there"
        return HarnessError(f"the load child {what} ({ended}){self._last_lines()}")

    def _last_lines(self) -> str:
        try:
            lines = self._log.read_text("utf-8", "replace").splitlines()
        except OSError:
            return ""
        shown = "\n".join(f"    {text(line)}" for line in lines[-LAST_LINES:])
        return f"; its last lines ({self._log}):\n{shown}" if lines else ""
