"""
The real Toxiproxy server of one run, asked through the client library toxiproxy-python.

The only file that imports that library. It puts three things right: the library
keeps one server address for the whole process, sets no time limits, and takes
any answer that is not 400, 404 or 409 for a good one. And it believes nothing:
what was changed is read back. Who starts the server, and where, is not known here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import requests
import toxiproxy.proxy
import toxiproxy.server
from toxiproxy.api import APIConsumer

from harness.errors import HarnessError, SetUpError
from harness.links.base import Address, LinkSpec
from harness.links.provision import TOXIPROXY_VERSION

__all__ = ["ToxiproxyClient", "proxy_name"]

CALL_LIMIT_S = 5.0
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")

_Answer = TypeVar("_Answer")
_current: ContextVar[_Connection | None] = ContextVar("toxiproxy_connection", default=None)


class _MissingError(HarnessError):
    """The server knows no proxy or toxic of that name."""


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


class ToxiproxyClient:
    """
    One server with one proxy a link; may be used from any thread. Errors are HarnessError.

    api: where the server's API is asked.
    """

    def __init__(self, api: Address, links: Sequence[LinkSpec]) -> None:
        self._api = api
        self._links = {link.name: link for link in links}
        self._lock = threading.Lock()
        self._library = toxiproxy.server.Toxiproxy()
        self._connection: _Connection | None = None

    # -- the server --------------------------------------------------------------------------

    def connect(self, api: Address | None = None) -> None:
        """From now on ask the server, at `api` if its place was not known before."""
        self._api = api or self._api
        self._connection = _Connection(self._api)

    def disconnect(self) -> None:
        """Ask it no more; may be called twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.session.close()

    def answers(self) -> str:
        """What the server says of its version. Raises HarnessError when it says nothing."""
        return str(self._call(lambda: toxiproxy.server.APIConsumer.get("/version").text))

    def must_fit(self, version: str) -> None:
        """Raise SetUpError when what it says of its version is not the version this program was made for."""
        if f'"{TOXIPROXY_VERSION}"' not in version:
            raise SetUpError(
                f"the Toxiproxy at {_text(self._api)} says it is {version.strip()!r}, not version {TOXIPROXY_VERSION}"
            )

    def make_proxies(self) -> None:
        """Make a proxy for each link and see that they are there and no others. Raises SetUpError."""
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
