"""The real Toxiproxy server does what it is asked, and what it does not do is noticed."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import socket
import tarfile
import threading
import time

import pytest

from harness.errors import HarnessError, SetUpError
from harness.links.base import LinkSpec
from harness.links.provision import TOXIPROXY_VERSION, cache_folder, find_toxiproxy, platform_name, provide_toxiproxy
from harness.links.toxiproxy import ToxiproxyServer
from harness.run.leases import Leases
from harness.topology.addresses import claim_block

pytestmark = pytest.mark.system

LIMIT_S = 10.0


class Echo:
    """An upstream that sends back what it gets."""

    def __init__(self, host):
        self._server = socket.create_server((host, 0))
        self.address = self._server.getsockname()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        self._answering = []

    def _serve(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._answer, args=(connection,))
            thread.start()
            self._answering.append(thread)

    def _answer(self, connection):
        connection.settimeout(LIMIT_S)
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                connection.sendall(data)

    def close(self):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()
        for thread in self._answering:
            thread.join()


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toxiproxy")
    leases = Leases("toxiproxy-test", folder)
    binary = provide_toxiproxy(lambda _: None)
    with claim_block() as block:
        echo = Echo(f"{block.prefix}.0.2")
        links = [
            LinkSpec(
                name=name, listen=("127.0.0.1", 1), proxy=(f"{block.prefix}.0.{number}", 9000),
                upstream=echo.address, protocol="raw",
            )
            for number, name in enumerate(["order->payment", "order->user"], start=10)
        ]  # fmt: skip
        server = ToxiproxyServer(binary, (f"{block.prefix}.0.3", 8474), links, spawn=leases.spawn, run_dir=folder)
        try:
            server.up()
            yield server, links[0], leases, folder
        finally:
            server.down()
            leases.close()
            echo.close()


@pytest.fixture
def server(rig):
    return rig[0]


@pytest.fixture
def link(rig):
    return rig[1]


def connect(link):
    return socket.create_connection(link.proxy, timeout=LIMIT_S)


def round_trip_s(link, size=4):
    start_s = time.monotonic()
    with connect(link) as client:
        client.sendall(b"x" * size)
        left = size
        while left > 0:
            piece = client.recv(65536)
            if not piece:
                raise ConnectionError(f"closed with {left} of {size} bytes missing")
            left -= len(piece)
    return time.monotonic() - start_s


@contextlib.contextmanager
def toxic(server, link, kind, attributes, stream="downstream"):
    server.add_toxic(link.name, f"my {kind}", kind, stream, 1.0, attributes)
    try:
        yield
    finally:
        server.remove_toxic(link.name, f"my {kind}")


def test_bytes_pass_unharmed_without_a_toxic(link):
    """A link without a toxic passes what it gets."""
    assert round_trip_s(link, 100_000) >= 0


@pytest.mark.parametrize(
    ("kind", "attributes", "size", "at_least_s"),
    [
        ("latency", {"latency": 200, "jitter": 0}, 4, 0.2),
        ("bandwidth", {"rate": 100}, 50_000, 0.3),
        ("slicer", {"average_size": 10, "size_variation": 0, "delay": 20_000}, 100, 0.15),
    ],
)
def test_slowing_toxics_slow_by_as_much_as_they_say(server, link, kind, attributes, size, at_least_s):
    """Latency, bandwidth and slicer delay what crosses the link."""
    with toxic(server, link, kind, attributes):
        assert round_trip_s(link, size) >= at_least_s * 0.95


def test_a_timeout_holds_everything_back_and_then_closes(server, link):
    """The timeout toxic lets nothing through and closes the connection after its time."""
    with toxic(server, link, "timeout", {"timeout": 150}), pytest.raises(ConnectionError):
        round_trip_s(link)


def test_a_reset_is_seen_as_a_reset(server, link):
    """The reset_peer toxic ends connections with a reset, not an orderly close."""
    with toxic(server, link, "reset_peer", {"timeout": 0}), pytest.raises(ConnectionResetError):
        round_trip_s(link)


def test_limited_data_ends_after_the_limit(server, link):
    """The limit_data toxic passes so many bytes and closes."""
    with toxic(server, link, "limit_data", {"bytes": 10}), connect(link) as client:
        client.sendall(b"y" * 100)
        got = b""
        while piece := client.recv(100):
            got += piece
    assert got == b"y" * 10


def test_a_slow_close_delays_the_end(server, link):
    """The slow_close toxic keeps the connection open for its time after the other side has closed."""
    with toxic(server, link, "slow_close", {"delay": 300}), connect(link) as client:
        client.sendall(b"z")
        client.recv(1)
        start_s = time.monotonic()
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        assert time.monotonic() - start_s >= 0.28


def test_a_refusing_link_refuses_and_takes_up_again(server, link):
    """A refused link cuts open connections and takes no new ones; accepting twice does no harm."""
    with connect(link) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"
        server.refuse(link.name)
        try:
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""
            with pytest.raises(ConnectionRefusedError):
                connect(link)
        finally:
            server.accept(link.name)
            server.accept(link.name)
    assert round_trip_s(link) >= 0


def test_what_the_server_has_is_read_back(server, link):
    """A toxic can be read back with stream, toxicity and attributes, and is gone after its removal, twice."""
    server.add_toxic(link.name, "slow", "latency", "upstream", 0.2, {"latency": 7})
    [found] = server.toxics(link.name).values()
    server.remove_toxic(link.name, "slow")
    server.remove_toxic(link.name, "slow")

    assert (found["type"], found["stream"], found["attributes"]["latency"]) == ("latency", "upstream", 7)
    assert found["toxicity"] == pytest.approx(0.2)
    assert server.toxics(link.name) == {}


def test_an_attribute_that_the_server_passes_over_is_an_error(server, link):
    """What Toxiproxy accepts without doing it is not taken for done."""
    with pytest.raises(HarnessError, match="answered 200 but"):
        server.add_toxic(link.name, "typo", "latency", "downstream", 1.0, {"latancy": 7})
    server.remove_toxic(link.name, "typo")


def test_wrong_requests_say_what_was_asked_and_what_came_back(server, link):
    """An unknown kind of toxic, a name used twice and an unknown link end in errors that name them."""
    with pytest.raises(HarnessError, match=r"answered 400 .*gravity.*invalid toxic type"):
        server.add_toxic(link.name, "t", "gravity", "downstream", 1.0, {})
    server.add_toxic(link.name, "twice", "latency", "downstream", 1.0, {"latency": 1})
    with pytest.raises(HarnessError, match=r"answered 409"):
        server.add_toxic(link.name, "twice", "latency", "downstream", 1.0, {"latency": 1})
    server.remove_toxic(link.name, "twice")
    with pytest.raises(HarnessError, match=r"no link 'order->moon'; there are: order->payment, order->user"):
        server.refuse("order->moon")


def test_a_proxy_that_cannot_listen_fails_the_start(rig):
    """A 5xx answer of the server is an error and names the link; the half-started server is ended."""
    server, link, leases, folder = rig
    host = link.proxy[0]
    with socket.create_server((host, 0)) as taken:
        spec = LinkSpec(
            name="a->b", listen=("127.0.0.1", 1), proxy=taken.getsockname(), upstream=("127.0.0.1", 1), protocol="raw"
        )
        second = ToxiproxyServer(
            cache_binary(), (host, 8475), [spec], spawn=leases.spawn, run_dir=folder
        )  # fmt: skip
        with pytest.raises(SetUpError, match=r"no proxy for a->b: Toxiproxy answered 500 .*address already in use"):
            second.up()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, 8475), timeout=LIMIT_S)
    assert round_trip_s(link) >= 0  # the first server was not mixed up with the second
    assert server.toxics(link.name) == {}


def test_an_api_that_is_somebody_elses_is_not_used(rig):
    """When another Toxiproxy holds the API's port, the start fails and no proxy is made in the other one."""
    _, link, leases, folder = rig
    host = link.proxy[0]
    spec = LinkSpec(name="a->b", listen=("127.0.0.1", 1), proxy=(host, 9555), upstream=("127.0.0.1", 1), protocol="raw")
    other = ToxiproxyServer(cache_binary(), (host, 8477), [], spawn=leases.spawn, run_dir=folder)
    other.up()
    try:
        intruder = ToxiproxyServer(cache_binary(), (host, 8477), [spec], spawn=leases.spawn, run_dir=folder)
        with pytest.raises(SetUpError, match="did not start"):
            intruder.up()
        with pytest.raises(ConnectionRefusedError):
            connect(spec)
    finally:
        other.down()


