"""
The real Toxiproxy server as a process of this machine: started, seen to be ours and of the right version, ended.

How it is asked stands in toxiproxy_client.py.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import Popen, TimeoutExpired

import psutil

from harness.children import Spawn, code_text
from harness.clock import NS_PER_S, Clock, SystemClock
from harness.errors import HarnessError, SetUpError
from harness.links.base import Address, LinkSpec, is_loopback
from harness.links.provision import TOXIPROXY_VERSION
from harness.links.toxiproxy_client import ToxiproxyClient, proxy_name
from harness.secrets import PRIVATE_FOLDER

__all__ = ["TOXIPROXY_VERSION", "ToxiproxyServer", "proxy_name"]

START_LIMIT_S = 10.0
END_LIMIT_S = 2.0
FOREIGN_LIMIT_S = 1.0
_PACE_S = 0.02


class _ForeignError(HarnessError):
    """Somebody else answers where our server should."""


def _ended(process: Popen[bytes]) -> int:
    """End a server; the code it ended with, or had ended with. 0: it went as it was asked, or had to be forced to."""
    if process.poll() is None:
        process.terminate()
    try:
        code = process.wait(END_LIMIT_S)
    except TimeoutExpired:
        process.kill()
        process.wait()
        return 0
    return 0 if code == -signal.SIGTERM else code


class ToxiproxyServer(ToxiproxyClient):
    """
    One server of our own with one proxy a link; may be used from any thread. Errors are HarnessError, at the start
    SetUpError.

    binary: the server program. api: where its API listens. Logs go to run_dir/logs/toxiproxy.log.
    """

    def __init__(
        self,
        binary: Path,
        api: Address,
        links: Sequence[LinkSpec],
        *,
        spawn: Spawn,
        run_dir: Path,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(api, links)
        self._binary, self._spawn = binary, spawn
        self._log = run_dir / "logs" / "toxiproxy.log"
        self._clock = clock or SystemClock()
        self._process: Popen[bytes] | None = None

    def up(self) -> None:
        """Start it, see that it is ours and of the right version, make the proxies. Raises SetUpError."""
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        except OSError as error:
            raise SetUpError(f"cannot write {self._log}: {error.strerror}") from error
        host, port = self._api
        if not is_loopback(self._api):  # its API asks nobody for a token
            raise SetUpError(f"Toxiproxy's API must listen on a loopback address; {host} is none")
        argv = [str(self._binary), "-host", host, "-port", str(port)]
        self.connect()
        # Its default is to log every connection and every lock it takes.
        self._process = self._spawn("toxiproxy", argv, env={"LOG_LEVEL": "warn"}, log=self._log)
        try:
            self._await_api()
            self.make_proxies()
        except BaseException:
            with suppress(HarnessError):
                self.down()
            raise

    def check(self) -> None:
        """Raise HarnessError when the server is gone."""
        if self._process is None:
            raise HarnessError("Toxiproxy is not running")
        if (code := self._process.poll()) is not None:
            raise self._gone(code)

    def down(self) -> None:
        """
        End the server, and with it every proxy and toxic. May be called twice. Raises HarnessError, when all that is
        done, if it had ended by itself or was ended by somebody else: then nothing stood on the links for a while.
        """
        process, self._process = self._process, None
        code = None if process is None else _ended(process)
        self.disconnect()
        if code:
            raise self._gone(code)

    def _gone(self, code: int) -> HarnessError:
        return HarnessError(f"Toxiproxy ended by itself, {code_text(code)}{self._last_lines()}")

    def _await_api(self) -> None:
        deadline_ns = self._clock.now_ns() + round(START_LIMIT_S * NS_PER_S)
        while True:
            try:
                self.check()
                version = self.answers()
                self._must_be_ours()
            except HarnessError as error:
                if isinstance(error, _ForeignError):  # our server stays, deaf, when it finds its port taken
                    deadline_ns = min(deadline_ns, self._clock.now_ns() + round(FOREIGN_LIMIT_S * NS_PER_S))
                ended = self._process is None or self._process.poll() is not None
                if ended or self._clock.now_ns() > deadline_ns:
                    raise SetUpError(f"Toxiproxy did not start: {error}", hint=f"its log: {self._log}") from error
                self._clock.sleep_s(_PACE_S)
                continue
            break
        self.must_fit(version)

    def _must_be_ours(self) -> None:
        """Raise HarnessError while the API's port is held by another process than the one that was started."""
        assert self._process is not None
        try:
            held = psutil.Process(self._process.pid).net_connections(kind="tcp")
        except psutil.AccessDenied:
            return  # not every system lets one look; then the empty list of proxies has to do
        except psutil.Error as error:
            raise HarnessError(f"it ended at once{self._last_lines()}") from error
        if not any(c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == self._api[1] for c in held):
            raise _ForeignError(f"another process answers at {self._api[0]}:{self._api[1]}")

    def _last_lines(self) -> str:
        try:
            lines = self._log.read_text("utf-8", "replace").splitlines()[-5:]
        except OSError:
            lines = []
        return "; last log lines:\n" + "\n".join(f"    {line}" for line in lines) if lines else ""
