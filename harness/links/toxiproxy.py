"""
The real Toxiproxy server of one run, asked through the client library toxiproxy-python.

The only file that imports that library. It puts three things right: the library
keeps one server address for the whole process, sets no time limits, and takes
any answer that is not 400, 404 or 409 for a good one. And it believes nothing:
what was changed is read back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Any, TypeVar

import psutil
import requests
import toxiproxy.proxy
import toxiproxy.server
from toxiproxy.api import APIConsumer

from harness.children import Spawn
from harness.clock import NS_PER_S, Clock, SystemClock
from harness.errors import HarnessError, SetUpError
from harness.links.base import Address, LinkSpec, is_loopback
from harness.links.provision import TOXIPROXY_VERSION
from harness.secrets import PRIVATE_FOLDER

__all__ = ["TOXIPROXY_VERSION", "ToxiproxyServer", "proxy_name"]

CALL_LIMIT_S = 5.0
START_LIMIT_S = 10.0
END_LIMIT_S = 2.0
FOREIGN_LIMIT_S = 1.0
_PACE_S = 0.02
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")

_Answer = TypeVar("_Answer")
_current: ContextVar[_Connection | None] = ContextVar("toxiproxy_connection", default=None)


class _MissingError(HarnessError):
    """The server knows no proxy or toxic of that name."""


class _ForeignError(HarnessError):
    """Somebody else answers where our server should."""


class _Connection:
    """How to reach one server: its address, and a session that heeds no proxy settings of the environment."""

    def __init__(self, api: Address) -> None:
        self.base = f"http://{api[0]}:{api[1]}"
        self.session = requests.Session()
        self.session.trust_env = False

    def ask(self, method: str, url: str, **arguments: Any) -> requests.Response:
        """One call. Raises HarnessError that says what was asked and what came back."""
        asked = f"{method} {self.base}{url}" + (f" with {arguments['json']}" if arguments.get("json") else "")
        try:
            answer = self.session.request(method, self.base + url, timeout=CALL_LIMIT_S, **arguments)
        except requests.RequestException as error:
            raise HarnessError(f"Toxiproxy did not answer {asked} within {CALL_LIMIT_S:g} s: {error}") from error
        if answer.status_code == requests.codes.not_found:
            raise _MissingError(f"Toxiproxy knows nothing of what {asked} names: {answer.text.strip()}")
        if not answer.ok:
            raise HarnessError(f"Toxiproxy answered {answer.status_code} to {asked}: {answer.text.strip()}")
        return answer


class _Api(APIConsumer):  # type: ignore[misc]
    """The library's way to the server, per call instead of per process; a stranger's calls go on as before."""

    @classmethod
    def get(cls, url: str, params: Any = None, **kwargs: Any) -> Any:
        connection = _current.get()
        if connection is None:
            return APIConsumer.get(url, params=params, **kwargs)
        return connection.ask("GET", url, params=params)

    @classmethod
    def delete(cls, url: str, **kwargs: Any) -> Any:
        connection = _current.get()
        return APIConsumer.delete(url, **kwargs) if connection is None else connection.ask("DELETE", url)

    @classmethod
    def post(cls, url: str, data: Any = None, json: Any = None, **kwargs: Any) -> Any:
        connection = _current.get()
        if connection is None:
            return APIConsumer.post(url, data=data, json=json, **kwargs)
        return connection.ask("POST", url, json=json)


# The library looks its consumer up in these two modules by name; there is no other way in.
toxiproxy.server.APIConsumer = _Api
toxiproxy.proxy.APIConsumer = _Api


def proxy_name(link: str) -> str:
    """A link's or toxic's name as it may stand in a URL; different names stay different: order->payment, order~payment."""
    return "~".join(_plain(part) for part in link.split("->"))


def _plain(text: str) -> str:
    return "".join(c if c in _PLAIN else "".join(f"={byte:02x}" for byte in c.encode()) for c in text)


class ToxiproxyServer:
    """
    One server with one proxy a link; may be used from any thread. Errors are HarnessError, at the start SetUpError.

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
        self._binary, self._api, self._spawn = binary, api, spawn
        self._links = {link.name: link for link in links}
        self._log = run_dir / "logs" / "toxiproxy.log"
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._library = toxiproxy.server.Toxiproxy()
        self._connection: _Connection | None = None
        self._process: Popen[bytes] | None = None

    # -- the server --------------------------------------------------------------------------

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
        self._connection = _Connection(self._api)
        # Its default is to log every connection and every lock it takes.
        self._process = self._spawn("toxiproxy", argv, env={"LOG_LEVEL": "warn"}, log=self._log)
        try:
            self._await_api()
            self._make_proxies()
        except BaseException:
            self.down()
            raise

    def check(self) -> None:
        """Raise HarnessError when the server is gone."""
        if self._process is None:
            raise HarnessError("Toxiproxy is not running")
        if (code := self._process.poll()) is not None:
            raise HarnessError(f"Toxiproxy ended by itself, exit code {code}{self._last_lines()}")

    def down(self) -> None:
        """End the server, and with it every proxy and toxic. May be called twice."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(END_LIMIT_S)
            except TimeoutExpired:
                process.kill()
                process.wait()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.session.close()

    def _await_api(self) -> None:
        deadline_ns = self._clock.now_ns() + round(START_LIMIT_S * NS_PER_S)
        while True:
            try:
                self.check()
                version = self._call(lambda: toxiproxy.server.APIConsumer.get("/version").text)
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
        if f'"{TOXIPROXY_VERSION}"' not in version:
            raise SetUpError(
                f"the Toxiproxy at {self._api[0]}:{self._api[1]} says it is {version.strip()!r}, "
                f"not version {TOXIPROXY_VERSION}"
            )

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
            raise _ForeignError(f"another process answers at {_text(self._api)}")

    def _make_proxies(self) -> None:
        if strangers := self._call(self._library.proxies):
            raise SetUpError(
                f"the Toxiproxy at {self._api[0]}:{self._api[1]} already has proxies ({', '.join(sorted(strangers))}): "
                "it is not the one this run started"
            )
        for link in self._links.values():
            try:
                self._create(link)
            except HarnessError as error:
                raise SetUpError(f"no proxy for {link.name}: {error}") from error
        wanted = {proxy_name(link.name): (_text(link.proxy), _text(link.upstream)) for link in self._links.values()}
        found = {name: (p.listen, p.upstream) for name, p in self._call(self._library.proxies).items() if p.enabled}
        if found != wanted:
            raise SetUpError(f"Toxiproxy took every proxy but has {found}, must be {wanted}")

    def _create(self, link: LinkSpec) -> None:
        name, listen, upstream = proxy_name(link.name), _text(link.proxy), _text(link.upstream)
        self._call(lambda: self._library.create(upstream, name, listen=listen, enabled=True))

    def _last_lines(self) -> str:
        try:
            lines = self._log.read_text("utf-8", "replace").splitlines()[-5:]
        except OSError:
            lines = []
        return "; last log lines:\n" + "\n".join(f"    {line}" for line in lines) if lines else ""

    # -- toxics and refusal ------------------------------------------------------------------

    def add_toxic(  # noqa: PLR0917  as World has it
        self, link: str, name: str, kind: str, stream: str, toxicity: float, attributes: Mapping[str, int]
    ) -> None:
        """Add a toxic in Toxiproxy's own names and units, and read it back."""
        proxy = self._proxy(link)
        asked = {
            "name": proxy_name(name),
            "type": kind,
            "stream": stream,
            "toxicity": toxicity,
            "attributes": dict(attributes),
        }
        self._call(lambda: proxy.add_toxic(**asked))
        found = self.toxics(link).get(proxy_name(name))
        if found is None or not _same(asked, found):
            raise HarnessError(
                f"Toxiproxy answered 200 but the toxic {name} on {link} is {found}, asked for was {asked}",
                hint="an attribute it does not know it passes over in silence",
            )

    def remove_toxic(self, link: str, name: str) -> None:
        """Remove a toxic and see that it is gone; does nothing when it is not there."""
        proxy = self._proxy(link)
        try:
            self._call(lambda: proxy.destroy_toxic(proxy_name(name)))
        except _MissingError:
            pass  # healed twice, or never injected
        if proxy_name(name) in self.toxics(link):
            raise HarnessError(f"Toxiproxy answered 200 but the toxic {name} is still on {link}")

    def toxics(self, link: str) -> dict[str, dict[str, Any]]:
        """The toxics on a link as the server has them: name (as proxy_name makes it) -> type, stream, ..."""
        found = self._call(self._proxy(link).toxics)
        return {
            name: {
                "name": toxic.name,
                "type": toxic.type,
                "stream": toxic.stream,
                "toxicity": toxic.toxicity,
                "attributes": toxic.attributes,
            }
            for name, toxic in found.items()
        }

    def refuse(self, link: str) -> None:
        """Disable a link's proxy: open connections are cut, new ones refused."""
        self._enable(link, False)

    def accept(self, link: str) -> None:
        """Enable a link's proxy; does nothing when it is."""
        self._enable(link, True)

    def _enable(self, link: str, enabled: bool) -> None:
        proxy = self._proxy(link)
        self._call(proxy.enable if enabled else proxy.disable)
        if (found := self._proxy(link).enabled) is not enabled:
            raise HarnessError(f"Toxiproxy answered 200 but enabled of {link} is {found}, must be {enabled}")

    def _proxy(self, link: str) -> Any:
        if link not in self._links:
            raise HarnessError(f"there is no link {link!r}; there are: {', '.join(sorted(self._links))}")
        found = self._call(lambda: self._library.get_proxy(proxy_name(link)))
        if found is None:
            raise HarnessError(f"Toxiproxy has lost its proxy for {link}")
        return found

    # -- calls -------------------------------------------------------------------------------

    def _call(self, ask: Callable[[], _Answer]) -> _Answer:
        """Let the library ask this server, one call at a time."""
        with self._lock, self._speaking():
            try:
                return ask()
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise HarnessError(f"Toxiproxy's answer makes no sense: {type(error).__name__}: {error}") from error

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        if self._connection is None:
            raise HarnessError("Toxiproxy is not running")
        token = _current.set(self._connection)
        try:
            yield
        finally:
            _current.reset(token)


def _text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _same(asked: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether a toxic is what was asked for; its toxicity is a 32 bit number on the other side."""
    attributes: Mapping[str, Any] = found["attributes"]
    return (
        all(asked[key] == found[key] for key in ("name", "type", "stream"))
        and abs(asked["toxicity"] - found["toxicity"]) < 1e-6
        and all(attributes.get(key) == value for key, value in asked["attributes"].items())
    )