def test_a_server_that_died_is_noticed(rig):
    """A dead server is an error at the next look and at the next call, within a bounded time."""
    _, link, leases, folder = rig
    doomed = ToxiproxyServer(cache_binary(), (link.proxy[0], 8476), [], spawn=leases.spawn, run_dir=folder)
    doomed.up()
    doomed.check()
    doomed._process.kill()
    doomed._process.wait()

    with pytest.raises(HarnessError, match="ended by itself"):
        doomed.check()
    with pytest.raises(HarnessError, match="killed by SIGKILL"):
        doomed.down()
    doomed.down()


def test_the_server_found_has_the_right_version():
    """Whatever was provided once is found again without making anything."""
    made = provide_toxiproxy(lambda _: None)

    assert find_toxiproxy(cache_folder(), os.environ) == made
    assert TOXIPROXY_VERSION == "2.12.0"


def cache_binary():
    return provide_toxiproxy(lambda _: None)


# -- where the server comes from ---------------------------------------------------------------


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


FIT = f"echo toxiproxy-server version {TOXIPROXY_VERSION}"


@pytest.fixture
def nowhere(tmp_path):
    """An environment in which there is nothing: no server, no Go, no release host."""
    (tmp_path / "bin").mkdir()
    return {
        "PATH": str(tmp_path / "bin"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HOME": str(tmp_path),
        "HARNESS_TOXIPROXY_URL": "http://127.0.0.1:9/nothing",
    }


@contextlib.contextmanager
def release_host(folder):
    """A release host on loopback that serves a folder."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=folder)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def archive(folder, name, text=FIT):
    """A release archive with one program in it; returns its SHA-256."""
    made = program(folder / "content" / name, text)
    path = folder / "serve" / f"toxiproxy_{TOXIPROXY_VERSION}_{platform_name()}.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        tar.add(made, arcname=name)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_when_every_way_fails_all_are_told_with_the_ways_out(nowhere):
    """Without server, Go and network the error lists what was tried, and leaves nothing half-made."""
    said = []
    with pytest.raises(SetUpError) as caught:
        provide_toxiproxy(said.append, nowhere)

    message = str(caught.value)
    for part in (
        "PATH: no toxiproxy-server",
        "cache: no toxiproxy-server",
        "go install: there is no Go",
        "127.0.0.1:9",
    ):
        assert part in message
    assert "HARNESS_TOXIPROXY=" in caught.value.hint
    assert len(said) == 2
    assert list(cache_folder(nowhere).iterdir()) == []


def test_a_server_on_path_is_used_only_in_the_right_version(nowhere, tmp_path):
    """Another version on PATH is passed over and told; the right one is used as it is."""
    there = program(tmp_path / "bin" / "toxiproxy-server", "echo toxiproxy-server version 2.5.0")
    with pytest.raises(SetUpError, match=r"is not version 2.12.0; -version said 'toxiproxy-server version 2.5.0'"):
        provide_toxiproxy(lambda _: None, nowhere)

    program(there, FIT)

    assert provide_toxiproxy(lambda _: None, nowhere) == there


def test_a_server_that_was_named_is_used_or_refused_but_not_replaced(nowhere, tmp_path):
    """HARNESS_TOXIPROXY comes first; when it is wrong no other is used in its place."""
    named = program(tmp_path / "mine", FIT)
    program(tmp_path / "bin" / "toxiproxy-server", FIT)

    assert provide_toxiproxy(lambda _: None, {**nowhere, "HARNESS_TOXIPROXY": str(named)}) == named
    with pytest.raises(SetUpError, match=r"HARNESS_TOXIPROXY=/nowhere/server: cannot be run"):
        provide_toxiproxy(lambda _: None, {**nowhere, "HARNESS_TOXIPROXY": "/nowhere/server"})


def test_go_builds_the_server_into_the_cache_once(nowhere, tmp_path):
    """What Go installs is moved into the cache and found there the next time; its command names the version."""
    program(
        tmp_path / "bin" / "go",
        f"echo \"$@\" > {tmp_path}/asked; printf '#!/bin/sh\\n{FIT}\\n' > $GOBIN/server; /bin/chmod 755 $GOBIN/server",
    )
    made = provide_toxiproxy(lambda _: None, nowhere)
    (tmp_path / "bin" / "go").unlink()

    assert made.parent == cache_folder(nowhere)
    assert provide_toxiproxy(lambda _: None, nowhere) == made
    assert "v2.Version=2.12.0" in (tmp_path / "asked").read_text()
    assert [path.name for path in made.parent.iterdir()] == [made.name]


def test_a_build_that_fails_is_told_in_its_own_words(nowhere, tmp_path):
    """Go's last lines are in the error."""
    program(tmp_path / "bin" / "go", "echo dial tcp: no route >&2; exit 1")

    with pytest.raises(SetUpError, match=r"go install: ended with 1: dial tcp: no route"):
        provide_toxiproxy(lambda _: None, nowhere)


def test_a_release_archive_is_used_only_with_its_checksum(nowhere, tmp_path):
    """An archive with another checksum than the pinned one is not unpacked; with the right one it is."""
    checksum = archive(tmp_path, "toxiproxy-server")
    with release_host(tmp_path / "serve") as base:
        environment = {**nowhere, "HARNESS_TOXIPROXY_URL": base}
        with pytest.raises(SetUpError, match=f"its SHA-256 is {checksum}, must be"):
            provide_toxiproxy(lambda _: None, environment)
        made = provide_toxiproxy(lambda _: None, environment, checksums={platform_name(): checksum})

    assert made == cache_folder(nowhere) / "toxiproxy-server"


def test_an_archive_without_the_server_is_refused(nowhere, tmp_path):
    """An archive that holds something else is told with what it holds."""
    checksum = archive(tmp_path, "readme")
    with release_host(tmp_path / "serve") as base, pytest.raises(SetUpError, match="it holds readme"):
        provide_toxiproxy(
            lambda _: None, {**nowhere, "HARNESS_TOXIPROXY_URL": base}, checksums={platform_name(): checksum}
        )
