"""
The configuration HAProxy runs with, as text. Its words are those of HAProxy 2.4 and newer.
"""

from __future__ import annotations

from services.haproxy.settings import Pool, Server, Settings
from services.launcher.environment import loopback
from services.launcher.publisher import PATH

READY_PATH = "/haproxy/ready"
"""Answered by HAProxy itself: 200 while each pool has a server that is up."""

STATE_PATH = "/haproxy/state"
"""Handed on to the launcher, which knows the state of every instance and its changes."""

_CONNECT_MS = 300
_STATE = "haproxy-state"


def render(settings: Settings) -> str:
    """The whole file."""
    parts = [_global(settings), _defaults(settings)]
    for pool in settings.pools:
        parts += [_frontend(settings, pool), _backend(settings, pool)]
    parts.append(_state(settings))
    return "\n\n".join(parts) + "\n"


def _section(head: str, lines: list[str]) -> str:
    return "\n".join([head, *(f"    {line}" for line in lines if line)])


def _global(settings: Settings) -> str:
    api = f"{loopback(settings.host)}:{settings.api_port}"
    return _section("global", [
        "log stdout format raw local0 notice",
        f"stats socket ipv4@{api} level admin",
        "maxconn 4096",
        "hard-stop-after 3s",
    ])  # fmt: skip


def _defaults(settings: Settings) -> str:
    return _section("defaults", [
        "log global",
        "mode http",
        f"timeout connect {_CONNECT_MS}ms",
        "timeout client 10s",
        f"timeout server {settings.server_timeout_ms}ms",
        f"timeout queue {settings.queue_timeout_ms}ms",
        f"timeout check {settings.checks.timeout_ms}ms",
        "timeout http-request 5s",
        "timeout http-keep-alive 30s",
        *_second_chances(settings),
    ])  # fmt: skip


def _second_chances(settings: Settings) -> list[str]:
    """What becomes of a request whose server failed it. Without redispatch: nothing, its client is told."""
    if not settings.redispatch:
        return ["retries 0", "no option redispatch"]
    return [f"retries {settings.retries}", "option redispatch 1", f"retry-on {' '.join(settings.retry_on)}"]


def _frontend(settings: Settings, pool: Pool) -> str:
    empty = " or ".join(f"{{ nbsrv({other.name}) lt 1 }}" for other in settings.pools)
    return _section(f"frontend {pool.name}", [
        f"bind {settings.host}:{pool.port}",
        f"monitor-uri {READY_PATH}",
        f"monitor fail if {empty}",
        f"use_backend {_STATE} if {{ path {STATE_PATH} }}",
        f"default_backend {pool.name}",
    ])  # fmt: skip


def _backend(settings: Settings, pool: Pool) -> str:
    checks = settings.checks
    most = settings.connections_per_server
    once = f"http-request disable-l7-retry unless {{ method {' '.join(settings.retry_methods)} }}"
    return _section(f"backend {pool.name}", [
        f"balance {settings.balance}",
        "option httpchk",
        f"http-check send meth GET uri {checks.path} ver HTTP/1.1 hdr Host {pool.name} hdr Connection close",
        "http-check expect status 200",
        once if settings.redispatch else "",
        f"default-server check inter {checks.interval_ms}ms fall {checks.fall} rise {checks.rise}"
        + (f" maxconn {most} pool-max-conn {most}" if most else ""),
        *(_server(server) for server in pool.servers),
    ])  # fmt: skip


def _state(settings: Settings) -> str:
    """The launcher's own answers; no instance of anybody's, so it is not checked and not told of."""
    return _section(f"backend {_STATE}", [
        f"http-request set-path {PATH}",
        f"server launcher {loopback(settings.host)}:{settings.state_port}",
    ])  # fmt: skip


def _server(server: Server) -> str:
    return f"server {server.name} {server.host}:{server.port}{' backup' if server.backup else ''}"
